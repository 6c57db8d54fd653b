import t from 'tap';
import { settled } from '../../../support/dialect-streams.ts';
import { type Asked, callerAndCallee, World } from '../../../support/dialect-world.ts';

function take(world: World, deny: (asked: Asked) => boolean): void {
  world.deny = deny;
  world.generation += 1;
  world.dialect.judgeAnew();
}

/** What the host was asked meanwhile, and from here on at once. */
async function answerAll({ host }: World): Promise<void> {
  const asked = host.slow?.splice(0) ?? [];
  host.slow = undefined;
  for (const ask of asked) ask();
  await settled();
}

const revoked = (asked: Asked): boolean =>
  asked.id === 'autogen/echo' || (asked.context.operation === 'subscribe' && asked.id === 'autogen/news');

void t.test('what a reload takes away while it is registered anew is not there afterwards', async t => {
  const { world, caller, callee } = await callerAndCallee();
  await callee.register('other');
  await callee.subscribe('s-1', 'news', 'other');
  await callee.subscribe('s-2', 'weather', 'other');
  for (const answered of [0, 1]) {
    world.deny = () => false;
    world.generation += 1;
    await callee.register('echo');
    await callee.subscribe('s-1', 'news', 'other');
    world.host.slow = [];
    world.host.cutAll();
    await world.pass(1_000);
    t.ok(world.host.slow.length > 0, 'the host has been asked and has not answered');
    // Types, and then the subscriptions.
    if (answered === 1) {
      const types = world.host.slow.splice(0);
      world.host.slow = undefined;
      for (const ask of types) ask();
      world.host.slow = [];
      await settled();
    }
    take(world, revoked);
    await settled();
    await answerAll(world);
    await world.pass(10_000, 500);
    t.strictSame([...world.host.types.keys()], ['other']);
    t.strictSame([...world.host.subscriptions.keys()], ['s-2']);
    t.strictSame(world.dialect.describe().clients[1]?.agentTypes, ['other']);
  }
  caller.publish('news', { id: 'secret' });
  caller.publish('weather', { id: 'honest' });
  caller.rpc('1', 'other');
  await settled();
  t.strictSame(callee.events, ['honest']);
  t.strictSame(caller.answers, { 1: '' });
});

void t.test(
  'what a reload takes away from a worker without a channel is not there once it has one',
  async t => {
    const { world, caller } = await callerAndCallee();
    const early = world.worker('early-id', { subject: 'carol', session: 'session-c' });
    await early.register('writer');
    await early.register('reader');
    await early.subscribe('s-1', 'news', 'reader');
    take(world, a => a.id === 'autogen/writer' || a.id === 'autogen/news');
    await settled();
    await early.open();
    await world.pass(3_000);
    t.strictSame([...world.host.types.keys()], ['echo', 'reader']);
    t.strictSame([...world.host.subscriptions.keys()], []);
    t.equal(world.host.types.get('reader'), early.hostId, 'it is reached by what it has left');
    early.answer = request => ({ response: { requestId: request.requestId } });
    caller.rpc('1', 'reader');
    await settled();
    t.strictSame(caller.answers, { 1: '' });
  },
);

void t.test('what a reload takes away before the first stream to the host stands goes with it', async t => {
  const world = new World();
  const early = world.worker('early-id');
  await early.register('writer');
  const opening = early.open();
  take(world, a => a.id === 'autogen/writer');
  await opening;
  await world.pass(3_000);
  t.strictSame([...world.host.types.keys()], []);
  t.equal((await early.register('reader')).status, 0);
});

void t.test('a registration that was permitted and waited is asked about again', async t => {
  const { world, callee } = await callerAndCallee();
  // While the host's side is reached anew.
  world.host.down = true;
  world.host.cutAll();
  await settled();
  const waiting = callee.call('RegisterAgent');
  waiting.end.write(Buffer.from([0, 0, 0, 0, 8, 0x0a, 6, ...Buffer.from('writer')]));
  waiting.end.end();
  await settled();
  take(world, a => a.id === 'autogen/writer');
  world.host.down = false;
  await world.pass(1_000);
  t.match(waiting.ending, { status: 7, decision: '7f3a91c2' });
  // While the host thinks about it.
  take(world, () => false);
  world.host.slow = [];
  const asked = callee.call('RegisterAgent');
  asked.end.write(Buffer.from([0, 0, 0, 0, 8, 0x0a, 6, ...Buffer.from('reader')]));
  asked.end.end();
  await settled();
  take(world, a => a.id === 'autogen/reader');
  await answerAll(world);
  await world.pass(3_000);
  t.strictSame([...world.host.types.keys()], ['echo']);
  t.strictSame(world.dialect.describe().clients[1]?.agentTypes, ['echo']);
});

void t.test('what came by a stream that did not come to stand can’t be answered by the next one', async t => {
  const { world, caller, callee } = await callerAndCallee();
  callee.answer = () => undefined;
  world.host.slow = [];
  world.host.cutAll();
  await settled();
  await world.pass(200);
  world.host.send(callee.hostId, {
    request: { requestId: 'beside', target: { type: 'echo', key: 'default' }, source: null },
  });
  await settled();
  t.equal(callee.requests.length, 1);
  world.host.cutAll();
  await settled();
  await answerAll(world);
  world.host.types.clear();
  await world.pass(3_000);
  const before = world.host.messages.length;
  callee.send({ response: { requestId: 'beside', error: '' } });
  await settled();
  t.equal(world.host.messages.length, before);
  t.equal(world.count('respond', 'unasked'), 1);
  callee.answer = request => ({ response: { requestId: request.requestId } });
  caller.rpc('1', 'echo');
  await settled();
  t.strictSame(caller.answers, { 1: '' });
});

void t.test('messages that were permitted and are held go by the rules of when they go', async t => {
  const { world, caller, callee } = await callerAndCallee();
  await callee.register('other');
  await callee.subscribe('s-1', 'news', 'other');
  await callee.subscribe('s-2', 'weather', 'other');
  world.host.down = true;
  world.host.cutAll();
  await settled();
  caller.rpc('1', 'echo');
  caller.publish('news', { id: 'secret' });
  caller.rpc('2', 'other');
  caller.publish('weather', { id: 'honest' });
  await settled();
  t.equal(world.dialect.describe().heldMessages, 4);
  take(
    world,
    ({ id, context: { operation } }) =>
      (operation === 'rpc' && id === 'autogen/echo') || (operation === 'publish' && id === 'autogen/news'),
  );
  world.host.down = false;
  await world.pass(3_000);
  t.match(caller.answers, { 1: 'denied: rpc type=echo (default-deny), decision 7f3a91c2', 2: '' });
  t.strictSame(callee.events, ['honest']);
  t.equal(world.count('rpc', 'denied'), 1);
  t.equal(world.count('publish', 'denied'), 1);
  t.match(caller.notices.at(-1), { code: 'denied', decision: '7f3a91c2' });
  t.match(world.dialect.describe(), { heldMessages: 0, pendingRequests: 0 });
});

void t.test('whoever asked an agent that is not permitted any more hears so at once', async t => {
  const { world, caller } = await callerAndCallee();
  world.host.mute = true;
  caller.rpc('1', 'echo');
  await settled();
  take(world, a => a.id === 'autogen/echo' && a.context.operation === 'register');
  await settled();
  t.match(caller.answers, { 1: /was lost/ });
  t.equal(world.dialect.describe().pendingRequests, 0);
});
