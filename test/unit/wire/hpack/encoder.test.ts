import t from 'tap';
import { HpackDecoder } from '../../../../lib/wire/hpack/decoder.ts';
import { HpackEncoder } from '../../../../lib/wire/hpack/encoder.ts';
import { treatmentOf } from '../../../../lib/wire/hpack/field-treatment.ts';
import { Random } from '../../../support/fuzz.ts';
import { field, lines, octets, tableAfter } from '../../../support/hpack-fields.ts';

function hex(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('hex');
}

t.test('a list that returns takes one byte a field, and the table stands still', async t => {
  const encoder = new HpackEncoder();
  const list = [
    field(':method', 'POST'),
    field(':path', '/agents.AgentRpc/OpenChannel'),
    field('user-agent', 'grpc-python/1.62.1'),
    field('te', 'trailers'),
  ];
  const first = encoder.encode(list);
  t.ok(first.length > 30);
  const { generation } = encoder;
  t.equal(hex(encoder.encode(list)), '83c0bfbe');
  t.equal(encoder.generation, generation);
  t.not(encoder.encode(list), encoder.encode(list), 'each is the caller’s own');
});

t.test('credentials and what is marked are never indexed, from the static table either', async t => {
  const encoder = new HpackEncoder();
  const list = [
    field('authorization', 'Bearer abc'),
    field('proxy-authorization', 'Basic abc'),
    field('cookie', 'a=b'),
    field('set-cookie', 'a=b'),
    field('x-api-key', 'abc'),
    field('api-key', 'abc'),
    field('x-goog-api-key', 'abc'),
    field('x-own', 'abc', true),
    field(':method', 'GET', true),
    field('authorization', ''),
  ];
  const { generation } = encoder;
  for (let round = 0; round < 3; round += 1) {
    const block = encoder.encode(list);
    t.same(
      lines(new HpackDecoder().decode(block).fields),
      list.map(({ name, value }) => `!${name}: ${value}`),
    );
    t.same(tableAfter([block]), []);
  }
  t.equal(encoder.generation, generation);
});

t.test('a value that was indexed in the open is not referred to where it is marked', async t => {
  const encoder = new HpackEncoder();
  const decoder = new HpackDecoder();
  decoder.decode(encoder.encode([field('x-own', 'abc')]));
  const block = encoder.encode([field('x-own', 'abc', true), field('x-own', 'abc')]);
  t.equal(block[0]! & 0xf0, 0x10);
  t.same(lines(decoder.decode(block).fields), ['!x-own: abc', 'x-own: abc']);
});

t.test('what is another in each message stays out of the table', async t => {
  const encoder = new HpackEncoder();
  const names = ['grpc-timeout', 'traceparent', 'tracestate', 'content-length', 'date', 'grpc-message'];
  for (const name of names) t.equal(treatmentOf(name), 'literal');
  const { generation } = encoder;
  for (let round = 0; round < 100; round += 1) {
    const list = names.map(name => field(name, `${round}`));
    t.same(lines(new HpackDecoder().decode(encoder.encode(list)).fields), lines(list));
  }
  t.equal(encoder.generation, generation);
});

/** How often the table changed over `count` requests of which `path(n)` is the path. */
function changes(count: number, path: (number: number) => string): { changes: number; bytes: number } {
  const encoder = new HpackEncoder();
  const decoder = new HpackDecoder();
  let changed = 0;
  let bytes = 0;
  for (let number = 0; number < count; number += 1) {
    const list = [
      field(':method', 'POST'),
      field(':scheme', 'https'),
      field(':path', path(number)),
      field(':authority', 'gateway.example:8443'),
      field('content-type', 'application/grpc'),
      field('user-agent', 'grpc-python/1.62.1'),
    ];
    const { generation } = encoder;
    const block = encoder.encode(list);
    if (encoder.generation !== generation) changed += 1;
    bytes += block.length;
    if (decoder.decode(block).fields[2]?.value !== path(number)) throw new Error(`out of step at ${number}`);
  }
  return { changes: changed, bytes };
}

t.test('one path in 30,000 requests changes the table once', async t => {
  const { changes: changed, bytes } = changes(30_000, () => '/agents.AgentRpc/OpenChannel');
  t.equal(changed, 1);
  t.ok(bytes < 30_000 * 6 + 200, `${bytes} B`);
});

t.test('12 paths are all indexed', async t => {
  const { changes: changed, bytes } = changes(30_000, number => `/agents.AgentRpc/Method${number % 12}`);
  t.equal(changed, 12);
  t.ok(bytes < 30_000 * 6 + 800, `${bytes} B`);
});

t.test(
  '10,000 paths in turn leave the table still: at most one change in 500 requests after the first 16',
  async t => {
    const { changes: changed } = changes(30_000, number => `/v1/things/${number % 10_000}/part`);
    t.ok(changed >= 16 && changed <= 16 + 60, `${changed} changes`);
  },
);

t.test('10,000 paths at random: at most one in 400', async t => {
  const random = new Random(1);
  const order = Array.from({ length: 30_000 }, () => random.int(10_000));
  const { changes: changed } = changes(30_000, number => `/v1/things/${order[number]}/part`);
  t.ok(changed <= 75, `${changed} changes`);
});

t.test('after 10,000 paths, three that return come into the table within 10,000 requests', async t => {
  const encoder = new HpackEncoder();
  const path = (number: number): string => `/agents.AgentRpc/Method${number % 3}`;
  for (let number = 0; number < 10_000; number += 1) encoder.encode([field(':path', `/things/${number}`)]);
  for (let number = 0; number < 10_000; number += 1) encoder.encode([field(':path', path(number))]);
  for (let number = 0; number < 3; number += 1)
    t.equal(encoder.encode([field(':path', path(number))]).length, 1);
});

