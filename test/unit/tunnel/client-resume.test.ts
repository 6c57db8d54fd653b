import t from 'tap';
import type { TunnelStream } from '../../../lib/tunnel/stream.ts';
import { ClientWorld } from '../../support/cuts-client.ts';
import { quiet, readAll } from '../../support/tunnel-pair.ts';

/** A stream of the client's that the gateway echoes. */
async function echoed(world: ClientWorld, stream: TunnelStream, text: string): Promise<string> {
  const before = received.get(stream)?.bytes().byteLength ?? 0;
  if (!received.has(stream)) received.set(stream, readAll(stream));
  stream.write(Buffer.from(text));
  for (let i = 0; i < 20; i += 1) {
    await quiet(2);
    world.clock.advance(1);
  }
  return received.get(stream)?.bytes().subarray(before).toString() ?? '';
}
const received = new WeakMap<TunnelStream, ReturnType<typeof readAll>>();

async function running(...options: ConstructorParameters<typeof ClientWorld>) {
  const world = new ClientWorld(...options);
  await world.start();
  const stream = world.session!.open('autogen', 'loopback');
  await echoed(world, stream, 'first');
  return { world, stream };
}

t.test('a lost connection is dialled again at once, and the stream goes on', async t => {
  const { world, stream } = await running();
  world.cut();
  await quiet();
  t.equal(world.dials.length, 2);
  t.equal(world.dials[1], world.clock.monotonic(), 'in the same millisecond');
  t.equal(await echoed(world, stream, 'second'), 'second');
  t.equal(world.resumed.length, 1);
  t.equal(world.sessions.length, 1);
});

t.test('a connection that is lost in the moment that it resumed is dialled again', async t => {
  const { world, stream } = await running();
  let cuts = 0;
  world.onAccepted = () => {
    // The client's Resumed is on its way; its dial is still under way when the loss comes.
    if (cuts < 3) setImmediate(() => world.cut());
    cuts += 1;
  };
  world.cut();
  await world.pass(5_000);
  t.ok(cuts >= 4, `${cuts} connections`);
  t.equal(await echoed(world, stream, 'still here'), 'still here');
});

t.test(
  'promptRedialsBurst, firstRedialMs: 100 cuts in a row cost nothing; only 20 of them are dialled again at once',
  async t => {
    const { world, stream } = await running();
    for (let i = 0; i < 100; i += 1) {
      world.cut();
      await quiet();
    }
    t.ok(world.dials.length <= 25, `${world.dials.length} dials in no time`);
    await world.pass(6_000);
    t.equal(await echoed(world, stream, 'after 100'), 'after 100');
    t.equal(world.sessions.length, 1);
  },
);

t.test('20 resumes leave one renewal to come, not 21: the gateway refuses two at once', async t => {
  const { world, stream } = await running();
  world.expiresAtMs = world.clock.now() + 1_000_000;
  for (let i = 0; i < 20; i += 1) {
    world.cut();
    await world.pass(1_000, 1_000);
  }
  t.equal(world.renewals.length, 0);
  world.token = 'd.e.f';
  world.renewedUntilMs = world.expiresAtMs + 10_000_000;
  for (let i = 0; i < 85; i += 1) {
    world.clock.advance(10_000);
    await quiet(6);
  }
  t.equal(world.renewals.length, 1);
  t.equal(await echoed(world, stream, 'renewed'), 'renewed');
});

t.test('a token that runs out while there is no connection is shown with the next, not in band', async t => {
  const { world, stream } = await running();
  world.expiresAtMs = world.clock.now() + 20_000;
  world.cut();
  await world.pass(1_000);
  world.network = 'swallowed';
  world.cut();
  await world.pass(16_500, 500);
  t.equal(world.session?.attached, false, 'the renewal fell due meanwhile');
  world.expiresAtMs = world.clock.now() + 1_000_000;
  world.network = 'up';
  await world.pass(25_000, 500);
  t.equal(world.renewals.length, 0);
  t.ok(world.session?.attached);
  t.equal(world.sessions[0]?.state, 'closed', 'the gateway had kept it 4.5 s');
  t.match(await received.get(stream)!.closed, { code: 'session-lost' });
});

t.test(
  'a gateway that was restarted at once gets one fresh session, and no second dial replaces it',
  async t => {
    const { world, stream } = await running();
    world.forget();
    world.cut();
    await quiet();
    t.match(await received.get(stream)!.closed, { code: 'session-lost' });
    t.equal(world.sessions.length, 2);
    await world.pass(10_000);
    t.equal(world.dials.length, 2, 'and no more');
    t.equal(world.gatewaySession?.state, 'open');
    t.equal(await echoed(world, world.session!.open('autogen', 'unix'), 'new'), 'new');
  },
);

t.test(
  'firstResumeTimeoutMs: a try that the network swallows is given up after 2 s, in time for a gateway that waits 4.5 s',
  async t => {
    const { world, stream } = await running();
    world.network = 'swallowed';
    world.cut();
    await world.pass(1_900);
    t.equal(world.dials.length, 2);
    world.network = 'up';
    await world.pass(400);
    t.equal(world.dials.length, 3);
    t.equal(await echoed(world, stream, 'in time'), 'in time');
    t.equal(world.sessions.length, 1);
  },
);

