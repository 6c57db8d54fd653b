import t from 'tap';
import {
  BlockCache,
  hashBlock,
  maxCacheCost,
  maxCachedBlocks,
} from '../../../../lib/wire/hpack/block-cache.ts';
import { HpackDecoder } from '../../../../lib/wire/hpack/decoder.ts';
import { lines, literal, octets } from '../../../support/hpack-fields.ts';

t.test(
  'the same bytes give the same object while the table stands still, with what the owner noted',
  async t => {
    const decoder = new HpackDecoder();
    decoder.decode(literal(0x40, 'a', 'b'));
    const { generation } = decoder;
    const block = Buffer.concat([octets('be'), literal(0x00, 'grpc-timeout', '1S')]);
    const met = decoder.decode(block);
    met.memo = 'worked out';
    t.equal(decoder.decode(Buffer.from(block)), met);
    t.equal(decoder.decode(new Uint8Array(block)).memo, 'worked out');
    t.equal(decoder.generation, generation);
    block[0] = 0x82;
    t.same(lines(met.fields), ['a: b', 'grpc-timeout: 1S'], 'the block is not kept');
    t.same(lines(decoder.decode(block).fields), [':method: GET', 'grpc-timeout: 1S']);
  },
);

t.test('an insertion, an eviction and another size each make it new', async t => {
  const decoder = new HpackDecoder();
  const insert = (name: string, value: string) => decoder.decode(literal(0x40, name, value));
  insert('a', 'b');
  const reference = octets('be');
  const first = decoder.decode(reference);
  const changes: [name: string, change: () => void, then: string][] = [
    ['an insertion', () => insert('c', 'd'), 'c: d'],
    ['an insertion that evicts all', () => insert('e', 'f'.repeat(4_063)), `e: ${'f'.repeat(4_063)}`],
    ['an entry too large, which empties the table', () => insert('e', 'f'.repeat(4_064)), ''],
  ];
  let last = first;
  for (const [name, change, then] of changes) {
    const { generation } = decoder;
    change();
    t.ok(decoder.generation > generation, name);
    if (then === '') {
      t.throws(() => decoder.decode(reference), /the tables end at 61/);
      continue;
    }
    const next = decoder.decode(reference);
    t.not(next, last, name);
    t.same(lines(next.fields), [then], name);
    last = next;
  }
});

t.test('a block that changes the table does so each time it comes', async t => {
  const decoder = new HpackDecoder();
  const block = literal(0x40, 'a', 'b');
  const first = decoder.decode(block);
  t.not(decoder.decode(block), first);
  t.same(lines(decoder.decode(octets('be bf')).fields), ['a: b', 'a: b']);
});

t.test(
  'a size update that changes nothing leaves the cache as it is, and one that does empties it',
  async t => {
    const decoder = new HpackDecoder();
    const block = octets('82');
    const met = decoder.decode(block);
    decoder.decode(octets('3f e1 1f'));
    t.equal(decoder.decode(block), met);
    decoder.decode(octets('20'));
    t.not(decoder.decode(block), met);
  },
);

t.test('a block of 1,024 B is looked up, one of 1,025 B is not', async t => {
  const decoder = new HpackDecoder();
  const block = (bytes: number): Buffer => literal(0x00, 'a', 'b'.repeat(bytes - 6));
  t.equal(block(1_024).length, 1_024);
  t.equal(decoder.decode(block(1_024)), decoder.decode(block(1_024)));
  t.not(decoder.decode(block(1_025)), decoder.decode(block(1_025)));
});

t.test('of 10,000 blocks at most 256 are kept, and no more than their budget', async t => {
  const cache = new BlockCache<number>();
  const block = (number: number): Buffer => Buffer.from(`block ${number}`);
  for (let number = 0; number < 10_000; number += 1) {
    cache.set(block(number), hashBlock(block(number)), number, 100);
    // Each comes again.
    cache.get(block(number), hashBlock(block(number)));
  }
  const kept = Array.from({ length: 10_000 }, (_, number) =>
    cache.get(block(number), hashBlock(block(number))),
  );
  const found = kept.filter(number => number !== undefined);
  t.ok(found.length <= maxCachedBlocks && found.length > maxCachedBlocks / 2, `${found.length} kept`);
  t.ok(kept.every((number, at) => number === undefined || number === at));

  const large = new BlockCache<number>();
  for (let number = 0; number < 1_000; number += 1) {
    large.set(block(number), hashBlock(block(number)), number, 10_000);
  }
  const count = Array.from({ length: 1_000 }, (_, n) => large.get(block(n), hashBlock(block(n)))).filter(
    number => number !== undefined,
  ).length;
  t.ok(count * 10_000 <= maxCacheCost, `${count} of 10,000 B kept`);
  large.set(block(0), hashBlock(block(0)), 0, maxCacheCost + 1);
  t.equal(large.get(block(0), 0), undefined);
});

t.test(
  'where 256 blocks came and none again, one is kept when it comes twice; one that is found ends that',
  async t => {
    const cache = new BlockCache<number>();
    const block = (number: number): Buffer => Buffer.from(`block ${number}`);
    const meet = (number: number): boolean => {
      const hash = hashBlock(block(number));
      if (cache.get(block(number), hash) === number) return true;
      cache.set(block(number), hash, number, 100);
      return false;
    };
    for (let number = 0; number < maxCachedBlocks; number += 1) meet(number);
    for (let number = 1_000; number < 2_000; number += 1) t.notOk(meet(number));
    t.notOk(meet(3_000));
    t.notOk(meet(3_000), 'the first time it was let pass');
    t.ok(meet(3_000), 'the second time it was kept');
    t.notOk(meet(4_000));
    t.ok(meet(4_000), 'kept at once again');
    cache.clear();
    t.notOk(meet(4_000));
    t.ok(meet(4_000));
  },
);

t.test('blocks made to collide share two places, and neither is taken for the other', async t => {
  const cache = new BlockCache<string>();
  const blocks = ['one', 'two', 'six'].map(text => Buffer.from(text));
  cache.set(blocks[0]!, 7, 'one', 1);
  cache.set(blocks[1]!, 7, 'two', 1);
  t.equal(cache.get(blocks[0]!, 7), 'one');
  t.equal(cache.get(blocks[1]!, 7), 'two');
  t.equal(cache.get(blocks[2]!, 7), undefined);
  // The one used last stays.
  t.equal(cache.get(blocks[0]!, 7), 'one');
  cache.set(blocks[2]!, 7, 'six', 1);
  t.equal(cache.get(blocks[0]!, 7), 'one');
  t.equal(cache.get(blocks[1]!, 7), undefined);
  t.equal(cache.get(blocks[2]!, 7), 'six');
});
