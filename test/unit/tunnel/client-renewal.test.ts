import t from 'tap';
import { LockwireError } from '../../../lib/core/errors.ts';
import { leastBetweenRenewalsMs, lookAgainMs } from '../../../lib/tunnel/credential-renewal.ts';
import { ClientWorld } from '../../support/cuts-client.ts';
import { quiet } from '../../support/tunnel-pair.ts';

const lifeMs = 1_000_000;

/** A client whose token holds for 1,000 s from now on. */
async function running(): Promise<ClientWorld> {
  const world = new ClientWorld();
  world.expiresAtMs = world.clock.now() + lifeMs;
  await world.start();
  return world;
}

t.test('a newer token is shown at 80 % of what was left, and not before', async t => {
  const world = await running();
  world.token = 'd.e.f';
  await world.pass(799_000, 10_000);
  t.same(world.renewals, []);
  world.renewedUntilMs = world.expiresAtMs + lifeMs;
  await world.pass(2_000, 1_000);
  t.same(world.renewals, ['d.e.f']);
  await world.pass(900_000, 10_000);
  t.same(world.renewals, ['d.e.f'], 'the next look is at 80 % of its life');
  t.same(world.warnings, []);
});

t.test(
  'a token that was not renewed is warned of once, in its last fifth, and never shown again',
  async t => {
    const world = await running();
    await world.pass(845_000, 5_000);
    t.same(world.warnings, [], 'whoever renews it has a moment for that');
    await world.pass(140_000, 5_000);
    t.equal(world.warnings.length, 1, 'though it was looked for 30 times');
    t.match(world.warnings[0], {
      message: /credential runs out/,
      fields: { detail: 'the token was not renewed', leftMs: 150_000 },
    });
    t.notMatch(JSON.stringify(world.warnings), /a\.b\.c/);
    t.same(world.renewals, []);
  },
);

t.test(
  `a newer token that comes late is shown within ${lookAgainMs} ms, until then nothing ended`,
  async t => {
    const world = await running();
    await world.pass(950_000, 5_000);
    world.token = 'late.e.f';
    world.renewedUntilMs = world.expiresAtMs + lifeMs;
    await world.pass(lookAgainMs, 500);
    t.same(world.renewals, ['late.e.f']);
    t.equal(world.session?.state, 'open');
  },
);

t.test(
  `a file that cannot be read at renewal is read again every ${lookAgainMs} ms, and said once`,
  async t => {
    const world = await running();
    world.token = 'd.e.f';
    world.unreadable = new LockwireError('config', 'no such file: /run/token');
    await world.pass(830_000, 1_000);
    t.same(
      world.warnings.map(({ fields }) => fields.detail),
      ['the token cannot be read: no such file: /run/token'],
    );
    t.same(world.renewals, []);
    world.unreadable = undefined;
    await world.pass(lookAgainMs, 500);
    t.same(world.renewals, ['d.e.f']);
  },
);

t.test('of a file that is written 100 times in 10 s no more than one token in 2 s is shown', async t => {
  const world = await running();
  for (let i = 0; i < 100; i += 1) {
    world.token = `t.${i}`;
    world.renewedUntilMs = world.expiresAtMs + i;
    void world.client.renewNow();
    await world.pass(100);
  }
  t.ok(world.renewals.length <= 10_000 / leastBetweenRenewalsMs + 1, `${world.renewals.length} renewals`);
  await world.pass(leastBetweenRenewalsMs, 100);
  t.equal(world.renewals.at(-1), 't.99', 'the last one counts');
  t.equal(world.session?.state, 'open');
});

t.test('a renewal that could not be checked just now is tried again; one that was taken is not', async t => {
  const world = await running();
  world.token = 'd.e.f';
  // The gateway's answer names the time until which the old one holds.
  await world.pass(801_000, 1_000);
  t.same(world.renewals, ['d.e.f']);
  world.renewedUntilMs = world.expiresAtMs + lifeMs;
  await world.pass(lookAgainMs, 500);
  t.same(world.renewals, ['d.e.f', 'd.e.f']);
  await world.pass(20_000, 500);
  t.equal(world.renewals.length, 2);
});

t.test(
  'a renewal with a revoked token ends the session with `revoked`, with an unknown one `unauthenticated`',
  async t => {
    for (const code of ['revoked', 'unauthenticated'] as const) {
      const world = await running();
      world.refused.set('bad.e.f', { code, text: `${code}: ask your admin` });
      world.token = 'bad.e.f';
      void world.client.renewNow();
      await quiet();
      t.match(world.down[0]?.message, `renewal refused: ${code}: ask your admin`);
      t.equal(world.gatewaySession?.state, 'closed');
    }
  },
);

t.test(
  'refusedCredentialMs: a refused token is shown again once in 30 to 60 s, not 12 times a minute',
  async t => {
    const world = await running();
    world.refused.set('a.b.c', { code: 'unauthenticated', text: 'token expired' });
    world.gatewaySession?.close({ code: 'expired', text: 'the credential ran out and was not renewed' });
    await world.pass(300_000, 500);
    const refusals = world.dials.length - 1;
    t.ok(refusals >= 5 && refusals <= 12, `${refusals} dials in 5 minutes`);
    world.refused.clear();
    await world.pass(60_000, 500);
    t.equal(world.session?.state, 'open', 'and it is taken once it is good again');
    t.equal(world.sessions.length, 2);
  },
);

t.test('another token in the file is shown at once; a file that is only touched is not', async t => {
  const world = await running();
  world.refused.set('a.b.c', { code: 'unauthenticated', text: 'token expired' });
  world.gatewaySession?.close({ code: 'expired', text: 'the credential ran out and was not renewed' });
  await world.pass(10_000, 500);
  const before = world.dials.length;
  for (let i = 0; i < 20; i += 1) await world.client.renewNow();
  t.equal(world.dials.length, before);
  world.token = 'd.e.f';
  await world.client.renewNow();
  await quiet();
  t.equal(world.dials.length, before + 1);
  t.equal(world.session?.state, 'open');
});

t.test('a denial, which a policy may lift, is tried again as before: within 5 s', async t => {
  const world = await running();
  world.refused.set('a.b.c', { code: 'denied', text: 'denied: expose' });
  world.gatewaySession?.close({ code: 'denied', text: 'denied: expose' });
  await world.pass(60_000, 500);
  t.ok(world.dials.length >= 12, `${world.dials.length} dials in a minute`);
});