t.test('refusedForMs: a gateway whose port refuses for 3 s is gone; its streams end', async t => {
  const { world, stream } = await running();
  world.network = 'refused';
  world.cut();
  await world.pass(2_900);
  t.equal(world.session?.state, 'open');
  await world.pass(1_100);
  t.match(await received.get(stream)!.closed, { code: 'session-lost', text: /the gateway is gone/ });
  world.network = 'up';
  await world.pass(5_500);
  t.equal(world.sessions.length, 2, 'and it goes on dialling');
});

t.test('told to stop after its streams while there is no connection, it resumes first', async t => {
  const { world, stream } = await running();
  world.network = 'refused';
  world.cut();
  await quiet();
  world.client.stop({ code: 'shutdown', text: 'stopping' }, true);
  t.equal(world.session?.state, 'draining');
  world.network = 'up';
  await world.pass(1_000);
  t.equal(await echoed(world, stream, 'last words'), 'last words');
  stream.end();
  await world.pass(500);
  t.match(await received.get(stream)!.closed, { code: 'done' });
  t.equal(world.session?.state, 'closed');
  const dials = world.dials.length;
  await world.pass(20_000, 500);
  t.equal(world.dials.length, dials, 'then it dials no more');
});

t.test('told to stop at once while there is no connection, it ends and dials no more', async t => {
  const { world, stream } = await running();
  world.network = 'refused';
  world.cut();
  await quiet();
  world.client.stop({ code: 'shutdown', text: 'stopping' }, false);
  t.match(await received.get(stream)!.closed, { code: 'shutdown' });
  const dials = world.dials.length;
  world.network = 'up';
  await world.pass(20_000, 500);
  t.equal(world.dials.length, dials);
});

t.test('a refusal of the resume ends the session at once, with its reason', async t => {
  const { world, stream } = await running();
  // As one who replays: the gateway has seen this attempt.
  world.gatewaySession!.nextAttempt(1_000);
  world.cut();
  await quiet();
  t.match(await received.get(stream)!.closed, { code: 'denied', text: /attempt 1/ });
});

t.test(
  'successorRedialMs: after a go-away a port that refuses is tried each 500 ms at most, for a minute; then each 5 s',
  async t => {
    const { world } = await running();
    await world.pass(20_000, 500);
    world.network = 'refused';
    world.gatewaySession!.drain({ code: 'shutdown', text: 'stopping' });
    await world.pass(59_000);
    const waits = gapsOf(world.dials.slice(1));
    t.ok(waits.length > 100, `${waits.length} redials`);
    t.ok(Math.max(...waits) <= 550, `the longest wait was ${Math.max(...waits)} ms`);
    await world.pass(60_000);
    t.ok(gapsOf(world.dials).at(-1)! >= 2_000, 'then it is down, and is not hammered');
  },
);

t.test('after a go-away a successor that listens 17 s later has the session within 500 ms', async t => {
  const { world } = await running();
  await world.pass(20_000, 500);
  world.network = 'refused';
  world.gatewaySession!.drain({ code: 'shutdown', text: 'stopping' });
  await world.pass(17_000);
  world.network = 'up';
  await world.pass(550);
  t.equal(world.sessions.length, 2);
  t.equal(await echoed(world, world.session!.open('autogen', 'unix'), 'new'), 'new');
});

t.test('a gateway that ended without a go-away is tried at intervals that grow to 5 s, as ever', async t => {
  const { world } = await running();
  await world.pass(20_000, 500);
  world.network = 'refused';
  world.gatewaySession!.close({ code: 'internal', text: 'crashed' });
  await world.pass(40_000);
  t.ok(Math.max(...gapsOf(world.dials.slice(1))) >= 2_000);
});

t.test('ten gateways that stay for 1 s each are followed without a wait that grows', async t => {
  const { world } = await running();
  for (let number = 1; number <= 10; number += 1) {
    await world.pass(1_000);
    world.network = 'refused';
    world.gatewaySession!.drain({ code: 'shutdown', text: 'stopping' });
    await world.pass(800);
    world.network = 'up';
    await world.pass(550);
    t.equal(world.sessions.length, number + 1);
  }
});

t.test('followedPerSecond: a gateway that goes away as soon as it is there is not hammered', async t => {
  const { world } = await running();
  world.onAccepted = () => {
    const session = world.sessions.at(-1)!;
    queueMicrotask(() => session.drain({ code: 'shutdown', text: 'stopping' }));
  };
  world.gatewaySession!.drain({ code: 'shutdown', text: 'stopping' });
  await world.pass(30_000);
  const before = world.dials.length;
  await world.pass(60_000);
  t.ok(world.dials.length - before <= 80, `${world.dials.length - before} dials in a minute`);
});

function gapsOf(timesMs: readonly number[]): number[] {
  return timesMs.slice(1).map((atMs, index) => atMs - (timesMs[index] ?? 0));
}
