import t from 'tap';
import { defaultInstanceLimits } from '../../../lib/tunnel/instances.ts';
import type { TunnelSession } from '../../../lib/tunnel/session.ts';
import { InstancesWorld } from '../../support/instances-world.ts';
import { quiet, type Received, readAll } from '../../support/tunnel-pair.ts';

async function running(names: readonly string[], instances?: number): Promise<InstancesWorld> {
  const world = new InstancesWorld(names, instances);
  await world.start();
  await world.pass(2_000);
  return world;
}

/** A stream that the gateway opens and the expose echoes. */
function opened(session: TunnelSession): { send(text: string): Promise<void>; received: Received } {
  const stream = session.open('autogen', 'loopback');
  const received = readAll(stream);
  return {
    received,
    send: async text => {
      stream.write(Buffer.from(text));
      await quiet();
    },
  };
}

t.test('one gateway process: one dial and no look, in ten minutes', async t => {
  const world = await running(['a']);
  await world.pass(600_000, 5_000);
  t.equal(world.dials.length, 1);
  t.same(world.count, { tunnels: 1, instances: 1 });
  t.notMatch(world.logged, [{ message: 'tunnels to gateway processes' }], 'and no word of it');
});

for (const names of [
  ['a', 'b'],
  ['a', 'b', 'c', 'd', 'e', 'f', 'g', 'h'],
]) {
  t.test(
    `${names.length} processes behind a balancer that takes turns: a tunnel to each, in 2 s`,
    async t => {
      const world = await running(names);
      t.same(world.count, { tunnels: names.length, instances: names.length });
      for (const gateway of world.gateways) {
        t.equal(gateway.live?.state, 'open', gateway.name);
        t.equal(gateway.hellos, 1, 'shown a credential once');
      }
      await world.pass(600_000, 5_000);
      t.equal(world.dials.length, names.length, 'then it dials no more');
      t.match(world.logged.at(-1)?.fields, { tunnels: names.length, instances: names.length });
    },
  );
}

t.test('8 processes behind a balancer that chooses at random: a tunnel to each', async t => {
  const world = new InstancesWorld(['a', 'b', 'c', 'd', 'e', 'f', 'g', 'h']);
  let seed = 7;
  world.choose = up => {
    seed = (seed * 48_271) % 0x7fffffff;
    return up[seed % up.length];
  };
  await world.start();
  await world.pass(180_000, 500);
  t.same(world.count, { tunnels: 8, instances: 8 });
  t.same(
    world.gateways.map(({ hellos, replaced }) => [hellos, replaced]),
    world.gateways.map(() => [1, 0]),
  );
});

t.test('looks that land on a known process show nothing, and its stream flows on meanwhile', async t => {
  const world = new InstancesWorld(['a', 'b']);
  const a = world.gateway('a');
  world.choose = () => a;
  await world.start();
  const { send, received } = opened(a.live!);
  let sent = '';
  for (let i = 0; i < 240; i += 1) {
    sent += `${i},`;
    await send(`${i},`);
    await world.pass(250, 250);
  }
  await world.pass(1_000);
  t.equal(received.bytes().toString(), sent);
  t.ok(world.dials.length > 6, `${world.dials.length} dials landed there`);
  t.equal(a.hellos, 1, 'one Hello in all');
  t.equal(a.replaced, 0);
  t.equal(a.live?.streamCount, 1);
});

t.test('without the check the same looks would end the live session: each is a Hello of its key', async t => {
  const world = new InstancesWorld(['a', 'b']);
  const a = world.gateway('a');
  world.choose = () => a;
  await world.start();
  const first = a.live!;
  const { received } = opened(first);
  // The claims are what stands between: a keeper that has none of them sends its Hello wherever it lands.
  const blind = new InstancesWorld(['b'], 1, undefined, world.instanceKey);
  blind.gateways = [a];
  await blind.start();
  t.equal(a.replaced, 1);
  t.match(await received.closed, { code: 'replaced' });
});

t.test(
  'looksPerMinute: 12 in any minute while one of 2 processes is missing; found when it is back',
  async t => {
    const world = await running(['a', 'b']);
    world.gateway('b').kill();
    await world.pass(600_000, 100);
    t.same(world.count, { tunnels: 1, instances: 2 });
    const looks = world.dials.slice(2).map(({ atMs }) => atMs);
    // The tries to resume, 3 s of them, are none.
    const later = looks.filter(atMs => atMs >= 8_000);
    for (const atMs of later) {
      const inMinute = later.filter(other => other >= atMs && other < atMs + 60_000).length;
      t.ok(inMinute <= defaultInstanceLimits.looksPerMinute, `${inMinute} from ${atMs} on`);
    }
    t.ok(later.length >= 60, `${later.length} in ten minutes`);
    const gaps = new Set(later.slice(1).map((atMs, index) => Math.round(atMs - (later[index] ?? 0))));
    t.ok(gaps.size > 5, 'at uneven times');
    t.equal(world.gateway('a').hellos, 1);
    world.add('b2', 2);
    await world.pass(60_000, 100);
    t.same(world.count, { tunnels: 2, instances: 2 });
  },
);

