import t from 'tap';
import {
  createAuthenticator,
  type ReplaceableAuthenticator,
} from '../../../lib/access/identity/authenticator.ts';
import type { IssuerOptions } from '../../../lib/access/identity/options.ts';
import {
  corp,
  corpIssuer,
  FakeFetch,
  honestClaims,
  jwks,
  KeptLog,
  KeptMetrics,
  makeKey,
  refusalOf,
  SetClock,
  signToken,
  trust,
} from '../../support/access-identity.ts';

const first = makeKey('k1');
const second = makeKey('k2');
const keysUrl = 'https://idp.example/keys';
const byUrl: Partial<IssuerOptions> = { jwks: { kind: 'url', url: keysUrl } };

interface Room {
  clock: SetClock;
  log: KeptLog;
  metrics: KeptMetrics;
  fetch: FakeFetch;
  identity: ReplaceableAuthenticator;
}

function room(changes: Partial<IssuerOptions> = byUrl): Room {
  const [clock, log, metrics, fetch] = [new SetClock(), new KeptLog(), new KeptMetrics(), new FakeFetch()];
  fetch.answers.set(keysUrl, jwks(first));
  const identity = createAuthenticator(trust([corp([], changes)]), { clock, log, metrics, fetch: fetch.get });
  return { clock, log, metrics, fetch, identity };
}

t.test('keys behind a URL are fetched once for a thousand tokens', async t => {
  const { clock, fetch, identity, metrics } = room();
  t.equal(fetch.asked.length, 0, 'not before the first token');
  const tokens = Array.from({ length: 1000 }, (_, i) =>
    signToken(first, honestClaims(clock, { sub: `u${i}` })),
  );
  const all = await Promise.all(tokens.map(token => identity.token(token, {})));
  t.equal(all.length, 1000);
  t.same(fetch.asked, [keysUrl]);
  t.equal(metrics.counts.get('lockwire_jwks_fetches_total{corp,ok}'), 1);
});

t.test('a storm of 1,000 unknown kids makes one fetch each 30 s, and good tokens pass meanwhile', async t => {
  const { clock, fetch, identity } = room();
  const good = signToken(first, honestClaims(clock));
  await identity.token(good, {});
  t.equal(fetch.asked.length, 1);
  for (let round = 0; round < 3; round += 1) {
    clock.advance(30_000);
    const storm = Array.from({ length: 1000 }, (_, i) =>
      refusalOf(identity.token(signToken(second, honestClaims(clock), { kid: `x${round}-${i}` }), {})),
    );
    const refusals = await Promise.all(storm);
    t.ok(refusals.every(({ code }) => code === 'unauthenticated'));
    t.equal(fetch.asked.length, 2 + round);
    await t.resolves(identity.token(signToken(first, honestClaims(clock, { sub: `bob${round}` })), {}));
    clock.advance(29_999 - 30_000 + 1);
  }
});

t.test(
  'a rotated key is fetched on its first token; whoever comes while the fetch is under way waits for it',
  async t => {
    const { clock, fetch, identity } = room();
    await identity.token(signToken(first, honestClaims(clock)), {});
    fetch.answers.set(keysUrl, jwks(first, second));
    clock.advance(30_000);
    const { promise, resolve } = Promise.withResolvers<void>();
    fetch.gate = promise;
    const early = Array.from({ length: 20 }, (_, i) =>
      identity.token(signToken(second, honestClaims(clock, { sub: `u${i}` })), {}),
    );
    const late = new Promise(done => setImmediate(done)).then(() =>
      identity.token(signToken(second, honestClaims(clock, { sub: 'late' })), {}),
    );
    await t.resolves(
      identity.token(signToken(first, honestClaims(clock, { sub: 'old key' })), {}),
      'no wait',
    );
    await new Promise(done => setImmediate(done));
    resolve();
    await t.resolves(Promise.all([...early, late]));
    t.equal(fetch.asked.length, 2);
  },
);

t.test(
  'within 30 s of a fetch an unknown kid is refused without another, and after it the new key is found',
  async t => {
    const { clock, fetch, identity } = room();
    await identity.token(signToken(first, honestClaims(clock)), {});
    fetch.answers.set(keysUrl, jwks(second));
    clock.advance(29_999);
    const token = signToken(second, honestClaims(clock));
    t.equal((await refusalOf(identity.token(token, {}))).code, 'unauthenticated');
    t.equal(fetch.asked.length, 1);
    clock.advance(1);
    await t.resolves(identity.token(token, {}));
    t.equal(fetch.asked.length, 2);
  },
);

t.test('a withdrawn key is refused after the keys were fetched again, 10 min at the latest', async t => {
  const { clock, fetch, identity, log } = room();
  await identity.token(signToken(first, honestClaims(clock)), {});
  fetch.answers.set(keysUrl, jwks(second));
  clock.advance(10 * 60_000);
  await t.resolves(
    identity.token(signToken(first, honestClaims(clock, { sub: 'last' })), {}),
    'asks meanwhile',
  );
  await new Promise(done => setImmediate(done));
  await refusalOf(identity.token(signToken(first, honestClaims(clock, { sub: 'too late' })), {}));
  t.match(log.last.fields, { reason: 'key' });
  await t.resolves(identity.token(signToken(second, honestClaims(clock)), {}));
});

