import t from 'tap';
import { settled } from '../../../support/dialect-streams.ts';
import { callerAndCallee } from '../../../support/dialect-world.ts';

void t.test(
  'an RPC as another’s agent is answered with an error, as one’s own or nobody’s it passes',
  async t => {
    const { world, caller, callee } = await callerAndCallee();
    await caller.register('mine');
    caller.rpc('1', 'echo', { source: 'echo' });
    caller.rpc('2', 'echo', { source: 'admin' });
    caller.rpc('3', 'echo', { source: 'mine' });
    caller.rpc('4', 'echo');
    await settled();
    t.match(caller.answers, {
      1: /^denied: rpc as echo\/default/,
      2: /^denied: rpc as admin\/default/,
      3: '',
      4: '',
    });
    t.equal(world.count('rpc', 'spoofed'), 2);
    t.strictSame(
      callee.requests.map(r => r.source?.type),
      ['mine', undefined],
    );
  },
);

void t.test(
  'a publish as another’s agent is dropped, as unknown/unknown it passes while nobody is called so',
  async t => {
    const { world, caller, callee } = await callerAndCallee();
    await callee.subscribe('s-1', 'news', 'echo');
    await caller.register('mine');
    caller.publish('news', { sender: 'echo', id: 'spoofed' });
    caller.publish('news', { sender: 'mine', id: 'mine' });
    caller.publish('news', { sender: 'unknown', id: 'runtime' });
    caller.publish('news', { id: 'absent' });
    await settled();
    t.strictSame(callee.events, ['mine', 'runtime', 'absent']);
    t.equal(world.count('publish', 'spoofed'), 1);
    await callee.register('unknown');
    caller.publish('news', { sender: 'unknown', id: 'late' });
    await settled();
    t.equal(callee.events.includes('late'), false);
  },
);

void t.test('an agent type has one owner, who is not named', async t => {
  const { world, caller, callee } = await callerAndCallee();
  const ending = await caller.register('echo');
  t.strictSame(ending, { status: 6, text: 'agent type echo is already registered', decision: undefined });
  const sibling = world.worker('callee-id', { subject: 'bob', session: 'session-2' });
  await sibling.open();
  t.equal((await sibling.register('echo')).status, 6, 'not even the same principal, while the owner lives');
  t.equal((await callee.register('echo')).status, 6, 'nor twice');
  caller.rpc('1', 'echo');
  await settled();
  t.equal(caller.answers['1'], '');
});

void t.test('what somebody beside the gateway registered is said without their client-id', async t => {
  const { world, caller } = await callerAndCallee();
  world.host.types.set('foreign', '0b0c6f1a-7a53-4c1e-9b54-0d7d0b1f9a11');
  const ending = await caller.register('foreign');
  t.strictSame(ending, { status: 6, text: 'agent type foreign is already registered', decision: undefined });
});

void t.test('a worker that starts again under a new id has its agent type at once', async t => {
  const { world, caller, callee } = await callerAndCallee();
  world.host.lazy = true;
  callee.channel?.end.reset(8);
  await settled();
  const again = world.worker('new-id', { subject: 'bob', session: 'session-3' });
  await again.open();
  const stranger = world.worker('s', { subject: 'mallory', session: 'session-4' });
  await stranger.open();
  t.equal((await stranger.register('echo')).status, 6, 'for a while it is its principal’s');
  const registering = again.register('echo');
  await world.pass(200);
  world.host.cleanUp();
  await world.pass(200);
  await registering;
  t.equal(world.host.types.get('echo'), again.hostId);
  again.answer = request => ({ response: { requestId: request.requestId } });
  caller.rpc('1', 'echo');
  await settled();
  t.equal(caller.answers['1'], '');
});

void t.test('subscriptions are listed and removed by their owner only', async t => {
  const { world, caller, callee } = await callerAndCallee();
  await callee.subscribe('s-1', 'news', 'echo');
  await caller.register('mine');
  await caller.subscribe('s-2', 'news', 'mine');
  t.strictSame(await caller.list(), ['s-2']);
  t.strictSame(await callee.list(), ['s-1']);
  const theirs = await caller.unsubscribe('s-1');
  const none = await caller.unsubscribe('s-9');
  t.equal(theirs.status, 5);
  t.equal(theirs.text.replace('s-1', 's-9'), none.text, 'as if it were not there');
  t.equal((await caller.unsubscribe('s-2')).status, 0);
  t.strictSame([...world.host.subscriptions.keys()], ['s-1']);
});

