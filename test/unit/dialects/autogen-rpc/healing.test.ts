import t from 'tap';
import { settled } from '../../../support/dialect-streams.ts';
import { callerAndCallee, World } from '../../../support/dialect-world.ts';

void t.test(
  'when the connection is cut, channels stay open and all is registered anew under fresh ids',
  async t => {
    const { world, caller, callee } = await callerAndCallee();
    await callee.subscribe('s-1', 'news', 'echo');
    const before = callee.hostId;
    for (let cut = 0; cut < 20; cut += 1) {
      world.host.cutAll();
      await settled();
      await world.pass(10_000, 500);
      caller.rpc(`r${cut}`, 'echo');
      caller.publish('news', { id: `e${cut}` });
      await settled();
      t.equal(caller.answers[`r${cut}`], '', `after cut ${cut + 1}`);
    }
    t.equal(callee.events.length, 20);
    t.not(callee.hostId, before);
    t.equal(caller.channel?.ending, undefined);
    t.equal(callee.channel?.ending, undefined);
    t.equal(world.host.types.size, 1);
  },
);

void t.test('the host’s late cleanup of the old channel does not hit the new one', async t => {
  const { world, caller, callee } = await callerAndCallee();
  world.host.lazy = true;
  world.host.cutAll();
  await world.pass(1_000);
  t.not(world.host.types.get('echo'), callee.hostId, 'the old one still has it: INVALID_ARGUMENT so far');
  caller.rpc('1', 'echo');
  await settled();
  t.strictSame(caller.answers, {}, 'held meanwhile');
  world.host.cleanUp();
  await world.pass(200);
  t.equal(world.host.types.get('echo'), callee.hostId);
  t.strictSame(caller.answers, { 1: '' });
});

void t.test('what went to the host before it died is answered with an error and not sent again', async t => {
  const { world, caller, callee } = await callerAndCallee();
  callee.answer = () => undefined;
  caller.rpc('1', 'echo');
  await settled();
  const sent = world.host.messages.length;
  world.host.kill();
  await settled();
  t.match(caller.answers, {
    1: /connection to the AutoGen host was lost: whether the call was made is not known/,
  });
  world.host.down = false;
  await world.pass(2_000);
  t.equal(world.host.messages.length, sent);
  const requestId = callee.requests[0]?.requestId ?? '';
  callee.send({ response: { requestId, error: 'late' } });
  await settled();
  t.equal(world.host.messages.length, sent, 'an answer that nobody waits for any more');
  t.equal(world.count('respond', 'unasked'), 1);
});

void t.test('the callee’s connection alone is cut: its callers hear, and it is reached again', async t => {
  const { world, caller, callee } = await callerAndCallee();
  callee.answer = () => undefined;
  caller.rpc('1', 'echo');
  await settled();
  world.host.channels.get(callee.hostId)?.end.cut('reset');
  await settled();
  t.match(caller.answers['1'], /was lost/);
  callee.answer = request => ({ response: { requestId: request.requestId } });
  await world.pass(500);
  caller.rpc('2', 'echo');
  await settled();
  t.equal(caller.answers['2'], '');
});

void t.test('messages are held while the host is away, and delivered once and in order', async t => {
  const { world, caller, callee } = await callerAndCallee();
  await callee.subscribe('s-1', 'news', 'echo');
  world.host.kill();
  await settled();
  for (let at = 0; at < 10; at += 1) caller.publish('news', { id: `e${at}` });
  caller.rpc('1', 'echo');
  await settled();
  t.match(world.dialect.describe(), { heldMessages: 11 });
  await world.pass(3_000);
  world.host.down = false;
  await world.pass(6_000);
  t.strictSame(
    callee.events,
    Array.from({ length: 10 }, (_, at) => `e${at}`),
  );
  t.strictSame(caller.answers, { 1: '' });
  t.match(world.dialect.describe(), { heldMessages: 0, heldBytes: 0 });
});

void t.test(
  'at 1,000 messages or 1 MiB an RPC gets an error and a publish is dropped and counted',
  async t => {
    const { world, caller } = await callerAndCallee();
    world.host.kill();
    await settled();
    for (let at = 0; at < 1_000; at += 1) caller.publish('news', { id: `e${at}` });
    caller.publish('news');
    caller.rpc('1', 'echo');
    await settled();
    await settled();
    t.match(world.dialect.describe(), { heldMessages: 1_000 });
    t.match(
      caller.answers['1'],
      /^1000 messages of \d+ bytes wait for the AutoGen host, the most is 1000 of 1048576 bytes$/,
    );
    t.equal(world.count('publish', 'not-held'), 1);
    const other = await callerAndCallee();
    other.world.host.kill();
    await settled();
    for (let at = 0; at < 3; at += 1) other.caller.rpc(String(at), 'echo', { bytes: 500_000 });
    for (let turn = 0; turn < 10; turn += 1) await settled();
    t.strictSame(Object.keys(other.caller.answers), ['2']);
    t.ok(other.world.dialect.describe().heldBytes <= 1_048_576);
  },
);

