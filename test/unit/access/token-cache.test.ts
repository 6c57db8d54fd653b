import t from 'tap';
import {
  createAuthenticator,
  type ReplaceableAuthenticator,
} from '../../../lib/access/identity/authenticator.ts';
import { instanceThumbprint } from '../../../lib/access/identity/confirmation.ts';
import { maxPendingChecks, maxSignatureChecks } from '../../../lib/access/identity/options.ts';
import { SignatureSlots } from '../../../lib/access/identity/signature-slots.ts';
import {
  corp,
  honestClaims,
  KeptLog,
  KeptMetrics,
  makeKey,
  refusalOf,
  SetClock,
  sha256,
  signToken,
  trust,
} from '../../support/access-identity.ts';

const key = makeKey('k1');

function room(): { clock: SetClock; log: KeptLog; metrics: KeptMetrics; identity: ReplaceableAuthenticator } {
  const [clock, log, metrics] = [new SetClock(), new KeptLog(), new KeptMetrics()];
  return {
    clock,
    log,
    metrics,
    identity: createAuthenticator(trust([corp([key])]), { clock, log, metrics }),
  };
}

function checked(metrics: KeptMetrics): number {
  return metrics.counts.get('lockwire_credentials_total{token,corp,ok}') ?? 0;
}

t.test('a verified token is believed for 5 min, then verified again', async t => {
  const { clock, metrics, identity } = room();
  const token = signToken(key, honestClaims(clock));
  for (let i = 0; i < 100; i += 1) await identity.token(token, {});
  t.equal(checked(metrics), 1);
  clock.advance(299_999);
  await identity.token(token, {});
  t.equal(checked(metrics), 1);
  clock.advance(1);
  await identity.token(token, {});
  t.equal(checked(metrics), 2);
});

t.test('setting the wall clock back does not make a cached token live longer', async t => {
  const { clock, metrics, identity } = room();
  const token = signToken(key, honestClaims(clock));
  await identity.token(token, {});
  clock.advance(300_000);
  clock.wallMs -= 299_000;
  await identity.token(token, {});
  t.equal(checked(metrics), 2);
});

t.test('a cached token ends with its own end, and is refused before its beginning', async t => {
  const { clock, metrics, log, identity } = room();
  const token = signToken(key, honestClaims(clock, { exp: clock.seconds + 30, nbf: clock.seconds - 10 }));
  await identity.token(token, {});
  clock.advance(30_000);
  await t.resolves(identity.token(token, {}), 'within the skew it is judged anew');
  t.equal(checked(metrics), 2);
  clock.advance(60_000);
  await refusalOf(identity.token(token, {}));
  t.match(log.last.fields, { reason: 'expired' });
  clock.wallMs -= 3_600_000;
  await refusalOf(identity.token(token, {}));
  t.match(log.last.fields, { reason: 'not-yet-valid', source: 'corp' });
});

t.test('the cache holds 4,096 tokens', async t => {
  const { clock, metrics, identity } = room();
  const tokens = Array.from({ length: 4100 }, (_, i) =>
    signToken(key, honestClaims(clock, { sub: `u${i}` })),
  );
  for (const token of tokens) await identity.token(token, {});
  t.equal(metrics.gauges.get('lockwire_tokens_cached')?.(), 4096);
  const before = checked(metrics);
  await identity.token(tokens.at(-1) ?? '', {});
  t.equal(checked(metrics), before, 'the newest is there');
  await identity.token(tokens[0] ?? '', {});
  t.equal(checked(metrics), before + 1, 'the oldest is not');
});

t.test(
  'a reload forgets verified tokens, and one that was being verified is judged by the new configuration',
  async t => {
    const { clock, log, identity } = room();
    const token = signToken(key, honestClaims(clock));
    await identity.token(token, {});
    const other = makeKey('k1');
    const underWay = identity.token(signToken(key, honestClaims(clock, { sub: 'bob' })), {});
    identity.prepare(trust([corp([other])]))();
    t.equal((await refusalOf(underWay)).code, 'unauthenticated');
    t.match(log.last.fields, { reason: 'signature' });
    t.equal((await refusalOf(identity.token(token, {}))).code, 'unauthenticated');
    await t.resolves(identity.token(signToken(other, honestClaims(clock)), {}));
  },
);

