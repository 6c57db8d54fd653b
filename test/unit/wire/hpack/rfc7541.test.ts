import t from 'tap';
import { BlockWriter } from '../../../../lib/wire/hpack/block-writer.ts';
import { HpackDecoder } from '../../../../lib/wire/hpack/decoder.ts';
import { HpackEncoder } from '../../../../lib/wire/hpack/encoder.ts';
import { fieldBytes } from '../../../../lib/wire/hpack/fields.ts';
import { fieldsOf, lines, octets, tableAfter } from '../../../support/hpack-fields.ts';

/** The examples of RFC 7541 appendix C: a block, what it says, and the table behind it, newest first. */
interface Example {
  readonly hex: string;
  readonly fields: readonly string[];
  readonly table: readonly string[];
  readonly tableBytes: number;
}

const custom = 'custom-key: custom-value';
const noCache = 'cache-control: no-cache';
const host = ':authority: www.example.com';
const requests = [
  [':method: GET', ':scheme: http', ':path: /', host],
  [':method: GET', ':scheme: http', ':path: /', host, noCache],
  [':method: GET', ':scheme: https', ':path: /index.html', host, custom],
] as const;
const requestTables = [
  { table: [host], tableBytes: 57 },
  { table: [noCache, host], tableBytes: 110 },
  { table: [custom, noCache, host], tableBytes: 164 },
] as const;

const dateOf = (second: number): string => `date: Mon, 21 Oct 2013 20:13:${second} GMT`;
const location = 'location: https://www.example.com';
const cacheControl = 'cache-control: private';
const gzip = 'content-encoding: gzip';
const setCookie = 'set-cookie: foo=ASDJKHQKBZXOQWEOPIUAXQWEOIU; max-age=3600; version=1';
const responses = [
  [':status: 302', cacheControl, dateOf(21), location],
  [':status: 307', cacheControl, dateOf(21), location],
  [':status: 200', cacheControl, dateOf(22), location, gzip, setCookie],
] as const;
const responseTables = [
  { table: [location, dateOf(21), cacheControl, ':status: 302'], tableBytes: 222 },
  { table: [':status: 307', location, dateOf(21), cacheControl], tableBytes: 222 },
  { table: [setCookie, gzip, dateOf(22)], tableBytes: 215 },
] as const;

function examples(
  hex: readonly string[],
  fields: readonly (readonly string[])[],
  tables: readonly { readonly table: readonly string[]; readonly tableBytes: number }[],
): Example[] {
  return hex.map((block, at) => ({
    hex: block,
    fields: fields[at] ?? [],
    ...(tables[at] ?? { table: [], tableBytes: 0 }),
  }));
}

const c3 = examples(
  [
    '8286 8441 0f77 7777 2e65 7861 6d70 6c65 2e63 6f6d',
    '8286 84be 5808 6e6f 2d63 6163 6865',
    '8287 85bf 400a 6375 7374 6f6d 2d6b 6579 0c63 7573 746f 6d2d 7661 6c75 65',
  ],
  requests,
  requestTables,
);
const c4 = examples(
  [
    '8286 8441 8cf1 e3c2 e5f2 3a6b a0ab 90f4 ff',
    '8286 84be 5886 a8eb 1064 9cbf',
    '8287 85bf 4088 25a8 49e9 5ba9 7d7f 8925 a849 e95b b8e8 b4bf',
  ],
  requests,
  requestTables,
);
const c5 = examples(
  [
    `4803 3330 3258 0770 7269 7661 7465 611d 4d6f 6e2c 2032 3120 4f63 7420 3230 3133
     2032 303a 3133 3a32 3120 474d 546e 1768 7474 7073 3a2f 2f77 7777 2e65 7861 6d70 6c65 2e63 6f6d`,
    '4803 3330 37c1 c0bf',
    `88c1 611d 4d6f 6e2c 2032 3120 4f63 7420 3230 3133 2032 303a 3133 3a32 3220 474d
     54c0 5a04 677a 6970 7738 666f 6f3d 4153 444a 4b48 514b 425a 584f 5157 454f 5049
     5541 5851 5745 4f49 553b 206d 6178 2d61 6765 3d33 3630 303b 2076 6572 7369 6f6e 3d31`,
  ],
  responses,
  responseTables,
);
const c6 = examples(
  [
    `4882 6402 5885 aec3 771a 4b61 96d0 7abe 9410 54d4 44a8 2005 9504 0b81 66e0 82a6
     2d1b ff6e 919d 29ad 1718 63c7 8f0b 97c8 e9ae 82ae 43d3`,
    '4883 640e ffc1 c0bf',
    `88c1 6196 d07a be94 1054 d444 a820 0595 040b 8166 e084 a62d 1bff c05a 839b d9ab
     77ad 94e7 821d d7f2 e6c7 b335 dfdf cd5b 3960 d5af 2708 7f36 72c1 ab27 0fb5 291f
     9587 3160 65c0 03ed 4ee5 b106 3d50 07`,
  ],
  responses,
  responseTables,
);