void t.test('after 30 s what was held is answered, and no call hangs while the host stays away', async t => {
  const { world, caller } = await callerAndCallee();
  world.host.kill();
  await settled();
  caller.rpc('1', 'echo');
  caller.publish('news');
  await settled();
  await world.pass(29_000, 1_000);
  t.strictSame(caller.answers, {});
  await world.pass(2_000, 1_000);
  t.match(caller.answers['1'], /within 30000 ms$/);
  caller.rpc('2', 'echo');
  await settled();
  t.match(caller.answers['2'], /can’t be reached now$/);
  t.match(await caller.register('late'), { status: 14 });
  t.equal(world.count('publish', 'not-held'), 1);
  world.host.down = false;
  await world.pass(6_000, 500);
  caller.rpc('3', 'echo');
  await settled();
  t.equal(caller.answers['3'], '', 'it was tried all the time');
});

void t.test('registering while the host is away waits for it', async t => {
  const { world, caller } = await callerAndCallee();
  world.host.kill();
  await settled();
  const registering = caller.register('mine');
  world.host.down = false;
  await world.pass(500);
  await registering;
  t.equal(world.host.types.get('mine'), caller.hostId);
});

t.test('a registration that the host makes after it lost the channel is not left to the old id', async t => {
  const { world, caller } = await callerAndCallee();
  const waiting: (() => void)[] = [];
  world.host.slow = waiting;
  const call = caller.call('RegisterAgent');
  call.end.write(Buffer.from([0, 0, 0, 0, 6, 0x0a, 4, ...Buffer.from('mine')]));
  call.end.end();
  await settled();
  world.host.cutAll();
  await settled();
  world.host.slow = undefined;
  for (const make of waiting) make();
  await settled();
  t.equal(call.ending?.status, 0);
  await world.pass(3_000);
  t.equal(world.host.types.get('mine'), caller.hostId);
});

void t.test(
  'a type that somebody else took meanwhile is given up after 30 s, and the worker told',
  async t => {
    const { world, callee } = await callerAndCallee();
    await callee.register('kept');
    world.host.kill();
    world.host.types.set('echo', 'somebody-else');
    world.host.down = false;
    await world.pass(31_000, 200);
    t.equal(world.host.types.get('kept'), callee.hostId);
    t.equal(world.host.types.get('echo'), 'somebody-else');
    t.match(callee.notices, [{ text: /did not take agent type echo back/ }]);
    t.strictSame(
      world.dialect.describe().clients.flatMap(c => c.agentTypes),
      ['kept'],
    );
  },
);

void t.test('a worker whose host can’t be reached at first hears so, UNAVAILABLE', async t => {
  const world = new World();
  world.host.down = true;
  const channel = await world.worker('w').open();
  t.match(channel.ending, { status: 14, text: /connection refused/ });
  world.host.down = false;
  const again = await world.worker('w').open();
  t.equal(again.ending, undefined);
});

void t.test(
  'a client that opens its channel again within 60 s has its registrations back, later it has not',
  async t => {
    for (const [waitMs, back] of [
      [59_000, true],
      [61_000, false],
    ] as const) {
      const { world, caller, callee } = await callerAndCallee();
      await callee.subscribe('s-1', 'news', 'echo');
      callee.channel?.end.reset(8);
      await settled();
      t.equal(world.host.types.size, 0, 'the host has cleaned up');
      await world.pass(waitMs, 1_000);
      await callee.open();
      await world.pass(500);
      caller.rpc('1', 'echo');
      caller.publish('news');
      await settled();
      t.equal(caller.answers['1'] === '', back);
      t.equal(callee.events.length, back ? 1 : 0);
      t.equal(callee.channel?.ending, undefined);
    }
  },
);

void t.test('registrations without a channel are swept from the host', async t => {
  const world = new World();
  await world.worker('loose').register('orphan');
  t.equal(world.host.types.size, 1);
  await world.pass(62_000, 1_000);
  t.equal(world.host.types.size, 0);
  t.strictSame(world.dialect.describe().clients, []);
});

void t.test('a refusal of the host’s is the client’s to see, without ids', async t => {
  const world = new World();
  const worker = world.worker('w');
  await worker.open();
  const channel = world.host.channels.get(worker.hostId);
  const field = (name: string, value: string) => ({ name, value, sensitive: false });
  channel?.end.sendHeaders(
    [
      field(':status', '200'),
      field('grpc-status', '7'),
      field('grpc-message', 'not for 0b0c6f1a-7a53-4c1e-9b54-0d7d0b1f9a11'),
    ],
    true,
  );
  await settled();
  t.strictSame(worker.channel?.ending, { status: 7, text: 'not for …', decision: undefined });
});

void t.test(
  'a worker that sends no more while its message is held: it goes on, and then the end',
  async t => {
    const { world, caller, callee } = await callerAndCallee();
    world.host.slow = [];
    world.host.channels.get(callee.hostId)?.end.cut('connection reset');
    await world.pass(500);
    caller.rpc('1', 'echo');
    caller.channel?.end.end();
    await settled();
    const leg = world.host.channels.get(caller.hostId)?.end.other;
    t.equal(leg?.ended, false, 'while the callee is reached anew');
    const asked = world.host.slow.splice(0);
    world.host.slow = undefined;
    for (const ask of asked) ask();
    await world.pass(500);
    t.equal(leg?.ended, true);
    t.equal(callee.requests.length, 1);
    t.strictSame(caller.answers, { 1: '' }, 'it still hears');
  },
);
