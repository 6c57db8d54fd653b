import { createHmac } from 'node:crypto';
import t, { type Test } from 'tap';
import {
  createAuthenticator,
  type ReplaceableAuthenticator,
} from '../../../lib/access/identity/authenticator.ts';
import type { IssuerOptions } from '../../../lib/access/identity/options.ts';
import { tokenRefused } from '../../../lib/access/identity/refusal.ts';
import { safeText } from '../../../lib/core/bytes.ts';
import {
  corp,
  corpIssuer,
  encode,
  honestClaims,
  KeptLog,
  KeptMetrics,
  makeKey,
  refusalOf,
  SetClock,
  signToken,
  signWithPublicKey,
  trust,
  unsignedToken,
} from '../../support/access-identity.ts';

const key = makeKey('k1');
const rsa = makeKey('r1', 'RS256');
const stranger = makeKey('k1');

interface Room {
  clock: SetClock;
  log: KeptLog;
  metrics: KeptMetrics;
  identity: ReplaceableAuthenticator;
}

function room(changes: Partial<IssuerOptions> = {}, more: readonly IssuerOptions[] = []): Room {
  const [clock, log, metrics] = [new SetClock(), new KeptLog(), new KeptMetrics()];
  const options = trust([corp([key, rsa], changes), ...more]);
  return { clock, log, metrics, identity: createAuthenticator(options, { clock, log, metrics }) };
}

/** Each wrong claim set, and what the log must call it; the same room takes the honest token before and after. */
async function refuses(
  test: Test,
  cases: readonly { name: string; claims: object; header?: object; reason: string }[],
  changes: Partial<IssuerOptions> = {},
  honest: object = {},
): Promise<void> {
  const { clock, log, identity } = room(changes);
  for (const { name, claims, header, reason } of cases) {
    await test.resolves(identity.token(signToken(key, honestClaims(clock, { ...honest })), {}), 'honest');
    const token = signToken(key, honestClaims(clock, { ...honest, ...claims }), { ...header });
    const { code } = await refusalOf(identity.token(token, {}));
    test.equal(code, 'unauthenticated', name);
    test.match(log.last.fields, { kind: 'token', source: 'corp', reason }, `${name}: the log says ${reason}`);
    test.notOk(JSON.stringify(log.lines).includes(token), `${name}: the log holds no token`);
  }
}

t.test('an honest token becomes its user', async t => {
  const { clock, identity, metrics } = room({ groups: 'groups' });
  const claims = honestClaims(clock, {
    groups: ['devs', 'all', 'devs'],
    email: 'alice@example.com',
    email_verified: true,
    jti: 'id-1',
  });
  t.same(await identity.token(signToken(key, claims), {}), {
    principal: {
      kind: 'user',
      issuer: 'corp',
      subject: 'alice',
      groups: ['devs', 'all'],
      email: 'alice@example.com',
    },
    credential: {
      kind: 'token',
      id: 'id-1',
      issuedAtMs: Number(claims.iat) * 1000,
      expiresAtMs: Number(claims.exp) * 1000,
    },
  });
  t.equal(metrics.counts.get('lockwire_credentials_total{token,corp,ok}'), 1);
});

t.test('a CI token becomes a workload', async t => {
  const { clock, identity } = room({ principal: 'workload' });
  const { principal } = await identity.token(
    signToken(key, honestClaims(clock, { sub: 'repo:a/b:ref:x' })),
    {},
  );
  t.same(principal, { kind: 'workload', source: 'corp', name: 'repo:a/b:ref:x', groups: [] });
});

for (const kind of ['ES256', 'ES384', 'EdDSA', 'RS256', 'PS256'] as const)
  t.test(`a token signed with ${kind} is taken`, async t => {
    const signer = makeKey('k', kind);
    const clock = new SetClock();
    const identity = createAuthenticator(trust([corp([signer])]), {
      clock,
      log: new KeptLog(),
      metrics: new KeptMetrics(),
    });
    await t.resolves(identity.token(signToken(signer, honestClaims(clock)), {}));
  });

