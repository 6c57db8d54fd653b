import t from 'tap';
import { settled } from '../../../support/dialect-streams.ts';
import { callerAndCallee, echo, World } from '../../../support/dialect-world.ts';

void t.test('a call without client-id, or with two, gets INVALID_ARGUMENT', async t => {
  const world = new World();
  for (const method of ['OpenChannel', 'RegisterAgent', 'GetSubscriptions']) {
    const without = world.worker('').call(method);
    const twice = world.worker('w').call(method, [{ name: 'client-id', value: 'other', sensitive: false }]);
    await settled();
    t.equal(without.ending?.status, 3, `${method} without`);
    t.equal(twice.ending?.status, 3, `${method} with two`);
  }
  t.strictSame(world.host.requests, []);
});

void t.test('a client-id of 1,025 B is refused', async t => {
  const world = new World();
  const call = world.worker('x'.repeat(1_025)).call('OpenChannel');
  await settled();
  t.match(call.ending, { status: 3, text: /1025 bytes long, the most is 1024/ });
});

void t.test('unary and streaming calls of one client share its minted id', async t => {
  const { world, callee } = await callerAndCallee();
  const own = world.host.requests.filter(r => r.some(f => f.value === 'bob session-b callee-id'));
  t.equal(own.length, 3, 'the channel, the question whether the host is there, the registration');
  t.equal(new Set(own.map(r => r.find(f => f.name === 'client-id')?.value)).size, 1);
  t.equal(world.host.types.get('echo'), callee.hostId);
});

void t.test('registering before the channel is opened holds for the channel', async t => {
  const world = new World();
  const caller = world.worker('caller');
  const early = world.worker('early', { session: 'session-2' });
  early.answer = echo;
  await caller.open();
  t.equal((await early.register('echo')).status, 0);
  await early.open();
  caller.rpc('1', 'echo');
  await settled();
  t.strictSame(caller.answers, { 1: '' });
});

void t.test('a second channel of a live client gets ALREADY_EXISTS, the first one goes on', async t => {
  const { caller, callee } = await callerAndCallee();
  const second = callee.call('OpenChannel');
  await settled();
  t.equal(second.ending?.status, 6);
  caller.rpc('1', 'echo');
  await settled();
  t.strictSame(caller.answers, { 1: '' });
});

void t.test('the same client-id from another session or principal takes nothing over', async t => {
  const { world, caller, callee } = await callerAndCallee();
  const twins = [
    world.worker('callee-id', { subject: 'bob', session: 'session-x' }),
    world.worker('callee-id', { subject: 'mallory', session: 'session-b' }),
  ];
  for (const twin of twins) {
    twin.answer = () => undefined;
    await twin.open();
    t.equal(twin.channel?.ending, undefined, 'its own honest channel opens');
    t.not(twin.hostId, callee.hostId);
  }
  caller.rpc('1', 'echo');
  await settled();
  t.strictSame(caller.answers, { 1: '' });
  for (const twin of twins) t.strictSame(twin.received, []);
});

void t.test('two clients of one session do not mix', async t => {
  const world = new World();
  const one = world.worker('one');
  const two = world.worker('two');
  const three = world.worker('three');
  three.answer = echo;
  for (const worker of [one, two, three]) await worker.open();
  await three.register('echo');
  one.rpc('1', 'echo', { bytes: 1 });
  two.rpc('1', 'echo', { bytes: 2 });
  await settled();
  t.equal(one.received[0]?.response?.payload?.data.byteLength, 1);
  t.equal(two.received[0]?.response?.payload?.data.byteLength, 2);
  t.equal(new Set([one.hostId, two.hostId, three.hostId]).size, 3);
});

void t.test('answers in the other order reach their callers, which the bare host mixes up', async t => {
  const { world, caller, callee } = await callerAndCallee();
  const other = world.worker('other', { session: 'session-c' });
  await other.open();
  callee.answer = () => undefined;
  for (const order of [
    [0, 1],
    [1, 0],
  ]) {
    const before = callee.requests.length;
    caller.rpc('1', 'echo', { bytes: 10 });
    other.rpc('1', 'echo', { bytes: 20 });
    await settled();
    const asked = callee.requests.slice(before);
    for (const at of order) {
      const request = asked[at];
      if (request) callee.send(echo(request));
    }
    await settled();
    t.equal(caller.received.at(-1)?.response?.payload?.data.byteLength, 10);
    t.equal(other.received.at(-1)?.response?.payload?.data.byteLength, 20);
  }
});

void t.test('a 251st client of a principal is refused, another principal’s is not', async t => {
  const world = new World({ options: { maxClientsPerPrincipal: 3, maxClients: 5 } });
  for (let at = 0; at < 3; at += 1) await world.worker(`w${at}`).open();
  const over = world.worker('over').call('OpenChannel');
  await settled();
  t.equal(over.ending?.status, 8);
  const channel = await world.worker('w', { subject: 'bob' }).open();
  t.equal(channel.ending, undefined);
  await world.worker('v', { subject: 'bob' }).open();
  const sixth = world.worker('x', { subject: 'carol' }).call('OpenChannel');
  await settled();
  t.match(sixth.ending, { status: 8, text: /5 workers/ });
});

void t.test('a client that only asks leaves nothing behind', async t => {
  const world = new World({ options: { maxClients: 1 } });
  for (let at = 0; at < 5; at += 1) t.strictSame(await world.worker(`w${at}`).list(), []);
  t.strictSame(world.dialect.describe().clients, []);
});

void t.test(
  'an answer that the host hands to the wrong client ends at the gateway, the right one still comes',
  async t => {
    const { world, caller, callee } = await callerAndCallee();
    const other = world.worker('other', { session: 'session-c' });
    await other.open();
    callee.answer = () => undefined;
    caller.rpc('1', 'echo');
    await settled();
    const requestId = callee.requests[0]?.requestId ?? '';
    world.host.send(other.hostId, { response: { requestId, error: 'for somebody else' } });
    await settled();
    t.strictSame(other.received, []);
    t.equal(world.count('respond', 'unasked'), 1);
    callee.send({ response: { requestId, error: 'the right one' } });
    await settled();
    t.strictSame(caller.answers, { 1: 'the right one' });
  },
);