void t.test('nobody subscribes another principal’s agent type, nor takes a subscription’s id', async t => {
  const { caller, callee } = await callerAndCallee();
  t.equal((await caller.subscribe('s-1', 'news', 'echo')).status, 7);
  t.equal((await callee.subscribe('s-2', 'news', 'echo')).status, 0);
  t.equal((await caller.subscribe('s-2', 'weather', 'mine')).status, 6);
});

void t.test('a client answers only what it was asked', async t => {
  const { world, caller, callee } = await callerAndCallee();
  const rogue = world.worker('rogue', { subject: 'mallory', session: 'session-m' });
  await rogue.open();
  callee.answer = () => undefined;
  caller.rpc('1', 'echo');
  await settled();
  const [request] = callee.requests;
  const requestId = request?.requestId ?? '';
  rogue.send({ response: { requestId, error: 'forged' } });
  await settled();
  t.strictSame(caller.answers, {});
  t.equal(world.count('respond', 'unasked'), 1);
  callee.send({ response: { requestId, error: 'honest' } });
  callee.send({ response: { requestId, error: 'twice' } });
  await settled();
  t.strictSame(caller.answers, { 1: 'honest' });
  t.equal(world.count('respond', 'unasked'), 2);
});

void t.test('agent types and subscriptions of one client are bounded', async t => {
  const { callee } = await callerAndCallee({
    options: { maxAgentTypesPerClient: 2, maxSubscriptionsPerClient: 1, maxNameBytes: 64 },
  });
  t.equal((await callee.register('two')).status, 0);
  t.match(await callee.register('three'), { status: 8, text: /2 agent types/ });
  t.equal((await callee.subscribe('s-1', 'news', 'two')).status, 0);
  t.match(await callee.subscribe('s-2', 'weather', 'two'), { status: 8, text: /1 subscriptions/ });
  t.match(await callee.register('x'.repeat(65)), { status: 3, text: /65 bytes long, the most is 64/ });
  t.equal((await callee.register('')).status, 3);
});

void t.test('a subscription id stands for one subscription, also where the host takes it again', async t => {
  const { world, caller, callee } = await callerAndCallee();
  t.equal((await callee.subscribe('s-1', 'news', 'echo')).status, 0);
  for (let at = 0; at < 50; at += 1) {
    world.host.subscriptions.delete('s-1');
    t.equal((await callee.subscribe('s-1', `topic-${at}`, 'echo')).status, 6);
    t.equal((await callee.subscribePrefix('s-1', 'news', 'echo')).status, 6);
  }
  t.equal((await callee.subscribe('s-1', 'news', 'echo')).status, 0, 'the same one once more');
  t.strictSame(await callee.list(), ['s-1']);
  caller.publish('news', { id: 'honest' });
  await settled();
  t.strictSame(callee.events, ['honest']);
  t.equal((await callee.unsubscribe('s-1')).status, 0);
  t.equal((await callee.subscribe('s-1', 'weather', 'echo')).status, 0);
});

void t.test('two people register a type at the same time at a host that takes both: one has it', async t => {
  const { world, caller, callee } = await callerAndCallee();
  // As .NET's hosts do.
  world.host.slow = [];
  const [first, second] = [caller.register('writer'), callee.register('writer')];
  await settled();
  const asked = world.host.slow.splice(0);
  world.host.slow = undefined;
  for (const ask of asked) {
    world.host.types.delete('writer');
    ask();
  }
  t.equal((await first).status, -1, 'not answered in time for the test');
  t.equal((await second).status, 6, 'refused at once');
  await settled();
  t.equal(asked.length, 1);
  t.strictSame(world.dialect.describe().clients[0]?.agentTypes, ['writer']);
  t.equal(world.host.types.get('writer'), caller.hostId);
  t.equal((await callee.register('reader')).status, 0);
});