t.test('an unsigned token is refused, with alg none in any case and with an empty signature', async t => {
  const { clock, log, identity } = room();
  for (const alg of ['none', 'None', 'NONE', 'ES256']) {
    const unsigned = unsignedToken(honestClaims(clock), alg);
    const { message } = await refusalOf(identity.token(unsigned, {}));
    t.equal(message, tokenRefused, alg);
    // With something where the signature would be, it gets as far as the algorithm.
    await refusalOf(identity.token(`${unsigned}AAAA`, {}));
    t.match(log.last.fields, { reason: alg === 'ES256' ? 'signature' : 'algorithm' }, alg);
  }
  await t.resolves(identity.token(signToken(key, honestClaims(clock)), {}));
});

t.test('HS256 under the RSA public key is refused, which a verifier that obeys the header takes', async t => {
  const { clock, log, identity } = room();
  const token = signWithPublicKey(rsa, honestClaims(clock));
  const [header = '', payload = '', mac] = token.split('.');
  const secret = rsa.publicKey.export({ format: 'pem', type: 'spki' });
  const obeyed = createHmac('sha256', secret).update(`${header}.${payload}`).digest('base64url');
  t.equal(obeyed, mac, 'the attack works on one that takes the algorithm from the header');
  t.equal((await refusalOf(identity.token(token, {}))).message, tokenRefused);
  t.match(log.last.fields, { reason: 'algorithm' });
  await t.resolves(identity.token(signToken(rsa, honestClaims(clock)), {}), 'RS256 of the same key passes');
});

t.test('the header chooses among the configured algorithms, never beyond them', async t => {
  const { clock, log, identity } = room({ algorithms: ['ES256'] });
  t.equal((await refusalOf(identity.token(signToken(rsa, honestClaims(clock)), {}))).message, tokenRefused);
  t.match(log.last.fields, { source: 'corp', reason: 'algorithm' });
  await t.resolves(identity.token(signToken(key, honestClaims(clock)), {}));
});

t.test('a key never verifies for an algorithm of another family or than its own', async t => {
  const bound = makeKey('b', 'RS256');
  Object.assign(bound.jwk, { alg: 'PS256' });
  const clock = new SetClock();
  const log = new KeptLog();
  const identity = createAuthenticator(trust([corp([bound, key])]), {
    clock,
    log,
    metrics: new KeptMetrics(),
  });
  await refusalOf(identity.token(signToken(bound, honestClaims(clock)), {}));
  t.match(log.last.fields, { reason: 'key' }, 'RS256 with a key that is for PS256');
  await refusalOf(identity.token(signToken(key, honestClaims(clock), { kid: 'b' }), {}));
  t.match(log.last.fields, { reason: 'key' }, 'ES256 with the kid of an RSA key');
  await t.resolves(identity.token(signToken({ ...bound, algorithm: 'PS256' }, honestClaims(clock)), {}));
});

t.test(
  'a stranger who uses the right kid is refused, with the same words as every other stranger',
  async t => {
    const { clock, log, identity } = room();
    const claims = honestClaims(clock);
    const wrong: [string, string, string][] = [
      ['signature', signToken(stranger, claims), 'corp'],
      ['signature', tampered(signToken(key, claims), honestClaims(clock, { sub: 'root' })), 'corp'],
      ['key', signToken(key, claims, { kid: 'k2' }), 'corp'],
      ['issuer', signToken(key, { ...claims, iss: 'https://evil.example' }), ''],
      ['issuer', signToken(key, { ...claims, iss: `${corpIssuer}/` }), ''],
      ['malformed', signToken(key, { ...claims, iss: [corpIssuer] }), ''],
      ['malformed', signToken(key, claims, { crit: ['b64'], b64: false }), ''],
      ['malformed', 'not.a token.at all', ''],
      ['malformed', '', ''],
      ['malformed', `${encode([])}.${encode([])}.AAAA`, ''],
    ];
    for (const [reason, token, source] of wrong) {
      const error = await refusalOf(identity.token(token, {}));
      t.same([error.code, error.message], ['unauthenticated', tokenRefused], reason);
      t.match(log.last.fields, { reason, source });
    }
    await t.resolves(identity.token(signToken(key, claims), {}));
  },
);

function tampered(token: string, claims: object): string {
  const [header, , signature] = token.split('.');
  return `${header}.${encode(claims)}.${signature}`;
}