t.test(
  '10,000 names that never return leave the table still, and the names that are kept are few',
  async t => {
    const encoder = new HpackEncoder();
    const decoder = new HpackDecoder();
    let changed = 0;
    for (let number = 0; number < 10_000; number += 1) {
      const { generation } = encoder;
      const list = [field('content-type', 'application/grpc'), field(`x-made-up-${number}`, 'a')];
      const read = decoder.decode(encoder.encode(list)).fields;
      if (lines(read).join() !== lines(list).join()) throw new Error(`out of step at ${number}`);
      if (encoder.generation !== generation) changed += 1;
    }
    t.ok(changed < 64 + 1 + 2 * 10, `${changed} changes`);
  },
);

t.test('an entry above a quarter of the table is not indexed', async t => {
  const encoder = new HpackEncoder();
  const { generation } = encoder;
  encoder.encode([field('x-long', 'a'.repeat(1_024 - 32 - 6 + 1))]);
  t.equal(encoder.generation, generation);
  encoder.encode([field('x-long', 'a'.repeat(1_024 - 32 - 6))]);
  t.ok(encoder.generation > generation);
});

t.test('with a table of 0 B, as nginx has, blocks are literals and static references alone', async t => {
  const encoder = new HpackEncoder();
  encoder.encode([field('x-a', 'b')]);
  encoder.setPeerTableBytes(0);
  const list = [field(':method', 'GET'), field('x-a', 'b'), field(':path', '/a')];
  const first = encoder.encode(list);
  t.equal(first[0], 0x20, 'a size update to 0');
  const { generation } = encoder;
  const second = encoder.encode(list);
  t.equal(hex(second), hex(first.subarray(1)));
  t.equal(encoder.generation, generation);
  t.same(tableAfter([second]), []);
});

t.test('a change of size is told at the start of the next block: the least and the last', async t => {
  const told = (...sizes: number[]): string => {
    const encoder = new HpackEncoder();
    for (const bytes of sizes) encoder.setPeerTableBytes(bytes);
    const block = encoder.encode([field(':method', 'GET')]);
    t.equal(hex(encoder.encode([field(':method', 'GET')])), '82', 'and only there');
    return hex(block);
  };
  t.equal(told(), '82');
  t.equal(told(4_096), '82');
  t.equal(told(65_536), '82', 'we use 4,096 B whatever the peer allows');
  t.equal(told(0), '2082');
  t.equal(told(0, 4_096), '203fe11f82');
  t.equal(told(100, 0, 200), '203fa90182');
  t.equal(told(30, 65_536), '3e3fe11f82');
  t.equal(told(200, 100), '3f4582');
  t.equal(
    hex(new HpackEncoder(0).encode([field(':method', 'GET')])),
    '2082',
    'where we choose less than the default',
  );
});

t.test('a smaller size evicts at once, and the generation tells', async t => {
  const encoder = new HpackEncoder();
  const decoder = new HpackDecoder();
  const list = [field('x-a', 'a'.repeat(60)), field('x-b', 'b'.repeat(60))];
  decoder.decode(encoder.encode(list));
  let { generation } = encoder;
  encoder.setPeerTableBytes(100);
  t.ok(encoder.generation > generation, 'a block of before must not be sent again');
  generation = encoder.generation;
  const block = encoder.encode([field('x-b', 'b'.repeat(60))]);
  t.ok(encoder.generation > generation, 'nor the one that tells the size');
  t.equal(hex(block), '3f45be');
  t.same(lines(decoder.decode(block).fields), [`x-b: ${'b'.repeat(60)}`]);
  t.throws(() => decoder.decode(octets('bf')), /the tables end at 62/);
});

t.test('a block of 300 KiB is written whole, and the next is as small as ever', async t => {
  const list = [field('x-bin', '\u00ff'.repeat(300_000)), field('x-a', 'b')];
  const encoder = new HpackEncoder();
  const limits = { maxTableBytes: 4_096, maxListBytes: 1_000_000, maxFields: 128, maxCrumbs: 32 };
  t.same(new HpackDecoder(limits).decode(encoder.encode(list)).fields, list);
  t.equal(hex(encoder.encode([field('x-a', 'b')])), 'be');
});

t.test('a character that is no byte is our own bug, and the encoder is done for', async t => {
  const encoder = new HpackEncoder();
  t.throws(
    () => encoder.encode([field('x-a', 'b'), field('x-b', '\u0100')]),
    /internal error: a header field/,
  );
  t.throws(() => encoder.encode([]), /internal error: an earlier header list/);
});

t.test('long or short, a string of each octet and one with a character beyond them', async t => {
  for (const length of [1, 23, 24, 25, 1_000]) {
    const decoder = new HpackDecoder();
    const encoder = new HpackEncoder();
    for (let octet = 0; octet < 256; octet += 1) {
      const list = [field('x-bin', `${'e'.repeat(length - 1)}${String.fromCharCode(octet)}`)];
      if (lines(decoder.decode(encoder.encode(list)).fields).join() !== lines(list).join()) {
        t.fail(`octet ${octet} in ${length} B`);
      }
    }
    const beyond = field('x-bin', `${'e'.repeat(length - 1)}\u0141`);
    t.throws(() => encoder.encode([beyond]), /internal error: a header field with a character/);
  }
});
