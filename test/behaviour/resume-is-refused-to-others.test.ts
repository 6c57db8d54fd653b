import { randomBytes } from 'node:crypto';
import t from 'tap';
import type { CloseReason } from '../../lib/core/session.ts';
import { TunnelRefused } from '../../lib/tunnel/handshake-dial.ts';
import { Bearer, type BearerOptions } from '../support/cuts-bearer.ts';
import { Cutter } from '../support/cuts-cutter.ts';
import { exchange, talk } from '../support/e2e-sockets.ts';
import { type Gateway, type GatewaySettings, World } from '../support/e2e-world.ts';
import { Random } from '../support/fuzz.ts';
import { Endpoint } from '../support/relay-endpoint.ts';

const world = await World.make(t);

async function served(settings: GatewaySettings = {}) {
  const host = await world.host();
  const gateway = await world.gateway(settings);
  await world.expose(gateway, { to: host.address });
  return { host, gateway };
}

async function bearer(gateway: Gateway, sub: string, more: Partial<BearerOptions> = {}): Promise<Bearer> {
  const token = await world.token({ sub, groups: ['agents'] });
  return new Bearer({ port: gateway.port, ca: world.authority.certPem, token, ...more });
}

/** A session with a stream that has carried something. */
async function talking(gateway: Gateway, sub = 'alice') {
  const victim = await bearer(gateway, sub);
  await victim.enter();
  const end = new Endpoint(victim.session.open('autogen', 'loopback'), { keep: true });
  const says = async (text: string): Promise<string> => {
    const before = end.receivedBytes;
    end.write(Buffer.from(text));
    await end.until(() => end.receivedBytes >= before + text.length || end.reason !== undefined);
    return Buffer.concat(end.kept).subarray(before).toString();
  };
  await says('before');
  return { victim, says };
}

/** What the gateway said to whom it refused. */
async function refusal(tried: Promise<unknown>): Promise<CloseReason | undefined> {
  return await tried.then(
    () => undefined,
    (error: unknown) => (error instanceof TunnelRefused ? error.reason : undefined),
  );
}

/** Cut, and the gateway has noticed. */
async function detached(gateway: Gateway, victim: Bearer): Promise<void> {
  const before = gateway.program.logs.length;
  victim.cut();
  await gateway.program.logged(
    line => line.msg === 'connection lost; waiting for another' && line.session === victim.session.facts.id,
    'that the session waits',
    before,
  );
}

t.test('a session is its bearer’s alone, who goes on after each attack', async t => {
  const { gateway } = await served();
  const { victim, says } = await talking(gateway);

  await detached(gateway, victim);
  t.equal(await victim.resume(), 'resumed', 'honest');
  t.equal(await says('once more'), 'once more');

  // Each of these knows all that the victim knows, but for one thing.
  await detached(gateway, victim);
  const mallory = await bearer(gateway, 'mallory');
  t.equal(await mallory.claim(victim.honest), 'fresh', 'another principal, with the secret: not known to it');
  const elsewhere = await bearer(gateway, 'alice');
  t.equal(await elsewhere.claim(victim.honest), 'fresh', 'the same principal with another instance’s key');
  t.equal(await victim.resume(), 'resumed');
  t.equal(await says('still mine'), 'still mine');
  t.equal(mallory.session.state, 'open', 'who has a session of their own, and nothing of the victim’s');

  await detached(gateway, victim);
  const thief = await bearer(gateway, 'alice', { key: victim.key });
  t.match(await refusal(thief.claim({ ...victim.honest, secret: randomBytes(32) })), {
    code: 'denied',
    text: 'resume with a proof that does not fit',
  });
  t.equal(await victim.resume(), 'resumed', 'after a forged proof');
  await detached(gateway, victim);
  t.match(await refusal(thief.claim({ ...victim.honest, attempt: victim.attempt })), {
    code: 'denied',
    text: /which is no new one/,
  });
  t.equal(await victim.resume(), 'resumed', 'after an old attempt');
  t.equal(await says('to the end'), 'to the end');
  t.equal(
    gateway.program.logs.filter(
      line => line.msg === 'tunnel ended' && line.session === victim.session.facts.id,
    ).length,
    0,
  );
});

