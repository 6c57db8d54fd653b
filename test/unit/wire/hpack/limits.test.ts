import t from 'tap';
import {
  maxCacheCost,
  maxCachedBlockBytes,
  maxCachedBlocks,
} from '../../../../lib/wire/hpack/block-cache.ts';
import { HpackDecoder, hpackDefaults } from '../../../../lib/wire/hpack/decoder.ts';
import { HpackEncoder } from '../../../../lib/wire/hpack/encoder.ts';
import { field, lines, literal, octets, tableAfter } from '../../../support/hpack-fields.ts';

t.test('the defaults', async t => {
  t.same(hpackDefaults, { maxTableBytes: 4_096, maxListBytes: 65_536, maxFields: 128, maxCrumbs: 32 });
  t.equal(maxCachedBlocks, 256);
  t.equal(maxCachedBlockBytes, 1_024);
  t.equal(maxCacheCost, 262_144);
});

t.test(
  '65,536 references to an entry of 4 KiB are refused, cost no memory, and leave the table in step',
  async t => {
    const limits = { ...hpackDefaults, maxFields: 1_000_000 };
    const decoder = new HpackDecoder(limits);
    decoder.decode(literal(0x40, 'bomb', 'x'.repeat(4_060)));
    const bomb = Buffer.alloc(65_536, 0xbe);
    decoder.decode(bomb);
    const before = process.memoryUsage().heapUsed;
    const started = performance.now();
    const { fields, refused } = decoder.decode(bomb);
    const tookMs = performance.now() - started;
    const grown = process.memoryUsage().heapUsed - before;
    t.equal(refused, 'a header list of 268435456 bytes, limit 65536');
    t.same(fields, []);
    t.ok(grown < 262_144, `${grown} B`);
    t.ok(tookMs < 500, `${tookMs} ms`);
    t.equal(decoder.decode(octets('be')).fields[0]?.value.length, 4_060, 'honest traffic goes on');
  },
);

t.test('what a refused block inserts is in the table', async t => {
  const refusedBlock = Buffer.concat([
    ...Array.from({ length: 128 }, () => octets('82')),
    literal(0x40, 'first', 'a'),
    literal(0x00, 'not', 'kept'),
    literal(0x40, 'second', 'b'),
  ]);
  const decoder = new HpackDecoder();
  t.equal(decoder.decode(refusedBlock).refused, 'a header list of 131 fields, limit 128');
  t.same(lines(decoder.decode(octets('be bf')).fields), ['second: b', 'first: a']);
});

t.test('128 fields pass and 129 do not', async t => {
  const decoder = new HpackDecoder();
  t.equal(decoder.decode(Buffer.alloc(128, 0x82)).fields.length, 128);
  const { fields, refused } = decoder.decode(Buffer.alloc(129, 0x82));
  t.equal(refused, 'a header list of 129 fields, limit 128');
  t.same(fields, []);
});

t.test('32 crumbs of a cookie pass and 33 do not', async t => {
  const decoder = new HpackDecoder();
  const crumb = literal(0x10, 'cookie', 'a=b');
  const crumbs = (count: number): Buffer => Buffer.concat(Array.from({ length: count }, () => crumb));
  t.equal(decoder.decode(crumbs(32)).fields.length, 32);
  t.equal(decoder.decode(crumbs(33)).refused, '33 cookie fields, limit 32');
});

t.test('a list of 65,536 B passes and one of 65,537 B does not, plain or in Huffman', async t => {
  const list = (bytes: number): Buffer => literal(0x00, 'a', 'e'.repeat(bytes - 33));
  const decoder = new HpackDecoder();
  t.equal(decoder.decode(list(65_536)).fields[0]?.value.length, 65_503);
  t.equal(decoder.decode(list(65_537)).refused, 'a header list of 65537 bytes, limit 65536');
  const coded = (bytes: number): Uint8Array =>
    new HpackEncoder().encode([field('a', 'e'.repeat(bytes - 33))]);
  t.equal(new HpackDecoder().decode(coded(65_536)).fields[0]?.value.length, 65_503);
  t.equal(new HpackDecoder().decode(coded(65_537)).refused, 'a header list of 65537 bytes, limit 65536');
});

t.test('a string of 2 MiB is counted and not made, whatever it was to be indexed as', async t => {
  for (const pattern of [0x00, 0x10, 0x40]) {
    const decoder = new HpackDecoder();
    decoder.decode(literal(0x40, 'a', 'b'));
    const plainBlock = literal(pattern, 'huge', 'e'.repeat(2_097_152));
    t.equal(decoder.decode(plainBlock).refused, 'a header list of 2097188 bytes, limit 65536');
    const coded = Buffer.from(new HpackEncoder().encode([field('huge', 'e'.repeat(2_097_152))]));
    coded[0] = pattern;
    t.equal(decoder.decode(coded).refused, 'a header list of 2097188 bytes, limit 65536');
    // An entry larger than the table empties it (RFC 7541 4.4); one that is not to be indexed does not.
    if (pattern === 0x40) t.throws(() => decoder.decode(octets('be')), /the tables end at 61/);
    else t.same(lines(decoder.decode(octets('be')).fields), ['a: b']);
  }
});

t.test(
  'an entry is evicted by the bytes of the next, oldest first, and its own name may be what it needs',
  async t => {
    const size = octets('3f 61'); // 128 bytes
    const first = literal(0x40, 'name', 'a'.repeat(60)); // 96
    const second = Buffer.concat([octets('7e'), Buffer.of(28), Buffer.alloc(28, 0x62)]); // 64: 96 + 64 > 128
    const table = tableAfter([size, first, second]);
    t.same(lines(table), [`name: ${'b'.repeat(28)}`]);
  },
);

t.test('with a table of 0 B nothing is kept, and references to it are refused', async t => {
  const decoder = new HpackDecoder({ ...hpackDefaults, maxTableBytes: 0 });
  t.same(lines(decoder.decode(Buffer.concat([octets('20'), literal(0x40, 'a', 'b')])).fields), ['a: b']);
  t.throws(() => decoder.decode(octets('be')), /the tables end at 61/);
  t.throws(
    () => new HpackDecoder({ ...hpackDefaults, maxTableBytes: 0 }).decode(octets('21')),
    /a table of 1 bytes, limit 0/,
  );
});
