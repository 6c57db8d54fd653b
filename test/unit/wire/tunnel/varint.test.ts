import assert from 'node:assert/strict';
import fc from 'fast-check';
import t from 'tap';
import {
  readVarint,
  varintBad,
  varintBytes,
  varintShort,
  writeVarint,
} from '../../../../lib/wire/tunnel/varint.ts';

/** The definition, with BigInt: seven bits a byte, the lowest first. */
function naive(value: number): Buffer {
  const bytes: number[] = [];
  let rest = BigInt(value);
  for (;;) {
    const low = Number(rest & 0x7fn);
    rest >>= 7n;
    bytes.push(rest > 0n ? low | 0x80 : low);
    if (rest === 0n) return Buffer.from(bytes);
  }
}

const edges = Array.from({ length: 54 }, (_, bit) => 2 ** bit).flatMap(power => [
  power - 1,
  power,
  power + 1,
]);

function check(value: number): void {
  const expected = naive(value);
  const out = Buffer.alloc(expected.byteLength + 2, 0xee);
  assert.equal(varintBytes(value), expected.byteLength, `${value}`);
  assert.equal(writeVarint(out, 1, value), expected.byteLength + 1);
  assert.equal(out.subarray(1, -1).toString('hex'), expected.toString('hex'));
  const at = { next: 0 };
  assert.equal(readVarint(out, 1, out.byteLength, at), value);
  assert.equal(at.next, expected.byteLength + 1);
  for (let end = 0; end < expected.byteLength; end += 1) {
    assert.equal(readVarint(expected, 0, end, at), varintShort, `${value} cut at ${end}`);
  }
}

t.test('every power of two and its neighbours up to 2^53 - 1, and any other, beside BigInt', async t => {
  for (const value of edges) if (value <= Number.MAX_SAFE_INTEGER) check(value);
  fc.assert(fc.property(fc.maxSafeNat(), check), { numRuns: 500 });
  t.pass('all the same');
});

t.test('what is not minimal, or more than 2^53 - 1, is bad', async t => {
  for (const hex of [
    '8000',
    '808000',
    'ff00',
    'ffffffffffffff1f',
    'ffffffffffffffff01',
    '8080808080808010',
  ]) {
    t.equal(readVarint(Buffer.from(hex, 'hex'), 0, hex.length / 2, { next: 0 }), varintBad, hex);
  }
  t.equal(readVarint(Buffer.from('ffffffffffffff0f', 'hex'), 0, 8, { next: 0 }), Number.MAX_SAFE_INTEGER);
});