t.test(
  'an issuer that is down: known keys serve for 6 h, then tokens are unavailable, then it comes back',
  async t => {
    const { clock, fetch, identity, log } = room();
    await identity.token(signToken(first, honestClaims(clock)), {});
    fetch.answers.clear();
    clock.advance(6 * 3_600_000 - 1);
    await t.resolves(identity.token(signToken(first, honestClaims(clock, { sub: 'b' })), {}));
    await new Promise(done => setImmediate(done));
    clock.advance(30_000);
    const { code, message } = await refusalOf(
      identity.token(signToken(first, honestClaims(clock, { sub: 'c' })), {}),
    );
    t.equal(code, 'unavailable');
    t.match(message, /keys of the token issuer are not available/);
    t.match(log.last.fields, { reason: 'keys-unavailable', source: 'corp' });
    const asked = fetch.asked.length;
    await refusalOf(identity.token(signToken(first, honestClaims(clock, { sub: 'd' })), {}));
    t.equal(fetch.asked.length, asked, 'not asked again at once');
    fetch.answers.set(keysUrl, jwks(first));
    clock.advance(5_000);
    await t.resolves(identity.token(signToken(first, honestClaims(clock, { sub: 'e' })), {}));
  },
);

t.test('what is no key set changes nothing', async t => {
  const { clock, fetch, identity, metrics } = room();
  await identity.token(signToken(first, honestClaims(clock)), {});
  const empty = [
    '',
    'null',
    '[]',
    '{"keys":{}}',
    '{"keys":[]}',
    '{"keys":[{"kty":"oct","k":"AAAA","kid":"k2"}]}',
  ];
  for (const [i, answer] of empty.entries()) {
    fetch.answers.set(keysUrl, answer);
    clock.advance(30_000);
    await refusalOf(identity.token(signToken(second, honestClaims(clock)), {}));
    t.equal(metrics.counts.get('lockwire_jwks_fetches_total{corp,failed}'), i + 1, answer);
    await t.resolves(identity.token(signToken(first, honestClaims(clock, { sub: `b${i}` })), {}), answer);
  }
});

t.test(
  'keys of other kinds beside a good one are left out: secret, private, weak, for encryption, broken',
  async t => {
    const clock = new SetClock();
    const weak = makeKey('weak', 'RS256-1024');
    const leaked = makeKey('leaked');
    const other = makeKey('enc');
    const jwksOf = {
      keys: [
        null,
        'text',
        { kty: 'oct', k: 'AAAA', kid: 'secret' },
        { kty: 'XYZ', kid: 'k1' },
        weak.jwk,
        { ...leaked.privateKey.export({ format: 'jwk' }), kid: 'leaked' },
        { ...other.jwk, use: 'enc' },
        { ...first.jwk, x: 'AAAA', kid: 'broken' },
        { ...first.jwk, kid: 7 },
        first.jwk,
      ],
    };
    const { identity, log } = (() => {
      const log = new KeptLog();
      const jwks = { kind: 'file', path: 'j', text: JSON.stringify(jwksOf) } as const;
      const ports = { clock, log, metrics: new KeptMetrics() };
      return { identity: createAuthenticator(trust([corp([], { jwks })]), ports), log };
    })();
    await t.resolves(identity.token(signToken(first, honestClaims(clock)), {}));
    for (const key of [weak, leaked, other]) {
      await refusalOf(identity.token(signToken(key, honestClaims(clock)), {}));
      t.match(log.last.fields, { reason: 'key' }, key.kid);
    }
    await refusalOf(identity.token(signToken(first, honestClaims(clock), { kid: 'broken' }), {}));
    t.match(log.last.fields, { reason: 'signature' }, 'broken');
  },
);

t.test('two keys with one kid are both tried', async t => {
  const twin = makeKey('k1');
  const clock = new SetClock();
  const identity = createAuthenticator(trust([corp([first, twin])]), {
    clock,
    log: new KeptLog(),
    metrics: new KeptMetrics(),
  });
  for (const key of [first, twin]) await t.resolves(identity.token(signToken(key, honestClaims(clock)), {}));
});

t.test(
  'a token without kid is taken where there is one key for its algorithm, and refused where there are two',
  async t => {
    for (const keys of [[first], [first, second]]) {
      const clock = new SetClock();
      const ports = { clock, log: new KeptLog(), metrics: new KeptMetrics() };
      const identity = createAuthenticator(trust([corp(keys)]), ports);
      const attempt = identity.token(signToken(first, honestClaims(clock), { kid: undefined }), {});
      if (keys.length === 1) await t.resolves(attempt);
      else await t.rejects(attempt, { code: 'unauthenticated' });
    }
  },
);