t.test('an offset that its bearer cannot be at ends the session, and the gateway serves on', async t => {
  const { gateway } = await served();
  for (const [what, wrong] of [
    ['beyond what was sent', 1e9],
    ['before what was acknowledged', 0],
  ] as const) {
    const { victim, says } = await talking(gateway);
    // So that the first bytes are acknowledged.
    await says('x'.repeat(100_000));
    await detached(gateway, victim);
    await victim.claim({ ...victim.honest, received: wrong });
    await gateway.program.logged(
      line => line.msg === 'tunnel ended' && line.session === victim.session.facts.id,
      `the end of one that claims to be ${what}`,
    );
    const { says: another } = await talking(gateway, 'bob');
    t.equal(await another('served'), 'served', what);
  }
});

t.test('a flood of forged resumes shuts out its source, and no other', async t => {
  const { gateway } = await served();
  const { victim, says } = await talking(gateway);
  await detached(gateway, victim);
  const thief = await bearer(gateway, 'alice', { key: victim.key, from: '127.0.0.2' });
  let refused = 0;
  let turnedAway = 0;
  for (let i = 0; i < 40; i += 1) {
    await thief.claim({ ...victim.honest, attempt: 100 + i, secret: randomBytes(32) }).then(
      () => t.fail('a forged resume was taken'),
      (error: unknown) => {
        if (error instanceof TunnelRefused) refused += 1;
        else turnedAway += 1;
      },
    );
  }
  t.ok(refused >= 15 && refused <= 21, `${refused} were judged`);
  t.equal(refused + turnedAway, 40, 'the others were turned away before a handshake');
  t.equal(await victim.resume(), 'resumed', 'the bearer goes on');
  t.equal(await says('untouched'), 'untouched');
  const good = await bearer(gateway, 'bob');
  await good.enter();
  t.equal(good.session.state, 'open', 'a good client is served');
});

t.test('a resume of a session that has ended takes a place like any other', async t => {
  const { gateway } = await served({ limits: { sessionsPerPrincipal: 1 } });
  const first = await bearer(gateway, 'alice');
  await first.enter();
  const { honest } = first;
  const second = await bearer(gateway, 'alice');
  t.match(await refusal(second.enter()), { code: 'limit' }, 'one place only');
  first.session.close({ code: 'cancelled', text: '' });
  const claimed = await first.claim(honest);
  t.equal(claimed, 'fresh');
  const third = await bearer(gateway, 'alice');
  t.match(await refusal(third.enter()), { code: 'limit' }, 'the claim took the place');
});

t.test('of nine detached sessions of a principal the oldest ends; another’s is untouched', async t => {
  const { gateway } = await served();
  const { victim: neighbour, says } = await talking(gateway, 'bob');
  const own = await Promise.all(
    Array.from({ length: 9 }, async () => {
      const one = await bearer(gateway, 'alice');
      await one.enter();
      return one;
    }),
  );
  await detached(gateway, neighbour);
  for (const one of own) await detached(gateway, one);
  const ended = await gateway.program.logged(
    line => line.msg === 'tunnel ended' && line.reason === 'limit',
    'the end of one',
  );
  t.equal(ended.session, own[0]?.session.facts.id, 'the oldest');
  t.equal(await neighbour.resume(), 'resumed');
  t.equal(await says('mine'), 'mine');
  t.equal(await own[8]?.resume(), 'resumed', 'and the newest goes on');
});

t.test('a connect killed behind a dead network and started again ends what it left at once', async t => {
  const { host, gateway } = await served();
  const cutter = await Cutter.start(gateway.port, new Random(1));
  const args = ['--instance-key-file', `${world.directory}/the-same.key`];
  const first = await world.connect(cutter, { args });
  const stream = talk(first.address);
  stream.write('alive');
  await stream.received(5);
  const served1 = await host.next();
  const closed = new Promise<number>(resolve => served1.once('close', () => resolve(performance.now())));
  cutter.cut('black-hole');
  await first.program.kill();
  const startedMs = performance.now();
  const second = await world.connect(cutter, { args });
  const tookMs = (await closed) - startedMs;
  t.ok(tookMs < 3_000, `the host saw the end ${Math.round(tookMs)} ms after the start, not a minute later`);
  t.equal(await exchange(second.address, 'new'), 'new');
  t.match(await gateway.program.logged(line => line.reason === 'replaced', 'why'), { msg: /ended/ });
  await cutter.close();
});