t.test('a key that the token brings along in jwk, jku or x5c is not looked at', async t => {
  const { clock, log, identity } = room();
  const header = { jwk: stranger.jwk, jku: 'https://evil.example/jwks', x5c: ['AAAA'] };
  await refusalOf(identity.token(signToken(stranger, honestClaims(clock), header), {}));
  t.match(log.last.fields, { reason: 'signature' });
});

t.test('a token of 16,384 B is looked at, one of 16,385 B is not', async t => {
  const { clock, log, identity } = room();
  const fit = (bytes: number): string => {
    const base = signToken(key, honestClaims(clock, { pad: '' })).length;
    for (let pad = Math.floor(((bytes - base) * 3) / 4); ; pad -= 1) {
      const token = signToken(key, honestClaims(clock, { pad: 'x'.repeat(pad) }));
      if (token.length <= bytes) return token;
    }
  };
  await t.resolves(identity.token(fit(16_384), {}));
  const long = `${fit(16_384)}${'A'.repeat(16)}`;
  const { message } = await refusalOf(identity.token(long, {}));
  t.equal(message, `token of ${long.length} B is longer than 16384 B`);
  t.match(log.last.fields, { reason: 'malformed' });
});

t.test('a token for another audience is refused, a part of the right one too', t =>
  refuses(t, [
    { name: 'other', claims: { aud: 'other' }, reason: 'audience' },
    { name: 'prefix', claims: { aud: 'lockwire2' }, reason: 'audience' },
    { name: 'case', claims: { aud: 'Lockwire' }, reason: 'audience' },
    { name: 'slash', claims: { aud: 'lockwire/' }, reason: 'audience' },
    { name: 'none', claims: { aud: undefined }, reason: 'audience' },
    { name: 'array without it', claims: { aud: ['a', 'b'] }, reason: 'audience' },
    { name: 'array with others than strings', claims: { aud: ['lockwire', 1] }, reason: 'audience' },
    { name: 'object', claims: { aud: { lockwire: true } }, reason: 'audience' },
  ]),
);

t.test('one of several audiences is enough, configured or in the token', async t => {
  const { clock, identity } = room({ audience: ['other', 'lockwire'] });
  await t.resolves(identity.token(signToken(key, honestClaims(clock, { aud: ['x', 'lockwire'] })), {}));
});

t.test('a token that was given to another client is refused', t =>
  refuses(
    t,
    [
      { name: 'other azp', claims: { azp: 'evil' }, reason: 'authorized-party' },
      { name: 'no azp', claims: { azp: undefined }, reason: 'authorized-party' },
      { name: 'azp of another type', claims: { azp: ['cli'] }, reason: 'authorized-party' },
      { name: 'azp before client_id', claims: { azp: 'evil', client_id: 'cli' }, reason: 'authorized-party' },
    ],
    { authorizedParties: ['cli'] },
    { azp: 'cli' },
  ),
);

t.test('an access token is wanted: ID tokens and other kinds are refused', t =>
  refuses(t, [
    { name: 'nonce', claims: { nonce: 'n' }, reason: 'type' },
    { name: 'at_hash', claims: { at_hash: 'h' }, reason: 'type' },
    { name: 'typ JWT with c_hash', claims: { c_hash: 'h' }, header: { typ: 'JWT' }, reason: 'type' },
    { name: 'Keycloak ID', claims: { typ: 'ID' }, reason: 'type' },
    { name: 'Keycloak refresh', claims: { typ: 'Refresh' }, reason: 'type' },
    { name: 'Cognito ID', claims: { token_use: 'id' }, reason: 'type' },
    { name: 'logout token', claims: {}, header: { typ: 'logout+jwt' }, reason: 'type' },
    { name: 'DPoP proof', claims: {}, header: { typ: 'dpop+jwt' }, reason: 'type' },
    { name: 'typ of another type', claims: {}, header: { typ: 'id+jwt' }, reason: 'type' },
  ]),
);

t.test('an access token is taken as at+jwt, application/at+jwt, JWT, and without typ', async t => {
  const { clock, identity } = room();
  for (const typ of ['at+jwt', 'application/at+jwt', 'AT+JWT', 'JWT', undefined])
    await t.resolves(identity.token(signToken(key, honestClaims(clock), { typ }), {}), String(typ));
  for (const marked of [{ typ: 'Bearer', nonce: 'n' }, { typ: 'DPoP' }, { token_use: 'access' }])
    await t.resolves(identity.token(signToken(key, honestClaims(clock, marked)), {}), JSON.stringify(marked));
});

