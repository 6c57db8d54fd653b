import fc from 'fast-check';
import t from 'tap';
import { formatGrpcTimeout, parseGrpcTimeout } from '../../../../lib/wire/grpc/timeout.ts';

const good: [text: string, ms: number][] = [
  ['1H', 3_600_000],
  ['99999999H', 359_999_996_400_000],
  ['2M', 120_000],
  ['30S', 30_000],
  ['250m', 250],
  ['00000001m', 1],
  ['300u', 0.3],
  ['1500u', 1.5],
  ['1000000n', 1],
  ['99999999n', 99.999999],
  ['0n', 0],
  ['0H', 0],
];

for (const [text, ms] of good) {
  t.test(`grpc-timeout ${text} is ${ms} ms`, async t => {
    t.equal(parseGrpcTimeout(text), ms);
    t.equal(parseGrpcTimeout(formatGrpcTimeout(ms)), ms, 'and survives being written');
  });
}

t.test('what is no timeout is none: 9 digits, no unit, a sign, a fraction, space', async t => {
  const bad = [
    '',
    'S',
    '1',
    '1s',
    '1h',
    '1d',
    '-1S',
    '+1S',
    '1.5S',
    '1e3m',
    '0x1S',
    ' 1S',
    '1S ',
    '1S\n',
    '1 S',
  ];
  for (const text of [...bad, '123456789n', '000000001S', '١S', '1SS', '1mS']) {
    t.equal(parseGrpcTimeout(text), undefined, JSON.stringify(text));
  }
});

const written: [ms: number, text: string][] = [
  [0, '0n'],
  [-5, '0n'],
  [1e-9, '1n'],
  [0.1, '100000n'],
  [0.7, '700000n'],
  [99.999999, '99999999n'],
  [100, '100000u'],
  [1_000, '1000000u'],
  [99_999.999, '99999999u'],
  [100_000, '100000m'],
  [99_999_999, '99999999m'],
  [100_000_000, '100000S'],
  [100_000_000.5, '100001S'],
  [1e11, '1666667M'],
  [1e13, '2777778H'],
  [1e300, '99999999H'],
  [Number.POSITIVE_INFINITY, '99999999H'],
];

for (const [ms, text] of written) {
  t.test(`${ms} ms is written as ${text}`, async t => t.equal(formatGrpcTimeout(ms), text));
}

t.test('a timeout that is no number is an internal error', async t => {
  t.throws(() => formatGrpcTimeout(Number.NaN), /internal error/);
});

t.test('1,000 timeouts are written in at most 9 characters, at most a 100,000th part longer', async t => {
  const written = fc.property(fc.double({ min: 1e-6, max: 3e14, noNaN: true }), ms => {
    const text = formatGrpcTimeout(ms);
    const again = parseGrpcTimeout(text) ?? Number.NaN;
    // Doubles have 15 digits: what is lost beyond them does not make it shorter.
    return text.length <= 9 && again >= ms * (1 - 1e-13) && again <= ms + ms / 99_999 + 1e-6;
  });
  t.doesNotThrow(() => fc.assert(written, { numRuns: 1_000 }));
});
