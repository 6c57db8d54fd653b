import { createHash } from 'node:crypto';
import { once } from 'node:events';
import t, { type Test } from 'tap';
import { callOf, DirectWorld, directPolicy, type LiveCall } from '../support/direct-world.ts';
import { admin } from '../support/store-admin.ts';
import { outcome, policyFile } from '../support/store-reload.ts';

const direct = await DirectWorld.make(t);
const { gateway, world } = direct;

/** One connection that two people share: whoever is to end, and the neighbour who is not. */
async function pair(sub: string, expires?: number) {
  const client = await direct.client();
  const token = await direct.agent(sub, expires);
  const victim = await direct.live(client, token);
  return { client, token, victim, neighbour: await direct.live(client, await direct.agent('neighbour')) };
}

/** Its tokens' claims, unverified. */
function claimsOf(token: string): { jti: string; exp: number } {
  return JSON.parse(Buffer.from(token.split('.')[1] ?? '', 'base64url').toString());
}

/** How long each took, from the deed until its last byte; p99 of so few is the worst. */
function judge(t: Test, what: string, took: readonly number[]): void {
  const sorted = took.toSorted((a, b) => a - b);
  const [p50 = 0, worst = Number.POSITIVE_INFINITY] = [sorted[sorted.length >> 1], sorted.at(-1)];
  t.comment(`${what}: p50 ${Math.round(p50)} ms, p99 ${Math.round(worst)} ms of ${took.length}`);
  t.ok(worst < 1_000, `${what}: ${worst} ms`);
}

async function goesOn(t: Test, neighbour: LiveCall): Promise<void> {
  t.ok(await neighbour.echoes('goes on'), 'the neighbour’s stream on the same connection goes on');
}

const times = 20;
const revoke = (kind: string, value: string) => admin(gateway, 'POST', '/revoke', { kind, value });

t.test(`${times} principals revoked, each in mid-stream: UNAUTHENTICATED within a second`, async t => {
  const took: number[] = [];
  for (let i = 0; i < times; i += 1) {
    const { client, token, victim, neighbour } = await pair(`gone-${i}`);
    const began = Date.now();
    await revoke('principal', `User::corp|gone-${i}`);
    const end = await victim.ended;
    took.push(end.atMs - began);
    t.match(end, { status: '16', message: /^revoked: this principal may not be used here any more/ });
    t.match(await callOf(client, token, 'dialled.example').ended, { status: '16', message: /^revoked/ });
    await goesOn(t, neighbour);
    client.destroy();
  }
  judge(t, 'principal', took);
});

t.test(
  `${times} token ids revoked: another token of the same person goes on, on the same connection`,
  async t => {
    const took: number[] = [];
    for (let i = 0; i < times; i += 1) {
      const { client, token, victim, neighbour } = await pair('two-tokens');
      const other = await direct.live(client, await direct.agent('two-tokens'));
      const began = Date.now();
      await revoke('token', claimsOf(token).jti);
      const end = await victim.ended;
      took.push(end.atMs - began);
      t.match(end, { status: '16', message: /^revoked: this token/ });
      t.ok(await other.echoes('of another token'));
      await goesOn(t, neighbour);
      client.destroy();
    }
    judge(t, 'token id', took);
  },
);

t.test('10 certificates revoked: what came without a token ends, on its connection', async t => {
  const took: number[] = [];
  for (let i = 0; i < 10; i += 1) {
    const certificate = await direct.worker();
    const client = await direct.client(certificate);
    const other = await direct.live(await direct.client(await direct.worker()), undefined);
    const victim = await direct.live(client, undefined);
    const began = Date.now();
    await revoke('certificate', createHash('sha256').update(certificate.der).digest('hex'));
    const end = await victim.ended;
    took.push(end.atMs - began);
    t.match(end, { status: '16', message: /^revoked: this certificate/ });
    t.match(await callOf(client, await direct.agent('alice'), 'dialled.example').ended, { status: '16' });
    t.ok(await other.echoes('of another certificate of the same workload'));
  }
  judge(t, 'certificate', took);
});

t.test('10 tokens run out in mid-stream', async t => {
  const took = await Promise.all(
    Array.from({ length: 10 }, async (_, i) => {
      const { client, token, victim, neighbour } = await pair(`short-${i}`, 3 + i / 5);
      const end = await victim.ended;
      t.match(end, { status: '16', message: 'the token has run out' });
      const again = callOf(client, token, 'dialled.example');
      t.match(await again.ended, { status: '16' }, 'nor does it begin another');
      await goesOn(t, neighbour);
      return end.atMs - claimsOf(token).exp * 1_000;
    }),
  );
  t.ok(Math.min(...took) >= -1, `none before its time: ${took}`);
  judge(t, 'expiry', took);
});

t.test('10 connections killed by the id that sessions shows: their streams end, no other does', async t => {
  const other = await direct.live(await direct.client(), await direct.agent('other'));
  const took: number[] = [];
  for (let i = 0; i < 10; i += 1) {
    const { client, victim } = await pair(`killed-${i}`);
    const { http2 } = await admin(gateway, 'GET', '/sessions');
    const listed = http2.find(({ principals }) => principals.includes(`User::corp|killed-${i}`));
    t.same(listed?.requests, 2);
    const closed = once(client, 'close');
    const began = Date.now();
    await admin(gateway, 'POST', '/kill', { session: listed?.session ?? '' });
    const end = await victim.ended;
    took.push(end.atMs - began);
    t.match(end, { status: '16', message: 'ended by an admin (lockwire kill)' });
    await closed;
  }
  judge(t, 'kill', took);
  t.ok(await other.echoes('goes on'));
});

t.test('a policy that takes a permit back ends what it covered, once it is in force', async t => {
  const name = policyFile(world, gateway);
  const took: number[] = [];
  for (let i = 0; i < 3; i += 1) {
    const { client, token, victim, neighbour } = await pair('mallory');
    const after = gateway.program.logs.length;
    world.file(
      name,
      `${directPolicy}\n@id("no-mallory") forbid (principal == Lockwire::User::"corp|mallory", action, resource);`,
    );
    gateway.program.signal('SIGHUP');
    await gateway.program.logged(({ msg }) => msg === 'policies are in force', 'the new policy', after);
    const began = Date.now();
    const end = await victim.ended;
    took.push(Math.max(0, end.atMs - began));
    t.match(end, { status: '7', message: /^denied: (connect|call) dialled.*\(no-mallory\), decision \w+/ });
    t.equal((await callOf(client, token, 'dialled.example').ended).status, '7');
    await goesOn(t, neighbour);
    const restored = gateway.program.logs.length;
    world.file(name, directPolicy);
    gateway.program.signal('SIGHUP');
    t.match(await outcome(gateway, restored), { msg: 'config reloaded' });
    t.ok(await direct.live(client, token), 'and begins again when it is permitted again');
  }
  judge(t, 'policy', took);
});