t.test('a token that is bound to an instance key passes with that key only, also from the cache', async t => {
  const { clock, log, metrics, identity } = room();
  // RFC 8037 appendix A.3: the thumbprint of the key of appendix A.2.
  const rfcKey = Buffer.from('11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo', 'base64url');
  t.equal(instanceThumbprint(rfcKey), 'kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k');
  const token = signToken(key, honestClaims(clock, { cnf: { jkt: instanceThumbprint(rfcKey) } }));
  const wrong = [{}, { instanceKey: Buffer.alloc(32) }, { certificate: rfcKey }];
  for (let round = 0; round < 2; round += 1) {
    for (const presented of wrong) {
      const { message } = await refusalOf(identity.token(token, presented));
      t.equal(message, 'the token is bound to another instance key (cnf.jkt)');
      t.match(log.last.fields, { reason: 'confirmation', source: 'corp' });
    }
    await t.resolves(identity.token(token, { instanceKey: rfcKey }));
  }
  t.equal(metrics.counts.get('lockwire_credentials_total{token,corp,cached}'), 2);
});

t.test('a token that is bound to a certificate passes with that certificate only', async t => {
  const { clock, identity } = room();
  const certificate = Buffer.from('a certificate');
  const token = signToken(key, honestClaims(clock, { cnf: { 'x5t#S256': sha256(certificate) } }));
  for (const presented of [{}, { certificate: Buffer.from('another') }, { instanceKey: certificate }])
    t.match(await refusalOf(identity.token(token, presented)), { message: /another client certificate/ });
  await t.resolves(identity.token(token, { certificate }));
});

t.test('a token that is bound twice needs both, and one bound in a way unknown here is refused', async t => {
  const { clock, log, identity } = room();
  const [instanceKey, certificate] = [Buffer.alloc(32, 1), Buffer.from('c')];
  const cnf = { jkt: instanceThumbprint(instanceKey), 'x5t#S256': sha256(certificate) };
  const both = signToken(key, honestClaims(clock, { cnf }));
  await refusalOf(identity.token(both, { instanceKey }));
  await refusalOf(identity.token(both, { certificate }));
  await t.resolves(identity.token(both, { instanceKey, certificate }));
  for (const odd of [
    {},
    [],
    null,
    'x',
    { jwk: {} },
    { ...cnf, kid: 'x' },
    { jkt: 7 },
    { jkt: '' },
    { jkt: `${cnf.jkt}=` },
  ]) {
    const token = signToken(key, honestClaims(clock, { cnf: odd }));
    await refusalOf(identity.token(token, { instanceKey, certificate }));
    t.match(log.last.fields, { reason: 'confirmation' }, JSON.stringify(odd));
  }
});

t.test('8 signatures are checked at once, 1,024 wait, and the next is refused with limit', async t => {
  const slots = new SignatureSlots();
  const gates: (() => void)[] = [];
  let most = 0;
  const check = (): Promise<number> =>
    new Promise(resolve => {
      most = Math.max(
        most,
        gates.push(() => resolve(1)),
      );
    });
  const running = Array.from({ length: maxSignatureChecks + maxPendingChecks }, () => slots.run(check));
  t.equal(gates.length, maxSignatureChecks);
  t.equal(slots.pending, maxSignatureChecks + maxPendingChecks);
  await t.rejects(slots.run(check), {
    reason: 'limit',
    message: '1024 tokens wait for a signature check, at most 1024 may',
  });
  while (gates.length > 0) {
    gates.shift()?.();
    await new Promise(done => setImmediate(done));
  }
  t.equal((await Promise.all(running)).length, 1032);
  t.equal(slots.pending, 0);
  t.equal(most, maxSignatureChecks);
});

t.test('a failed check gives its slot back', async t => {
  const slots = new SignatureSlots();
  for (let i = 0; i < 20; i += 1) await t.rejects(slots.run(() => Promise.reject(new Error('no'))));
  t.equal(slots.pending, 0);
});