t.test('an ID token is wanted: access tokens are refused', async t => {
  await refuses(
    t,
    [
      { name: 'at+jwt', claims: {}, header: { typ: 'at+jwt' }, reason: 'type' },
      { name: 'Keycloak access', claims: { typ: 'Bearer' }, reason: 'type' },
      { name: 'Cognito access', claims: { token_use: 'access' }, reason: 'type' },
      { name: 'azp of another client', claims: { azp: 'other' }, reason: 'authorized-party' },
      { name: 'two audiences, no azp', claims: { aud: ['lockwire', 'x'] }, reason: 'authorized-party' },
    ],
    { token: 'id' },
    { nonce: 'n', at_hash: 'h' },
  );
});

t.test('an expired token is refused, with 60 s for clocks that differ', async t => {
  const { clock, log, identity } = room();
  const token = signToken(key, honestClaims(clock, { iat: clock.seconds - 600, exp: clock.seconds - 59 }));
  await t.resolves(identity.token(token, {}));
  clock.advance(1000);
  const { message } = await refusalOf(identity.token(token, {}));
  t.match(message, /^token expired at 2027-01-14T23:59:01/);
  t.match(log.last.fields, { reason: 'expired', source: 'corp' });
});

t.test('a token that is not yet valid is refused, with 60 s for clocks that differ', t =>
  refuses(
    t,
    [
      { name: 'nbf', claims: { nbf: seconds(61) }, reason: 'not-yet-valid' },
      { name: 'iat', claims: { iat: seconds(61) }, reason: 'not-yet-valid' },
    ],
    {},
    { nbf: seconds(59), iat: seconds(59) },
  ),
);

function seconds(fromNow: number): number {
  return new SetClock().seconds + fromNow;
}

t.test('dates that are missing, strings or out of bounds are refused', t =>
  refuses(t, [
    { name: 'no iat', claims: { iat: undefined }, reason: 'claims' },
    { name: 'no exp', claims: { exp: undefined }, reason: 'claims' },
    { name: 'exp as a string', claims: { exp: '9999999999' }, reason: 'claims' },
    { name: 'exp beyond numbers', claims: { exp: 1e300 }, reason: 'claims' },
    { name: 'negative iat', claims: { iat: -1 }, reason: 'claims' },
    { name: 'nbf null', claims: { nbf: null }, reason: 'claims' },
    { name: 'exp in milliseconds', claims: { exp: seconds(60) * 1000 }, reason: 'lifetime' },
    { name: 'lives 24 h and a second', claims: { exp: seconds(86_391) }, reason: 'lifetime' },
    { name: 'ends before it begins', claims: { iat: seconds(30), exp: seconds(20) }, reason: 'lifetime' },
  ]),
);

t.test('a token that lives 24 h is taken, and longer where the issuer may', async t => {
  const { clock, identity } = room();
  await t.resolves(identity.token(signToken(key, honestClaims(clock, { exp: seconds(86_390) })), {}));
  const long = room({ maxLifetimeMs: 48 * 3_600_000 });
  const token = signToken(key, honestClaims(long.clock, { exp: seconds(2 * 86_400 - 10) }));
  await t.resolves(long.identity.token(token, {}));
});