t.test('a process that takes tunnels and drops them at once is not hammered either', async t => {
  const world = await running(['a', 'b']);
  const b = world.gateway('b');
  const startedMs = world.clock.monotonic();
  for (let i = 0; i < 1_200; i += 1) {
    for (const session of b.sessions.splice(0)) session.close({ code: 'limit', text: 'too many' });
    await world.pass(100, 100);
  }
  const dials = world.dialsSince(startedMs);
  t.ok(dials <= 2 * defaultInstanceLimits.looksPerMinute + 2, `${dials} dials in 2 minutes`);
  t.equal(world.gateway('a').replaced, 0);
  t.ok(world.gateway('a').live);
});

t.test(
  'kill -9 of one of 3: the streams of the others flow, its own end within 5 s, and it is found again',
  async t => {
    const world = await running(['a', 'b', 'c']);
    const others = [opened(world.gateway('a').live!), opened(world.gateway('c').live!)];
    world.gateway('b').kill();
    const killedMs = world.clock.monotonic();
    await world.pass(4_500);
    t.same(world.count, { tunnels: 2, instances: 3 });
    world.add('b2', 3);
    await world.pass(10_000);
    t.same(world.count, { tunnels: 3, instances: 3 });
    t.ok(world.gateway('b2').live);
    for (const { send, received } of others) {
      await send('still here');
      await world.pass(100);
      t.equal(received.bytes().toString(), 'still here');
    }
    t.ok(world.dialsSince(killedMs) < 40, `${world.dialsSince(killedMs)} dials`);
    for (const name of ['a', 'c']) t.equal(world.gateway(name).hellos, 1, `${name} judged nothing anew`);
  },
);

t.test('a cut leg of one of 3 resumes at its own process, past the others that answer first', async t => {
  const world = await running(['a', 'b', 'c']);
  const b = world.gateway('b');
  const { send, received } = opened(b.live!);
  await send('before, ');
  let looks = 0;
  world.choose = up => {
    looks += 1;
    return looks <= 6 ? up.find(({ name }) => name === (looks % 2 ? 'a' : 'c')) : b;
  };
  b.cut();
  await world.pass(1_500);
  await send('after');
  await world.pass(100);
  t.equal(received.bytes().toString(), 'before, after');
  t.equal(b.sessions.length, 1, 'one session all along');
  t.equal(looks, 7);
  for (const name of ['a', 'c']) t.same([world.gateway(name).hellos, world.gateway(name).replaced], [1, 0]);
});

t.test('elsewhereForMs: where only others answer for 3 s, the session ends with session-lost', async t => {
  const world = await running(['a', 'b']);
  const { received } = opened(world.gateway('b').live!);
  let reason: unknown;
  void received.closed.then(closed => {
    reason = closed;
  });
  world.choose = () => world.gateway('a');
  world.gateway('b').cut();
  const cutMs = world.clock.monotonic();
  await world.pass(2_800);
  t.same(world.count, { tunnels: 2, instances: 2 }, 'waits for its own');
  const tries = world.dials.filter(({ atMs }) => atMs >= cutMs).map(({ atMs }) => atMs);
  for (const [index, atMs] of tries.entries())
    t.ok(index === 0 || atMs - (tries[index - 1] ?? 0) <= 300, 'elsewhereRedialMs: 200, in steps of 50 ms');
  await world.pass(800);
  t.same(world.count, { tunnels: 1, instances: 2 });
  t.equal(reason, undefined, 'the process itself heard nothing: its own patience is what ends it there');
  t.match(
    world.down.map(({ message }) => message),
    [/its gateway process is gone: for 3000 ms only others answered/],
  );
});

t.test('a drain of one: its stream runs on, a tunnel to its successor takes its place', async t => {
  const world = await running(['a', 'b']);
  const b = world.gateway('b');
  const { send, received } = opened(b.live!);
  await send('before, ');
  await world.pass(10_000);
  b.drain();
  await world.pass(500);
  t.same(world.count, { tunnels: 1, instances: 2 });
  world.add('b2', 2);
  await world.pass(10_000);
  t.same(world.count, { tunnels: 2, instances: 2 });
  await send('after');
  await world.pass(100);
  t.equal(received.bytes().toString(), 'before, after');
  world.keeper.stop({ code: 'shutdown', text: 'stopping' }, false);
  t.match(await received.closed, { code: 'shutdown' }, 'and stop ends it as well');
});

t.test(
  'all processes drain at once: streams run on, one client dials at a time, all successors are found',
  async t => {
    const world = await running(['a', 'b', 'c']);
    await world.pass(10_000);
    const streams = world.gateways.map(({ live }) => opened(live!));
    for (const gateway of [...world.gateways]) gateway.drain();
    await world.pass(3_000);
    t.same(world.count, { tunnels: 0, instances: 1 });
    t.ok(world.dialsSince(12_000) < 15, `${world.dialsSince(12_000)} dials`);
    for (const name of ['a2', 'b2', 'c2']) world.add(name, 3);
    await world.pass(20_000);
    t.same(world.count, { tunnels: 3, instances: 3 });
    for (const { send, received } of streams) {
      await send('on');
      await world.pass(100);
      t.equal(received.bytes().toString(), 'on');
    }
    t.ok(world.gateways.slice(3).every(({ replaced, hellos }) => replaced === 0 && hellos === 1));
  },
);

