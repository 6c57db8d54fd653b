import fc from 'fast-check';
import hpack from 'hpack.js';
import t from 'tap';
import { HpackDecoder, hpackDefaults } from '../../../../lib/wire/hpack/decoder.ts';
import { HpackEncoder } from '../../../../lib/wire/hpack/encoder.ts';
import type { Field } from '../../../../lib/wire/hpack/fields.ts';
import { codeLengths, codes } from '../../../../lib/wire/hpack/huffman-code.ts';
import { staticTable } from '../../../../lib/wire/hpack/static-table.ts';
import { listsArbitrary } from '../../../support/hpack-lists.ts';
import { NaiveDecoder } from '../../../support/hpack-naive.ts';
import { HpackJs } from '../../../support/hpack-twin.ts';

const everything = { maxTableBytes: 4_096, maxListBytes: 1e6, maxFields: 1e4, maxCrumbs: 1e4 };
const neverIndexed = new Set(['authorization', 'cookie', 'set-cookie']);

/** What comes back: credentials have become sensitive. */
function expected(fields: readonly Field[]): Field[] {
  return fields.map(({ name, value, sensitive }) => ({
    name,
    value,
    sensitive: sensitive || neverIndexed.has(name),
  }));
}

t.test('the static table and the code of all 257 symbols are those of hpack.js', async t => {
  t.same(
    staticTable.slice(1),
    hpack['static-table'].table.map(({ name, value }) => ({ name, value, sensitive: false })),
  );
  t.same(
    [...codeLengths],
    hpack.huffman.encode.map(([bits]) => bits),
  );
  t.same(
    [...codes],
    hpack.huffman.encode.map(([, code]) => code),
  );
});

t.test(
  '300 connections: what we encode is read the same by us, by a naive reader and by hpack.js',
  async t => {
    let blocks = 0;
    fc.assert(
      fc.property(listsArbitrary(), lists => {
        const encoder = new HpackEncoder();
        const readers = [new HpackDecoder(everything), new NaiveDecoder(everything), new HpackJs()];
        for (const list of lists) {
          const block = encoder.encode(list);
          blocks += 1;
          for (const reader of readers) {
            const read = reader.decode(block);
            const fields = read !== undefined && 'fields' in read ? read.fields : read;
            if (JSON.stringify(fields) !== JSON.stringify(expected(list))) return false;
          }
        }
        return true;
      }),
      { numRuns: 300 },
    );
    t.ok(blocks > 1_000, `${blocks} blocks`);
  },
);

// It looks values up in plain objects: `valueOf` finds it a function, so that such lists are left out.
t.test('150 connections: what hpack.js encodes is read by us as it was meant', async t => {
  fc.assert(
    fc.property(listsArbitrary(), lists => {
      const twin = new HpackJs();
      const decoder = new HpackDecoder(everything);
      for (const list of lists) {
        if (list.some(({ name, value }) => name in {} || value in {})) continue;
        const { fields } = decoder.decode(twin.encode(list));
        if (JSON.stringify(fields) !== JSON.stringify(list)) return false;
      }
      return true;
    }),
    { numRuns: 150 },
  );
  t.ok(true);
});

t.test('150 connections whose table size changes stay in step', async t => {
  const sizes = fc.array(fc.constantFrom(0, 31, 32, 60, 100, 500, 4_096, 65_536), { maxLength: 3 });
  fc.assert(
    fc.property(fc.array(fc.tuple(sizes, listsArbitrary()), { maxLength: 6 }), turns => {
      const encoder = new HpackEncoder();
      const ours = new HpackDecoder(hpackDefaults);
      const naive = new NaiveDecoder(everything);
      for (const [changes, lists] of turns) {
        for (const bytes of changes) encoder.setPeerTableBytes(bytes);
        for (const list of lists) {
          const block = encoder.encode(list);
          const wanted = JSON.stringify(expected(list));
          if (JSON.stringify(naive.decode(block)) !== wanted) return false;
          if (JSON.stringify(ours.decode(block).fields) !== wanted) return false;
        }
      }
      return true;
    }),
    { numRuns: 150 },
  );
  t.ok(true);
});
