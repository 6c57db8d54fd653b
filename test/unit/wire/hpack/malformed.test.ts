import t from 'tap';
import { LockwireError } from '../../../../lib/core/errors.ts';
import { HpackDecoder, HpackError } from '../../../../lib/wire/hpack/decoder.ts';
import { HpackEncoder } from '../../../../lib/wire/hpack/encoder.ts';
import { field, lines, literal, octets } from '../../../support/hpack-fields.ts';

/** What is no header block, in hex, and a part of what is said of it. */
const corpus: [name: string, hex: string, said: RegExp][] = [
  ['index 0', '80', /index 0/],
  ['an index past an empty dynamic table', 'be', /index 62, the tables end at 61/],
  ['a name past an empty dynamic table', '7e 01 61', /index 62, the tables end at 61/],
  ['an index of 4 GiB', 'ff 81 ff ff ff 0f', /integer 429496/],
  ['an integer of 2^31', 'ff 81 ff ff ff 07', /integer 2147483648, limit 2147483647/],
  ['an integer padded with zeros past 6 bytes', 'ff 80 80 80 80 80 00', /more than 6 bytes/],
  ['an integer without end', 'ff ff', /ends in an integer/],
  ['a string without end', '00 03 61', /a string of 3 bytes, 1 are left/],
  ['a string of 2 GiB', '00 7f 80 ff ff ff 07', /a string of 2147483647 bytes, 0 are left/],
  ['a literal without a value', '00 01 61', /ends before a string/],
  ['a literal without a name', '00', /ends before a string/],
  ['a Huffman string that contains EOS', '00 01 61 84 ff ff ff ff', /end's code/],
  ['EOS as the whole of it, then zeros', '00 01 61 84 ff ff ff fc', /end's code/],
  ['a Huffman string padded with 8 bits', '00 01 61 82 1f ff', /badly padded/],
  ['a Huffman string that is padding alone, 8 bits', '00 01 61 81 ff', /badly padded/],
  ['a Huffman string padded with zeros', '00 01 61 81 18', /badly padded/],
  ['a Huffman string cut within a code', '00 01 61 81 fe', /badly padded/],
  ['a size update above what was announced', '3f e2 1f', /a table of 4097 bytes, limit 4096/],
  ['a third size update', '20 20 20', /3 size updates, limit 2/],
  ['a size update behind a field', '82 20', /size update behind a field/],
  ['a size update between fields', '82 20 82', /size update behind a field/],
];

for (const [name, hex, said] of corpus) {
  t.test(`${name} is a compression error, and the decoder stays failed`, async t => {
    const decoder = new HpackDecoder();
    const honest = octets('82');
    t.same(lines(decoder.decode(honest).fields), [':method: GET']);
    t.throws(() => decoder.decode(octets(hex)), { name: 'HpackError', message: said });
    t.throws(() => decoder.decode(honest), /an earlier one was malformed/);
  });
}

t.test('what just passes is taken', async t => {
  const just: [name: string, hex: string, fields: string[]][] = [
    ['no bytes', '', []],
    ['a size update alone', '3f e1 1f', []],
    ['two size updates, the smallest first', '20 3f e1 1f 82', [':method: GET']],
    [
      'a length of 127 padded with zeros to 6 bytes',
      `00 01 61 7f 80 80 80 80 00 ${'62'.repeat(127)}`,
      [`a: ${'b'.repeat(127)}`],
    ],
    ['a Huffman string padded with 3 ones', '00 01 61 81 1f', ['a: a']],
    ['a Huffman string padded with 7 ones', '00 01 61 83 18 fa 7f', ['a: aaj']],
    ['an empty Huffman string', '00 01 61 80', ['a: ']],
  ];
  for (const [name, hex, fields] of just) {
    t.same(lines(new HpackDecoder().decode(octets(hex)).fields), fields, name);
  }
});

t.test('an HpackError is a LockwireError of a protocol', async t => {
  const error = new HpackError('index 0');
  t.ok(error instanceof LockwireError);
  t.equal(error.code, 'protocol');
});

t.test('every truncation of a block of 12 fields is a shorter list or a compression error', async t => {
  const block = Buffer.concat([
    octets('20 3f e1 1f'),
    new HpackEncoder().encode([
      field(':method', 'POST'),
      field(':path', '/agents.AgentRpc/OpenChannel'),
      field('user-agent', 'grpc-python/1.62.1'),
      field('authorization', 'Bearer abc'),
      field('x-bin', '\u0000\u00ff\u0080'),
      field('x-long', 'long '.repeat(60)),
      field('x-long', 'long '.repeat(60)),
    ]),
    literal(0x40, 'a', 'b'),
    literal(0x00, 'c', 'd'.repeat(300)),
    literal(0x10, 'e', 'f'),
    octets('be 82'),
  ]);
  const whole = lines(new HpackDecoder().decode(block).fields);
  t.equal(whole.length, 12);
  let values = 0;
  let errors = 0;
  for (let cut = 0; cut < block.length; cut += 1) {
    try {
      const part = lines(new HpackDecoder().decode(block.subarray(0, cut)).fields);
      t.same(part, whole.slice(0, part.length));
      values += 1;
    } catch (error) {
      if (!(error instanceof HpackError)) throw error;
      errors += 1;
    }
  }
  t.equal(values + errors, block.length);
  // One for each boundary between fields, and before, between and behind the size updates.
  t.equal(values, 12 + 2);
});
