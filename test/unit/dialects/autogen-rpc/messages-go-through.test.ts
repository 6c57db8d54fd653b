import t from 'tap';
import { settled } from '../../../support/dialect-streams.ts';
import { callerAndCallee, World } from '../../../support/dialect-world.ts';

void t.test(
  'an RPC of 3 B reaches its agent and its answer comes back under the caller’s own id',
  async t => {
    const { world, caller, callee } = await callerAndCallee();
    caller.rpc('1', 'echo');
    await settled();
    t.strictSame(caller.answers, { 1: '' });
    const [request] = callee.requests;
    t.match(request?.requestId, /^[0-9a-f]{32}$/, '128 random bits on the way');
    t.equal(world.count('rpc', 'passed'), 1);
    t.equal(world.count('respond', 'passed'), 1);
  },
);

void t.test('an event reaches each worker that subscribed to its topic, once', async t => {
  const { caller, callee } = await callerAndCallee();
  await callee.subscribe('s-1', 'news', 'echo');
  await callee.subscribePrefix('s-2', 'ne', 'echo');
  caller.publish('news');
  caller.publish('weather');
  await settled();
  t.strictSame(callee.events, ['event-1']);
});

void t.test('messages of 3 MiB pass in windows of 64 KiB, both ways', async t => {
  const { caller, callee } = await callerAndCallee();
  caller.rpc('1', 'echo', { bytes: 3 * 1_048_576 });
  await settled();
  await settled();
  t.strictSame(caller.answers, { 1: '' });
  t.equal(callee.requests[0]?.payload?.data.byteLength, 3 * 1_048_576);
});

void t.test('every cut of the stream into chunks gives the same messages', async t => {
  for (const window of [1, 2, 3, 5, 7, 64]) {
    const { caller } = await callerAndCallee({ windowBytes: window });
    for (let turn = 0; turn < 10; turn += 1) await settled();
    caller.rpc('1', 'echo', { bytes: 40 });
    for (let turn = 0; turn < 60; turn += 1) await settled();
    t.strictSame(caller.answers, { 1: '' }, `windows of ${window} B`);
  }
});

void t.test('the host is spoken to as HTTP/2 and gRPC want it, under a minted id', async t => {
  const { world, caller } = await callerAndCallee();
  const [open] = world.host.requests;
  t.strictSame(
    open?.slice(0, 6).map(f => [f.name, f.value]),
    [
      [':method', 'POST'],
      [':scheme', 'http'],
      [':path', '/agents.AgentRpc/OpenChannel'],
      [':authority', 'host.test'],
      ['te', 'trailers'],
      ['content-type', 'application/grpc'],
    ],
  );
  t.equal(open?.find(f => f.name === 'user-agent')?.value, 'grpc-python-asyncio/1.70');
  t.match(caller.hostId, /^[0-9a-f-]{36}$/);
  t.notOk(
    world.host.requests.flat().some(f => f.value === caller.clientId),
    'never the client’s own',
  );
});

void t.test('nothing is answered on a channel before there is something to say', async t => {
  const world = new World();
  const worker = world.worker('w');
  const channel = await worker.open();
  t.strictSame(channel.headers, []);
});

void t.test(
  'calls of another service are not taken, those of AgentRpc in other letters are refused',
  async t => {
    const world = new World();
    const worker = world.worker('w');
    worker.call('Check', [], '/grpc.health.v1.Health/Check');
    t.equal(worker.taken, false);
    for (const path of [
      '/agents.AgentRpc/OpenControlChannel',
      '/Agents.agentrpc/RegisterAgent',
      '/agents.AgentRpc/',
    ]) {
      const call = worker.call('', [], path);
      await settled();
      t.equal(worker.taken, true);
      t.equal(call.ending?.status, 12, `${path}: UNIMPLEMENTED`);
    }
    t.strictSame(world.host.requests, []);
  },
);

void t.test('a compressed message ends the channel with a reason', async t => {
  const { caller } = await callerAndCallee();
  caller.channel?.end.write(Buffer.from([1, 0, 0, 0, 1, 0]));
  await settled();
  t.equal(caller.channel?.ending?.status, 12);
});

void t.test('what is no message is dropped and counted, and a request among it answered', async t => {
  const { world, caller } = await callerAndCallee();
  caller.sendBytes(Buffer.from([0x0a, 0xff]));
  // A request with the id "7", and a target whose length lies.
  caller.sendBytes(Buffer.from([0x0a, 0x05, 0x0a, 0x01, 0x37, 0x1a, 0x7f]));
  caller.rpc('8', 'echo');
  await settled();
  t.match(caller.answers['7'], /malformed/);
  t.equal(caller.answers['8'], '', 'the channel goes on');
  t.equal(world.count('rpc', 'invalid') + world.count('publish', 'invalid'), 2);
});

void t.test('a message of the host’s that is none is dropped, and the channel goes on', async t => {
  const { world, caller, callee } = await callerAndCallee();
  world.host.sendBytes(callee.hostId, Buffer.from([0x1a, 0x02, 0x0a, 0x05]));
  caller.rpc('1', 'echo');
  await settled();
  t.equal(caller.answers['1'], '');
  t.equal(world.count('publish', 'invalid'), 1);
});