/** The responses' table is of 256 bytes, which a peer says at the start of its first block. */
const tableOf256 = octets('3f e1 01');

const suites: readonly [name: string, suite: readonly Example[], prefix: Uint8Array][] = [
  ['C.3, three requests without Huffman', c3, octets('')],
  ['C.4, three requests with Huffman', c4, octets('')],
  ['C.5, three responses without Huffman, a table of 256 B', c5, tableOf256],
  ['C.6, three responses with Huffman, a table of 256 B', c6, tableOf256],
];

for (const [name, suite, prefix] of suites) {
  t.test(`${name}: the lists and the tables are those of the RFC`, async t => {
    const decoder = new HpackDecoder();
    const blocks: Uint8Array[] = [];
    for (const [at, { hex, fields, table, tableBytes }] of suite.entries()) {
      const block = Buffer.concat([at === 0 ? prefix : octets(''), octets(hex)]);
      blocks.push(block);
      const decoded = decoder.decode(block);
      t.same(lines(decoded.fields), fields, `list ${at + 1}`);
      t.equal(decoded.refused, undefined);
      const after = tableAfter(blocks);
      t.same(lines(after), table, `table ${at + 1}`);
      t.equal(
        after.reduce((sum, entry) => sum + fieldBytes(entry), 0),
        tableBytes,
      );
    }
    t.equal(blocks.length, 3);
  });
}

t.test('C.2.1, a literal that is indexed', async t => {
  const block = octets('400a 6375 7374 6f6d 2d6b 6579 0d63 7573 746f 6d2d 6865 6164 6572');
  t.same(lines(new HpackDecoder().decode(block).fields), ['custom-key: custom-header']);
  const table = tableAfter([block]);
  t.same(lines(table), ['custom-key: custom-header']);
  t.equal(fieldBytes(table[0]!), 55);
});

t.test('C.2.2, a literal that is not indexed', async t => {
  const block = octets('040c 2f73 616d 706c 652f 7061 7468');
  t.same(lines(new HpackDecoder().decode(block).fields), [':path: /sample/path']);
  t.same(tableAfter([block]), []);
});

t.test('C.2.3, a literal that is never indexed says so', async t => {
  const block = octets('1008 7061 7373 776f 7264 0673 6563 7265 74');
  t.same(lines(new HpackDecoder().decode(block).fields), ['!password: secret']);
  t.same(tableAfter([block]), []);
});

t.test('C.2.4, a field of the static table', async t => {
  t.same(lines(new HpackDecoder().decode(octets('82')).fields), [':method: GET']);
  t.same(tableAfter([octets('82')]), []);
});

t.test('C.1, integers: 10 and 1,337 in a prefix of 5 bits, 42 at an octet', async t => {
  const written = (mask: number, value: number): string => {
    const writer = new BlockWriter();
    writer.begin();
    writer.integer(0, mask, value);
    return Buffer.from(writer.take()).toString('hex');
  };
  t.equal(written(0x1f, 10), '0a');
  t.equal(written(0x1f, 1_337), '1f9a0a');
  t.equal(written(0xff, 42), '2a');
});

t.test('C.4, the encoder makes the very same bytes of the requests', async t => {
  const encoder = new HpackEncoder();
  for (const { hex, fields } of c4) {
    t.equal(Buffer.from(encoder.encode(fieldsOf(...fields))).toString('hex'), octets(hex).toString('hex'));
  }
});