t.test('a clock from before the build refuses every token and says so', async t => {
  const { clock, log, identity } = room();
  const token = signToken(key, honestClaims(clock));
  await t.resolves(identity.token(token, {}));
  clock.wallMs = Date.UTC(2020, 0, 1);
  const early = signToken(key, honestClaims(clock, { sub: 'bob' }));
  for (const one of [token, early]) {
    const { message } = await refusalOf(identity.token(one, {}));
    t.match(message, /clock says 2020-01-01.*before this program was built \(2026-11-01.*set the clock/);
    t.match(log.last.fields, { reason: 'clock' });
  }
});

t.test('a subject that is missing, too long or not what it looks like is refused', async t => {
  await refuses(
    t,
    [
      undefined,
      '',
      7,
      ['alice'],
      'a\nb',
      'a\u0000',
      'a\u202eb',
      'a\u200bb',
      'a\u2028b',
      'a\ud800',
      'x'.repeat(256),
    ].map(sub => ({
      name: `sub ${safeText(JSON.stringify(sub) ?? 'none', 40)}`,
      claims: { sub },
      reason: 'subject',
    })),
  );
  const { clock, identity } = room();
  for (const sub of ['auth0|123', 'a/b', 'Ölaf', 'x'.repeat(255)])
    await t.resolves(identity.token(signToken(key, honestClaims(clock, { sub })), {}), sub);
});

t.test('two issuers with one subject are two people', async t => {
  const other = makeKey('k1');
  const partner = corp([other], { name: 'partner', issuer: 'https://partner.example' });
  const { clock, identity, log } = room({}, [partner]);
  const ours = await identity.token(signToken(key, honestClaims(clock)), {});
  const theirs = await identity.token(signToken(other, honestClaims(clock, { iss: partner.issuer })), {});
  t.match(ours.principal, { issuer: 'corp', subject: 'alice' });
  t.match(theirs.principal, { issuer: 'partner', subject: 'alice' });

  t.comment('the same kid is another key at the other issuer, also once both are known');
  await refusalOf(identity.token(signToken(other, honestClaims(clock)), {}));
  t.match(log.last.fields, { source: 'corp', reason: 'signature' });
  await refusalOf(identity.token(signToken(key, honestClaims(clock, { iss: partner.issuer })), {}));
  t.match(log.last.fields, { source: 'partner', reason: 'signature' });
});

t.test('an e-mail counts only where the issuer says that it verified it', async t => {
  const { clock, identity } = room();
  const emailOf = async (claims: object): Promise<unknown> => {
    const { principal } = await identity.token(signToken(key, honestClaims(clock, { ...claims })), {});
    return principal.kind === 'user' ? principal.email : 'a workload';
  };
  const email = 'ceo@example.com';
  t.equal(await emailOf({ email, email_verified: true }), email);
  for (const email_verified of [false, undefined, 'true', 1, null])
    t.equal(await emailOf({ email, email_verified }), undefined, String(email_verified));
  t.equal(await emailOf({ email: 'a\nb@example.com', email_verified: true }), undefined);
  t.equal(await emailOf({ email: [email], email_verified: true }), undefined);
});

t.test('groups are taken whole or not at all', async t => {
  const many = Array.from({ length: 257 }, (_, i) => `g${i}`);
  await refuses(
    t,
    [
      { name: 'a string', claims: { groups: 'devs' }, reason: 'groups' },
      { name: 'null', claims: { groups: null }, reason: 'groups' },
      { name: 'a number in it', claims: { groups: ['devs', 1] }, reason: 'groups' },
      { name: '257 of them', claims: { groups: many }, reason: 'groups' },
      { name: 'one of 257 characters', claims: { groups: ['x'.repeat(257)] }, reason: 'groups' },
      { name: 'a control character', claims: { groups: ['de\u0007vs'] }, reason: 'groups' },
      { name: 'hinted at', claims: { groups: undefined, hasgroups: true }, reason: 'groups' },
      {
        name: 'left out for their number',
        claims: { groups: undefined, _claim_names: { groups: 'src1' } },
        reason: 'groups',
      },
    ],
    { groups: 'groups' },
    { groups: ['devs'] },
  );
  const { clock, identity } = room({ groups: 'groups' });
  const groups = [...many.slice(1), 'x'.repeat(256)].slice(1);
  const { principal } = await identity.token(signToken(key, honestClaims(clock, { groups })), {});
  t.equal(principal.groups.length, 256);
  const none = await identity.token(signToken(key, honestClaims(clock)), {});
  t.same(none.principal.groups, []);
});

t.test(
  'the log of refusals is bounded: 10,000 wrong tokens write 50 lines, and the next says how many it stands for',
  async t => {
    const { clock, log, identity, metrics } = room();
    for (let i = 0; i < 10_000; i += 1) await refusalOf(identity.token(`${i}`, {}));
    t.equal(log.lines.filter(({ level }) => level === 'warn').length, 50);
    clock.advance(100);
    await refusalOf(identity.token('x', {}));
    t.match(log.last.fields, { reason: 'malformed', suppressed: 9950 });
    t.equal(metrics.counts.get('lockwire_credentials_total{token,,malformed}'), 10_001);
  },
);
