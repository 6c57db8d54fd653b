import t from 'tap';
import { settled } from '../../../support/dialect-streams.ts';
import { callerAndCallee } from '../../../support/dialect-world.ts';

void t.test('each operation is asked of its own resource, with what it is about', async t => {
  const { world, caller, callee } = await callerAndCallee();
  await callee.subscribe('s-1', 'news', 'echo');
  await callee.subscribePrefix('s-2', 'new', 'echo');
  await callee.list();
  await callee.unsubscribe('s-2');
  caller.rpc('1', 'echo');
  caller.publish('news');
  await settled();
  t.strictSame(
    world.asked.map(({ principal, type, id, context }) => [principal, type, id, context]),
    [
      ['bob', 'AgentType', 'autogen/echo', { operation: 'register', agentType: 'echo' }],
      ['bob', 'TopicType', 'autogen/news', { operation: 'subscribe', topicType: 'news', agentType: 'echo' }],
      [
        'bob',
        'TopicType',
        'autogen/new*',
        { operation: 'subscribe', topicType: 'new', agentType: 'echo', prefix: true },
      ],
      ['bob', 'Target', 'autogen', { operation: 'list' }],
      [
        'bob',
        'TopicType',
        'autogen/new*',
        { operation: 'unsubscribe', topicType: 'new', agentType: 'echo', prefix: true },
      ],
      ['alice', 'AgentType', 'autogen/echo', { operation: 'rpc', agentType: 'echo', agentKey: 'default' }],
      [
        'alice',
        'TopicType',
        'autogen/news',
        { operation: 'publish', topicType: 'news', topicSource: 'default' },
      ],
      ['bob', 'AgentType', 'autogen/echo', { operation: 'respond', agentType: 'echo', agentKey: 'default' }],
    ],
  );
});

void t.test('a decision is asked for once, and again when the rules have changed', async t => {
  const { world, caller } = await callerAndCallee();
  const asked = (): number => world.asked.filter(a => a.context.operation === 'rpc').length;
  for (const id of ['1', '2', '3']) caller.rpc(id, 'echo');
  await settled();
  t.equal(asked(), 1);
  world.generation += 1;
  caller.rpc('4', 'echo');
  await settled();
  t.equal(asked(), 2);
});

void t.test('a refused RPC is answered at once with the decision’s id, the next one passes', async t => {
  const { world, caller, callee } = await callerAndCallee();
  world.deny = a => a.context.operation === 'rpc' && a.id === 'autogen/secret';
  await callee.register('secret');
  caller.rpc('1', 'secret');
  caller.rpc('2', 'echo');
  await settled();
  t.match(caller.answers['1'], /^denied: rpc type=secret \(default-deny\), decision 7f3a91c2$/);
  t.equal(caller.answers['2'], '');
  t.equal(world.count('rpc', 'denied'), 1);
  t.match(caller.notices, [{ code: 'denied', decision: '7f3a91c2' }]);
  t.equal(world.host.messages.filter(m => m.message.request?.target?.type === 'secret').length, 0);
});

void t.test('refused publishes are dropped and counted; 100 of them make 5 notices', async t => {
  const { world, caller, callee } = await callerAndCallee();
  await callee.subscribe('s-1', 'secret', 'echo');
  await callee.subscribe('s-2', 'news', 'echo');
  world.deny = a => a.context.operation === 'publish' && a.id === 'autogen/secret';
  for (let at = 0; at < 100; at += 1) caller.publish('secret');
  caller.publish('news', { id: 'good' });
  await settled();
  t.strictSame(callee.events, ['good']);
  t.equal(world.count('publish', 'denied'), 100);
  t.equal(caller.notices.length, 5);
});

void t.test('a refused respond gives the caller an error with the decision', async t => {
  const { world, caller } = await callerAndCallee();
  world.deny = a => a.context.operation === 'respond';
  caller.rpc('1', 'echo');
  await settled();
  t.match(caller.answers['1'], /^denied: respond type=echo .*7f3a91c2/);
  t.equal(world.dialect.describe().pendingRequests, 0);
});

void t.test(
  'a refused register, subscribe, unsubscribe or list gets PERMISSION_DENIED with the decision',
  async t => {
    const { world, callee } = await callerAndCallee();
    await callee.subscribe('s-1', 'news', 'echo');
    world.generation += 1;
    world.deny = () => true;
    for (const ending of [
      await callee.register('more'),
      await callee.subscribe('s-2', 'other', 'echo'),
      await callee.unsubscribe('s-1'),
    ])
      t.match(ending, { status: 7, decision: '7f3a91c2', text: /decision 7f3a91c2/ });
    const list = callee.call('GetSubscriptions');
    list.end.write(Buffer.alloc(5));
    list.end.end();
    await settled();
    t.match(list.ending, { status: 7, decision: '7f3a91c2' });
  },
);

void t.test('the permit for a topic opens no prefix of that name, and "" is refused by default', async t => {
  const { world, callee } = await callerAndCallee();
  world.deny = a => a.type === 'TopicType' && a.id !== 'autogen/news' && a.id !== 'autogen/*';
  t.equal((await callee.subscribe('s-1', 'news', 'echo')).status, 0);
  t.equal((await callee.subscribePrefix('s-2', 'news', 'echo')).status, 7);
  t.match(await callee.subscribePrefix('s-3', '', 'echo'), { status: 7, text: /hears every topic/ });
  const other = await callerAndCallee({ options: { emptyPrefix: true } });
  t.equal((await other.callee.subscribePrefix('s-3', '', 'echo')).status, 0, 'where the target says so');
});

void t.test('when a permit is taken away its agent type is gone from the host, and others stay', async t => {
  const { world, caller, callee } = await callerAndCallee();
  await callee.register('other');
  await callee.subscribe('s-1', 'news', 'other');
  await callee.subscribe('s-2', 'weather', 'other');
  world.deny = a =>
    a.id === 'autogen/echo' || (a.context.operation === 'subscribe' && a.id === 'autogen/news');
  world.generation += 1;
  world.dialect.judgeAnew();
  await settled();
  t.strictSame([...world.host.types.keys()], ['other']);
  t.strictSame([...world.host.subscriptions.keys()], ['s-2']);
  t.equal(callee.channel?.ending, undefined, 'its channel stays');
  caller.rpc('1', 'other');
  await settled();
  t.equal(caller.answers['1'], '');
});