t.test('keys are discovered from the issuer, whose document must name it and an https URL', async t => {
  const document = `${corpIssuer}/.well-known/openid-configuration`;
  const { clock, fetch, identity, log } = room({ jwks: { kind: 'discovery' } });
  fetch.answers.set('http://idp.example/keys', jwks(first));
  const wrong = [
    { issuer: 'https://evil.example', jwks_uri: keysUrl },
    { jwks_uri: keysUrl },
    { issuer: corpIssuer, jwks_uri: 'http://idp.example/keys' },
    { issuer: corpIssuer, jwks_uri: 'https://user@idp.example/keys' },
    { issuer: corpIssuer },
    [],
  ];
  for (const answer of wrong) {
    fetch.answers.set(document, JSON.stringify(answer));
    clock.advance(5_000);
    const { code } = await refusalOf(identity.token(signToken(first, honestClaims(clock)), {}));
    t.equal(code, 'unavailable', JSON.stringify(answer));
    t.match(log.last.fields, { reason: 'keys-unavailable' });
  }
  t.ok(
    fetch.asked.every(url => url === document),
    'no key URL was asked',
  );
  fetch.answers.set(document, JSON.stringify({ issuer: corpIssuer, jwks_uri: keysUrl }));
  clock.advance(5_000);
  await t.resolves(identity.token(signToken(first, honestClaims(clock)), {}));
});

t.test('a kid that one issuer has is not looked for at another', async t => {
  const partner = corp([], {
    name: 'partner',
    issuer: 'https://partner.example',
    jwks: { kind: 'url', url: 'https://partner.example/keys' },
  });
  const [clock, log, fetch] = [new SetClock(), new KeptLog(), new FakeFetch()];
  fetch.answers.set(keysUrl, jwks(first));
  fetch.answers.set('https://partner.example/keys', jwks(second));
  const identity = createAuthenticator(trust([corp([], byUrl), partner]), {
    clock,
    log,
    metrics: new KeptMetrics(),
    fetch: fetch.get,
  });
  await t.resolves(identity.token(signToken(first, honestClaims(clock)), {}));
  await refusalOf(identity.token(signToken(first, honestClaims(clock, { iss: partner.issuer })), {}));
  t.match(log.last.fields, { source: 'partner', reason: 'key' }, 'k1 is known, but not of this issuer');
  await t.resolves(identity.token(signToken(second, honestClaims(clock, { iss: partner.issuer })), {}));
});

t.test(
  'a reload keeps the keys of an issuer that stays, even while it is down, and asks anew for one that changed',
  async t => {
    const { clock, fetch, identity } = room();
    await identity.token(signToken(first, honestClaims(clock)), {});
    fetch.answers.clear();
    identity.prepare(trust([corp([], { ...byUrl, maxLifetimeMs: 3_700_000 })]))();
    t.equal(identity.generation, 2);
    await t.resolves(identity.token(signToken(first, honestClaims(clock)), {}));
    t.equal(fetch.asked.length, 1);
    identity.prepare(trust([corp([], { jwks: { kind: 'url', url: 'https://idp.example/other' } })]))();
    t.equal((await refusalOf(identity.token(signToken(first, honestClaims(clock)), {}))).code, 'unavailable');
    t.same(fetch.asked, [keysUrl, 'https://idp.example/other']);
  },
);

t.test('a bad reload changes nothing and names all that is wrong', async t => {
  const { clock, identity } = room();
  const bad = trust([
    corp([], {
      name: 'a/b',
      audience: [],
      algorithms: ['none', 'HS256'],
      jwks: { kind: 'url', url: 'http://x/' },
    }),
    corp([], { name: 'ci', authorizedParties: [], maxLifetimeMs: 0, ...byUrl }),
  ]);
  t.throws(() => identity.prepare(bad), {
    code: 'config',
    message:
      /name 'a\/b'.*issuer 'https:\/\/idp.example' is configured twice|'none'.*'HS256'.*not an https URL/s,
  });
  for (const part of [
    /'a\/b'/,
    /audience is empty/,
    /'none'/,
    /'HS256'/,
    /'http:\/\/x\/'/,
    /twice/,
    /authorizedParties/,
    /maxLifetimeMs 0/,
  ])
    t.throws(() => identity.prepare(bad), { message: part });
  t.equal(identity.generation, 1);
  await t.resolves(identity.token(signToken(first, honestClaims(clock)), {}));
});

t.test('a key file without a usable key is a config error that names it', async t => {
  for (const text of ['', '{}', jwks(), jwks(makeKey('w', 'RS256-1024'))])
    t.throws(
      () =>
        createAuthenticator(trust([corp([], { jwks: { kind: 'file', path: 'my.json', text } })]), {
          clock: new SetClock(),
          log: new KeptLog(),
          metrics: new KeptMetrics(),
        }),
      { code: 'config', message: /my\.json/ },
    );
});
