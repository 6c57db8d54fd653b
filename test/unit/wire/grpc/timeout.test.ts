import t from 'tap';
import { parseGrpcTimeout } from '../../../../lib/wire/grpc/timeout.ts';

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
  t.test(`grpc-timeout ${text} is ${ms} ms`, async t => t.equal(parseGrpcTimeout(text), ms));
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
