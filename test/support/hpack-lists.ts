import fc from 'fast-check';
import type { Field } from '../../lib/wire/hpack/fields.ts';

const names = [
  ':method',
  ':path',
  ':status',
  ':authority',
  'content-type',
  'cookie',
  'set-cookie',
  'authorization',
  'date',
  'grpc-timeout',
  'grpc-status',
  'te',
  'user-agent',
  'x-agent',
  'x-session',
  'x-a',
];
const values = [
  '',
  'GET',
  'POST',
  '200',
  '/',
  '/index.html',
  'trailers',
  'application/grpc',
  'gzip, deflate',
  '0',
];

/** Any octets, which is what HPACK carries. */
function latin1(maxLength: number): fc.Arbitrary<string> {
  return fc.string({
    unit: fc.integer({ min: 0, max: 255 }).map(octet => String.fromCharCode(octet)),
    maxLength,
  });
}

function fieldArbitrary(): fc.Arbitrary<Field> {
  return fc.record({
    name: fc.oneof(
      { weight: 4, arbitrary: fc.constantFrom(...names) },
      fc.stringMatching(/^[a-z-]{1,20}$/),
      latin1(8),
    ),
    value: fc.oneof(
      { weight: 3, arbitrary: fc.constantFrom(...values) },
      fc.string({ maxLength: 80 }),
      latin1(40),
      fc.nat({ max: 1_500 }).map(length => 'v'.repeat(length)),
    ),
    sensitive: fc.nat({ max: 9 }).map(number => number === 0),
  });
}

/** Lists that follow each other on one connection: names and values return, others are new. */
export function listsArbitrary(): fc.Arbitrary<Field[][]> {
  return fc.array(fc.array(fieldArbitrary(), { maxLength: 14 }), { maxLength: 20 });
}
