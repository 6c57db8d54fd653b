import assert from 'node:assert/strict';
import fc from 'fast-check';
import { LockwireError } from '../../lib/core/errors.ts';
import { FrameDecoder } from '../../lib/wire/tunnel/decode.ts';
import { type FuzzTarget, mutate, type Random } from '../support/fuzz.ts';
import { encodeItem, encodeItems, FrameCollector, itemArbitrary, plain } from '../support/tunnel-frames.ts';

/** Frames of every kind, to be joined to captures. */
const valid = fc.sample(itemArbitrary(), { numRuns: 200, seed: 1 }).map(encodeItem);

/** Whatever bytes come, however they are cut: the same frames and the same error, and that a LockwireError. */
export const target: FuzzTarget = {
  once(random) {
    const bytes = input(random);
    const whole = decode(bytes, []);
    const cuts = Array.from({ length: random.int(6) }, () => random.int(bytes.byteLength + 1));
    const cut = decode(
      bytes,
      cuts.sort((a, b) => a - b),
    );
    assert.equal(cut.frames, whole.frames, `cut at ${cuts}`);
    assert.equal(cut.error, whole.error, `cut at ${cuts}`);
    assert.equal(cut.received, whole.received, `cut at ${cuts}`);
    if (bytes.byteLength < 2_000) {
      const each = decode(
        bytes,
        Array.from({ length: bytes.byteLength }, (_, at) => at),
      );
      assert.equal(each.frames, whole.frames, 'byte by byte');
      assert.equal(each.error, whole.error, 'byte by byte');
    }
  },
};

function input(random: Random): Buffer {
  if (random.chance(0.1)) return random.bytes(random.size(300));
  const capture = Buffer.concat(Array.from({ length: 1 + random.int(4) }, () => random.pick(valid)));
  return random.chance(0.1) ? capture : mutate(random, capture);
}

function decode(bytes: Buffer, cuts: readonly number[]): { frames: string; error: string; received: number } {
  const collector = new FrameCollector();
  let error = '';
  try {
    collector.push(bytes, cuts);
  } catch (thrown) {
    assert.ok(thrown instanceof LockwireError && thrown.code === 'protocol', String(thrown));
    error = thrown.message;
  }
  if (error === '' && collector.decoder.atBoundary) printAgain(collector);
  return { frames: plain(collector.items), error, received: collector.decoder.received };
}

/** What was read can be written, and read again as the same. */
function printAgain(collector: FrameCollector): void {
  const again = new FrameCollector().push(encodeItems(collector.items));
  assert.equal(plain(again.items), plain(collector.items));
  assert.ok(again.decoder instanceof FrameDecoder);
}
