// Header blocks of gRPC requests: ours beside hpack.js, which keeps a list for a table and walks Huffman's code by bits.
import { bench, do_not_optimize, group } from 'mitata';
import { HpackDecoder } from '../../lib/wire/hpack/decoder.ts';
import { HpackEncoder } from '../../lib/wire/hpack/encoder.ts';
import type { Field } from '../../lib/wire/hpack/fields.ts';
import { HpackJs } from '../../test/support/hpack-twin.ts';

const count = 1_024;

/** Nine fields, of which the last is another each time. */
function request(number: number, token?: string): Field[] {
  const list = [
    [':method', 'POST'],
    [':scheme', 'https'],
    [':path', '/agents.AgentRpc/OpenChannel'],
    [':authority', 'gateway.example:8443'],
    ['te', 'trailers'],
    ['content-type', 'application/grpc'],
    ['user-agent', 'grpc-python/1.62.1 grpc-c/39.0.0 (linux; chttp2)'],
    ['grpc-accept-encoding', 'identity, deflate, gzip'],
    ['grpc-timeout', `${10_000 + number}m`],
    ...(token === undefined ? [] : [['authorization', `Bearer ${token}`]]),
  ];
  return list.map(([name = '', value = '']) => ({ name, value, sensitive: name === 'authorization' }));
}

function tokenOf(number: number): string {
  return Buffer.from(`${number} `.repeat(200)).toString('base64url').slice(0, 800);
}

/** Goes round, so that each call has the next. */
function turning<T>(items: readonly T[]): () => T {
  let at = 0;
  return () => {
    at = (at + 1) % items.length;
    return items[at] as T;
  };
}

/** The first block fills the tables; the rest are measured, each as often as any. */
function blocksOf(
  encoder: HpackEncoder,
  lists: readonly Field[][],
  first: (block: Uint8Array) => void,
): Uint8Array[] {
  first(encoder.encode(lists[0] as Field[]));
  return lists.map(list => encoder.encode(list));
}

const kinds = [
  { name: '9 fields, a new timeout each', lists: Array.from({ length: count }, (_, n) => request(n)) },
  {
    name: '10 fields, a new token of 800 B each',
    lists: Array.from({ length: count }, (_, n) => request(n, tokenOf(n))),
  },
];

for (const { name, lists } of kinds) {
  const decoder = new HpackDecoder();
  const twin = new HpackJs();
  const blocks = blocksOf(new HpackEncoder(), lists, block => {
    decoder.decode(block);
    twin.decode(block);
  });
  const nextBlock = turning(blocks);
  const nextList = turning(lists);
  const encoder = new HpackEncoder();
  const twinEncoder = new HpackJs();
  group(`decode ${name}`, () => {
    bench(`HpackDecoder, ${name}`, () => do_not_optimize(decoder.decode(nextBlock())));
    bench(`hpack.js decodes, ${name}`, () => do_not_optimize(twin.decode(nextBlock())));
  });
  group(`encode ${name}`, () => {
    bench(`HpackEncoder, ${name}`, () => do_not_optimize(encoder.encode(nextList())));
    bench(`hpack.js encodes, ${name}`, () => do_not_optimize(twinEncoder.encode(nextList())));
  });
  const passing = new HpackEncoder();
  bench(`decoded and encoded, ${name}`, () =>
    do_not_optimize(passing.encode(decoder.decode(nextBlock()).fields)),
  );
}

group('decode one of 8 blocks again', () => {
  for (const { name, lists } of kinds) {
    const decoder = new HpackDecoder();
    const next = turning(blocksOf(new HpackEncoder(), lists.slice(0, 8), block => decoder.decode(block)));
    bench(`HpackDecoder, met before: ${name}`, () => do_not_optimize(decoder.decode(next())));
  }
});