t.test('the last tunnel is lost while a look waits for its turn: it dials at once', async t => {
  const world = await running(['a', 'b']);
  world.gateway('b').kill();
  await world.pass(30_000);
  world.gateway('a').drain();
  world.add('a2', 2);
  await world.pass(200);
  t.ok(world.gateway('a2').live, 'within 200 ms');
});

t.test('a number that grows is followed, one that shrinks is too and ends no live tunnel', async t => {
  const world = await running(['a', 'b'], 1);
  const [first, second] = world.dials[0]?.on === 'a' ? ['a', 'b'] : ['b', 'a'];
  t.same(world.count, { tunnels: 1, instances: 1 });
  world.gateway(first!).tell(2);
  world.gateway(second!).instances = 2;
  await world.pass(2_000);
  t.same(world.count, { tunnels: 2, instances: 2 });
  world.gateway(first!).tell(1);
  await world.pass(1_000);
  t.same(world.count, { tunnels: 2, instances: 2 }, 'the larger number counts until all say the same');
  world.gateway(second!).tell(1);
  await world.pass(1_000);
  t.same(world.count, { tunnels: 2, instances: 1 });
  t.ok(world.gateway('a').live && world.gateway('b').live, 'both live');
  const dials = world.dials.length;
  world.gateway(second!).kill();
  await world.pass(10_000);
  t.same(world.count, { tunnels: 1, instances: 1 });
  const since = world.dials.length;
  await world.pass(120_000, 1_000);
  t.equal(world.dials.length, since, 'what is gone is not looked for');
  t.ok(since > dials);
});

t.test('a number that shrinks while a look is under way stops the looks', async t => {
  const world = await running(['a'], 3);
  t.same(world.count, { tunnels: 1, instances: 3 });
  world.gateway('a').tell(1);
  await world.pass(100);
  const dials = world.dials.length;
  await world.pass(120_000, 1_000);
  t.equal(world.dials.length, dials);
  world.gateway('a').tell(2);
  await world.pass(60_000, 500);
  t.ok(world.dials.length > dials, 'and one that grows starts them again');
});

t.test('maxInstances: a gateway that says a million gets no more than 64 tunnels asked for', async t => {
  const world = await running(['a'], 1_000_000);
  t.same(world.count, { tunnels: 1, instances: defaultInstanceLimits.maxInstances });
  const few = new InstancesWorld(['a', 'b', 'c'], 3, { ...defaultInstanceLimits, maxInstances: 2 });
  await few.start();
  await few.pass(5_000);
  t.same(few.count, { tunnels: 2, instances: 2 });
});

t.test('a process that refuses us costs the others nothing', async t => {
  const world = new InstancesWorld(['a', 'b']);
  world.gateway('b').refuses = 'not here';
  await world.start();
  await world.pass(60_000, 100);
  t.same(world.count, { tunnels: 1, instances: 2 });
  t.equal(world.gateway('a').hellos, 1);
  t.ok(
    world.gateway('b').hellos <= defaultInstanceLimits.looksPerMinute,
    `${world.gateway('b').hellos} refusals`,
  );
  world.gateway('b').refuses = undefined;
  await world.pass(60_000, 100);
  t.same(world.count, { tunnels: 2, instances: 2 });
});

t.test('looks that always land on the same process are said once, as a warning', async t => {
  const world = new InstancesWorld(['a', 'b']);
  world.choose = () => world.gateway('a');
  await world.start();
  await world.pass(300_000, 500);
  const warnings = world.logged.filter(({ level }) => level === 'warn');
  t.match(warnings, [
    {
      message: /every dial reaches a gateway process that has a tunnel already/,
      fields: { tunnels: 1, instances: 2 },
    },
  ]);
  t.equal(warnings.length, 1);
  t.equal(world.down.length, 0, 'no tunnel is down');
});

t.test('renewNow: another token is shown to each process', async t => {
  const world = await running(['a', 'b', 'c']);
  world.token = 'd.e.f';
  await world.keeper.renewNow();
  await world.pass(5_000);
  for (const { renewals } of world.gateways) t.same(renewals, ['d.e.f']);
});

t.test('told to stop it ends all tunnels and looks no more', async t => {
  const world = await running(['a', 'b'], 3);
  world.keeper.stop({ code: 'shutdown', text: 'stopping' }, true);
  await world.pass(1_000);
  t.notOk(world.gateway('a').live ?? world.gateway('b').live);
  const dials = world.dials.length;
  await world.pass(120_000, 1_000);
  t.equal(world.dials.length, dials);
});
