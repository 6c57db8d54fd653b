import t from 'tap';
import { describeToken } from '../../../lib/doctor-credential.ts';

const now = Date.UTC(2026, 10, 24);
const encode = (value: unknown): string => Buffer.from(JSON.stringify(value)).toString('base64url');
const token = (claims: unknown): string => `${encode({ alg: 'ES256' })}.${encode(claims)}.c2lnbmF0dXJl`;

t.test('tells issuer, audience, subject and the time left of a token', async t => {
  const claims = { iss: 'https://id.example', aud: ['a', 'b'], sub: 'alice', exp: now / 1000 + 5400 };
  t.strictSame(describeToken(token(claims), now), {
    text: 'issuer https://id.example, audience a, b, subject alice, expires in 90 min (2026-11-24T01:30:00.000Z)',
    expired: false,
  });
  const over = describeToken(token({ ...claims, exp: now / 1000 - 60 }), now);
  t.equal(over.expired, true);
  t.match(over.text, /EXPIRED 60 s ago/);
});

t.test(
  'a token without claims, with strange ones, or that is none, is told without a piece of it',
  async t => {
    t.equal(describeToken(token({}), now).text, 'issuer (none), audience (none), subject (none), no expiry');
    t.match(
      describeToken(token({ exp: 1e300, sub: 7 }), now).text,
      /subject \(none\), an expiry that is no date/,
    );
    for (const text of [
      '',
      'opaque-secret',
      'a.b',
      'a.b.c',
      'a.b.c.d',
      token([1]),
      token('text'),
      token(null),
    ])
      t.equal(describeToken(text, now).text, 'a token that is no JWT, which no gateway takes');
  },
);

t.test('a subject of 5,000 characters with escapes for the terminal is cut and escaped', async t => {
  const { text } = describeToken(token({ sub: `\u001b[2J${'x'.repeat(5000)}` }), now);
  t.ok(text.length < 400);
  t.notOk(text.includes('\u001b'));
});
