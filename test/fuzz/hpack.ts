import assert from 'node:assert/strict';
import fc from 'fast-check';
import {
  type HeaderBlock,
  HpackDecoder,
  HpackError,
  type HpackLimits,
} from '../../lib/wire/hpack/decoder.ts';
import { HpackEncoder } from '../../lib/wire/hpack/encoder.ts';
import type { Field } from '../../lib/wire/hpack/fields.ts';
import { type FuzzTarget, mutate, type Random } from '../support/fuzz.ts';
import { listsArbitrary } from '../support/hpack-lists.ts';
import { NaiveDecoder } from '../support/hpack-naive.ts';
import { HpackJs } from '../support/hpack-twin.ts';

/** Low enough to be passed now and then. */
const limits: HpackLimits = { maxTableBytes: 4_096, maxListBytes: 4_000, maxFields: 20, maxCrumbs: 3 };
const boundless: HpackLimits = { maxTableBytes: 4_096, maxListBytes: 1e7, maxFields: 1e6, maxCrumbs: 1e6 };

/** The blocks of connections, some of ours and some of hpack.js, which indexes whatever it can. */
const connections = fc
  .sample(listsArbitrary(), { numRuns: 200, seed: 1 })
  .filter(lists => !lists.flat().some(({ name, value }) => name in {} || value in {}))
  .map((lists, at) => {
    const encoder = at % 2 === 0 ? new HpackEncoder() : new HpackJs();
    return lists.map(list => Buffer.from(encoder.encode(list)));
  })
  .filter(blocks => blocks.length > 0);

/** First octets of each kind of field and of a size update, so that random bytes get somewhere. */
const openings = [0x82, 0xbe, 0xbf, 0xff, 0x40, 0x41, 0x7e, 0x7f, 0x00, 0x0f, 0x10, 0x1f, 0x20, 0x3e, 0x3f];

/**
 * Whatever blocks come: what a naive reader makes of them, or an HpackError where it fails; and what was read can be
 * written, and read again as the same.
 */
export const target: FuzzTarget = {
  once(random) {
    const decoder = new HpackDecoder(limits);
    const naive = new NaiveDecoder(limits);
    const encoder = new HpackEncoder();
    const again = new HpackDecoder(boundless);
    for (const block of blocksOf(random)) {
      const expected = attempt(() => naive.decode(block));
      const found = decodeOnce(decoder, block);
      assert.equal(found === undefined, 'error' in expected, `naive: ${JSON.stringify(expected)}`);
      if (found === undefined || 'error' in expected) return;
      assert.equal(found.refused === undefined, expected.value !== undefined, `${found.refused}`);
      assert.equal(plain(found.fields), plain(expected.value ?? []));
      if (random.chance(0.1)) encoder.setPeerTableBytes(random.size(5_000));
      const fields = again.decode(encoder.encode(found.fields)).fields;
      assert.equal(names(fields), names(found.fields), 'written and read again');
      for (const [at, field] of found.fields.entries()) {
        if (field.sensitive) assert.ok(fields[at]?.sensitive, `${field.name} was sensitive`);
      }
    }
  },
};

function blocksOf(random: Random): Buffer[] {
  if (random.chance(0.2)) return Array.from({ length: 1 + random.int(4) }, () => randomBlock(random));
  return random.pick(connections).map(block => (random.chance(0.2) ? mutate(random, block) : block));
}

function randomBlock(random: Random): Buffer {
  const parts = Array.from({ length: random.int(12) }, () =>
    Buffer.concat([
      Buffer.of(random.pick(openings)),
      random.chance(0.5) ? random.bytes(random.size(12)) : Buffer.alloc(0),
    ]),
  );
  return Buffer.concat(parts);
}

/** Twice where the table stood still: the second must be the first. */
function decodeOnce(decoder: HpackDecoder, block: Buffer): HeaderBlock | undefined {
  const { generation } = decoder;
  try {
    const found = decoder.decode(block);
    if (decoder.generation === generation && block.length <= 1_024) {
      assert.equal(decoder.decode(Buffer.from(block)), found);
    }
    return found;
  } catch (error) {
    assert.ok(error instanceof HpackError, String(error));
    return undefined;
  }
}

function attempt<T>(act: () => T): { readonly value: T } | { readonly error: string } {
  try {
    return { value: act() };
  } catch (error) {
    return { error: String(error) };
  }
}

function plain(fields: readonly Field[]): string {
  return JSON.stringify(fields);
}

function names(fields: readonly Field[]): string {
  return JSON.stringify(fields.map(({ name, value }) => [name, value]));
}
