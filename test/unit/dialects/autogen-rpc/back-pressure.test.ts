import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import t from 'tap';
import { type Metrics, noMetrics } from '../../../../lib/core/ports.ts';
import { AutogenMetrics } from '../../../../lib/dialects/autogen-rpc/metrics.ts';
import { settled } from '../../../support/dialect-streams.ts';
import { callerAndCallee, type Opened, type Worker } from '../../../support/dialect-world.ts';

function opened({ channel }: Worker): Opened {
  if (!channel) throw new Error('no channel');
  return channel;
}

async function turns(count: number): Promise<void> {
  for (let turn = 0; turn < count; turn += 1) await settled();
}

void t.test(
  'a frozen subscriber slows the publisher, and is let go after 30 s; a busy one is not',
  async t => {
    const { world, caller, callee } = await callerAndCallee();
    await callee.subscribe('s-1', 'news', 'echo');
    const channel = opened(callee);
    channel.frozen = true;
    for (let at = 0; at < 2_000; at += 1) caller.publish('news', { bytes: 8_192 });
    await turns(50);
    const held = caller.channel?.end.queuedBytes ?? 0;
    t.ok(held > 15 * 1_048_576, `of 16 MiB ${held} B are still the publisher's own`);
    t.ok(
      channel.end.other.queuedBytes <= 2 * 65_536,
      `${channel.end.other.queuedBytes} B lie with the gateway`,
    );
    await world.pass(29_000, 1_000);
    t.equal(channel.ending, undefined);
    await world.pass(2_000, 1_000);
    t.equal(channel.reset, 8, 'let go');
    await turns(50);
    t.equal(caller.channel?.end.queuedBytes, 0, 'and the publisher moves again');
  },
);

void t.test('with a stallTimeoutMs of 5 s the publisher stands still no longer than that', async t => {
  const { world, caller, callee } = await callerAndCallee({ options: { stallTimeoutMs: 5_000 } });
  await callee.subscribe('s-1', 'news', 'echo');
  const channel = opened(callee);
  channel.frozen = true;
  for (let at = 0; at < 200; at += 1) caller.publish('news', { bytes: 8_192 });
  await turns(50);
  t.ok((caller.channel?.end.queuedBytes ?? 0) > 0, 'it stands still');
  await world.pass(4_000, 1_000);
  t.equal(channel.ending, undefined);
  await world.pass(2_000, 1_000);
  t.equal(channel.reset, 8, 'let go');
  await turns(50);
  t.equal(caller.channel?.end.queuedBytes, 0, 'and the publisher moves again');
});

void t.test('a subscriber that takes again lets the publisher go on, nothing is lost', async t => {
  const { caller, callee } = await callerAndCallee();
  await callee.subscribe('s-1', 'news', 'echo');
  const channel = opened(callee);
  channel.frozen = true;
  for (let at = 0; at < 200; at += 1) caller.publish('news', { bytes: 8_192, id: `e${at}` });
  await turns(20);
  t.ok(callee.events.length < 20);
  channel.frozen = false;
  channel.end.consume(channel.withheld);
  await turns(100);
  t.strictSame(
    callee.events,
    Array.from({ length: 200 }, (_, at) => `e${at}`),
  );
});

void t.test('a host that reads nothing leaves the client’s bytes with the client', async t => {
  const { world, caller } = await callerAndCallee();
  world.host.frozen = true;
  for (let at = 0; at < 200; at += 1) caller.publish('news', { bytes: 8_192 });
  await turns(20);
  const held = caller.channel?.end.queuedBytes ?? 0;
  t.ok(held > 200 * 8_192 - 3 * 65_536, `${held} B of 1.6 MiB`);
});

void t.test('a caller that reads none of its refusals is read no further', async t => {
  const { world, caller } = await callerAndCallee();
  world.deny = a => a.context.operation === 'rpc';
  const channel = opened(caller);
  channel.frozen = true;
  for (let at = 0; at < 20_000; at += 1) caller.rpc(`r${at}`, 'echo');
  await turns(50);
  t.ok(channel.end.other.queuedBytes < 4 * 65_536, `${channel.end.other.queuedBytes} B of answers wait`);
  t.ok(world.count('rpc', 'denied') < 10_000);
});

void t.test('sessions and gauges say what there is', async t => {
  const { world, caller, callee } = await callerAndCallee();
  callee.answer = () => undefined;
  await callee.register('evil\u001b[31m');
  caller.rpc('1', 'echo');
  await settled();
  t.match(world.dialect.describe(), {
    pendingRequests: 1,
    heldMessages: 0,
    clients: [
      {
        principal: 'User::corp|alice',
        session: 'session-a',
        connected: true,
        agentTypes: [],
        pendingRequests: 1,
      },
      {
        principal: 'User::corp|bob',
        connected: true,
        agentTypes: ['echo', 'evil\\u{1b}[31m'],
        pendingRequests: 0,
      },
    ],
  });
  const gauges = new Map<string, () => number>();
  const metrics: Metrics = { ...noMetrics, gauge: (name, _help, read) => gauges.set(name, read) };
  const shared = new AutogenMetrics(metrics);
  const held = { agentTypes: 1, pendingRequests: 2, heldMessages: 3, heldBytes: 4 };
  shared.watch(() => held);
  const unwatch = shared.watch(() => held);
  t.equal(gauges.get('lockwire_autogen_pending_rpcs')?.(), 4);
  unwatch();
  t.equal(gauges.get('lockwire_autogen_held_bytes')?.(), 4);
});

void t.test('closing ends each channel with the reason, and every timer', async t => {
  const { world, caller, callee } = await callerAndCallee();
  world.dialect.close({ code: 'shutdown', text: 'the gateway shuts down' });
  await settled();
  for (const worker of [caller, callee])
    t.match(worker.channel?.ending, { status: 14, text: 'the gateway shuts down' });
  t.strictSame(world.dialect.describe().clients, []);
  t.equal(world.host.channels.size, 0);
});

void t.test('grpc-timeout ends a channel and a unary call with DEADLINE_EXCEEDED', async t => {
  const { world, caller } = await callerAndCallee();
  const timeout = { name: 'grpc-timeout', value: '2S', sensitive: false };
  world.host.mute = true;
  const open = world.worker('w').call('OpenChannel', [timeout]);
  const unary = caller.call('RegisterAgent', [timeout]);
  unary.end.write(Buffer.from([0, 0, 0, 0, 3, 0x0a, 1, 0x61]));
  unary.end.end();
  await world.pass(2_100);
  t.equal(open.ending?.status, 4);
  t.equal(unary.ending?.status, 4);
});

void t.test('of 200 publishers that come, are slowed and go, a frozen subscriber keeps none', async t => {
  setFlagsFromString('--expose-gc');
  const collect = runInNewContext('gc') as () => void;
  const { world, callee } = await callerAndCallee();
  await callee.subscribe('s-1', 'news', 'echo');
  opened(callee).frozen = true;
  const gone: WeakRef<object>[] = [];
  for (let at = 0; at < 200; at += 1) {
    const publisher = world.worker(`publisher-${at}`);
    const { end } = await publisher.open();
    publisher.publish('news', { bytes: 8_192 });
    await settled();
    end.reset(8);
    gone.push(new WeakRef(end));
  }
  await world.pass(6_000, 1_000);
  t.equal(opened(callee).ending, undefined, 'it is still waited for');
  collect();
  const kept = gone.filter(end => end.deref() !== undefined).length;
  t.ok(kept < 10, `${kept} of 200 are kept`);
});
