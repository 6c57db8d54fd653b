import { isAuthorized } from '@cedar-policy/cedar-wasm/nodejs';
import t from 'tap';
import { createAuthorizer, type ReplaceableAuthorizer } from '../../../lib/access/policy/authorizer.ts';
import type { PolicyFile } from '../../../lib/access/policy/options.ts';
import { tryPolicies } from '../../../lib/access/policy/try-policies.ts';
import type { PolicyRequest } from '../../../lib/access/policy/vocabulary.ts';
import type { UserPrincipal, WorkloadPrincipal } from '../../../lib/core/session.ts';
import { KeptLog, KeptMetrics, SetClock } from '../../support/access-identity.ts';

const alice: UserPrincipal = { kind: 'user', issuer: 'corp', subject: 'alice', groups: ['devs'] };
const bot: WorkloadPrincipal = { kind: 'workload', source: 'ci', name: 'spiffe://a/b', groups: [] };

const basics = `
@id("devs-connect")
permit(principal in Lockwire::Group::"corp/devs", action == Lockwire::Action::"connect", resource == Lockwire::Target::"autogen");
@id("ops-expose")
permit(principal in Lockwire::Group::"corp/ops", action == Lockwire::Action::"expose", resource == Lockwire::Target::"autogen");
@id("bot")
permit(principal == Lockwire::Workload::"ci|spiffe://a/b", action == Lockwire::Action::"connect", resource);
@id("not-mallory")
forbid(principal == Lockwire::User::"corp|mallory", action, resource);
`;

/** The text of each path matters. */
const callsByPath = `
@id("calls") permit(principal, action == Lockwire::Action::"call", resource) when { context.path != context.host };
`;

interface Room {
  clock: SetClock;
  log: KeptLog;
  metrics: KeptMetrics;
  policy: ReplaceableAuthorizer;
}

async function room(text = basics): Promise<Room> {
  const [clock, log, metrics] = [new SetClock(), new KeptLog(), new KeptMetrics()];
  const policy = await createAuthorizer({ policies: [file(text)] }, { clock, log, metrics });
  return { clock, log, metrics, policy };
}

function file(text: string): PolicyFile {
  return { name: 'p.cedar', text };
}

function request(changes: Partial<PolicyRequest> = {}): PolicyRequest {
  return {
    principal: alice,
    action: 'connect',
    resource: { type: 'Target', id: 'autogen' },
    context: {},
    ...changes,
  };
}

/** Makes policies ready and puts them in force. */
async function replace(policy: ReplaceableAuthorizer, files: PolicyFile[]): Promise<void> {
  (await policy.prepare(files))();
}

t.test('what a policy permits is allowed by its rule, everything else is denied by default', async t => {
  const { policy } = await room();
  t.same(policy.decide(request()), { allow: true, id: '', rule: 'devs-connect' });
  t.same(policy.decide(request({ principal: bot })), { allow: true, id: '', rule: 'bot' });
  const others: Partial<PolicyRequest>[] = [
    { principal: { ...alice, groups: [] } },
    { principal: { ...alice, groups: ['Devs'] } },
    { principal: { ...alice, issuer: 'other' } },
    { principal: { ...bot, source: 'corp' } },
    { principal: { kind: 'user', issuer: 'ci', subject: 'spiffe://a/b', groups: [] } },
    { action: 'expose' },
    { action: 'admin', resource: { type: 'Admin', id: 'sessions' } },
    { resource: { type: 'Target', id: 'Autogen' } },
    { resource: { type: 'Target', id: '' } },
  ];
  for (const other of others)
    t.match(policy.decide(request(other)), { allow: false, rule: 'default-deny', id: /^[0-9a-f]{8}$/ });
});

t.test('no policy at all denies everything', async t => {
  const { policy } = await room('');
  t.match(policy.decide(request()), { allow: false, rule: 'default-deny' });
});

t.test('a forbid beats every permit and is named', async t => {
  const { policy } = await room();
  const mallory = { ...alice, subject: 'mallory' };
  t.match(policy.decide(request({ principal: mallory })), { allow: false, rule: 'not-mallory' });
  t.match(policy.decide(request({ principal: { ...alice, subject: 'mallor' } })), { allow: true });
});

t.test('a forbid whose condition errs is a denial, where Cedar alone would allow', async t => {
  const permit = 'permit(principal, action, resource);';
  const erring = 'forbid(principal, action, resource) when { 9223372036854775807 + 1 > 0 };';
  const uid = { type: 'Lockwire::User', id: 'corp|alice' };
  const cedar = isAuthorized({
    principal: uid,
    action: { type: 'Lockwire::Action', id: 'connect' },
    resource: { type: 'Lockwire::Target', id: 'autogen' },
    context: {},
    policies: { staticPolicies: { permit, erring } },
    entities: [],
  });
  t.match(cedar, { response: { decision: 'allow' } }, 'the trap is there');

  const { policy } = await room(`@id("all") ${permit} @id("erring") ${erring}`);
  const decision = policy.decide(request());
  t.match(decision, { allow: false, rule: 'policy-error' });
  t.match(policy.explain(decision.id), { errors: [/^erring: integer overflow/], forbidBy: [] });
  await replace(policy, [file(`@id("all") ${permit}`)]);
  t.match(policy.decide(request()), { allow: true, rule: 'all' }, 'without it the same request passes');
});

t.test(
  'a request that can not be judged is denied, never thrown: wrong facts, wrong types, broken text',
  async t => {
    const { policy } = await room('permit(principal, action, resource);');
    const long = 'x'.repeat(16_385);
    const wrong: unknown[] = [
      request({ context: { bogus: true } }),
      request({ context: { bound: 'yes' } }),
      request({ action: 'call', context: { method: 'GET', host: 'h' } }),
      request({ action: 'call', context: { method: 'GET', host: 'h', path: 1.5 } }),
      request({ action: 'admin' }),
      request({ action: 'other' as 'admin' }),
      request({ resource: { type: 'Admin', id: 'x' } }),
      request({ resource: { type: 'Target', id: 'a\ud800' } }),
      request({ resource: { type: 'Target', id: long } }),
      request({ principal: { ...alice, subject: '\udfff' } }),
      request({ principal: { ...alice, groups: ['\ud800'] } }),
      request({ context: { ingress: '\ud800' } }),
      { ...request(), context: null },
      { ...request(), principal: undefined },
      { ...request(), resource: undefined },
      undefined,
    ];
    for (const one of wrong)
      t.match(policy.decide(one as PolicyRequest), { allow: false, rule: 'policy-error' });
    t.match(policy.decide(request()), { allow: true }, 'the honest one passes');
    t.match(policy.decide(request({ resource: { type: 'Target', id: long.slice(1) } })), { allow: true });
    const call = { action: 'call', context: { method: 'GET', host: 'h', path: '/' } } as const;
    t.match(policy.decide(request(call)), { allow: true });
  },
);

t.test('what a target holds is in it', async t => {
  const { policy } = await room(`
    permit(principal, action == Lockwire::Action::"message", resource in Lockwire::Target::"autogen")
      when { context.operation == "RegisterAgent" };`);
  const message = {
    action: 'message',
    context: { operation: 'RegisterAgent', agentType: 'writer' },
  } as const;
  for (const resource of [
    { type: 'Target', id: 'autogen' },
    { type: 'AgentType', id: 'autogen/writer' },
    { type: 'TopicType', id: 'autogen/a/b' },
    { type: 'Tool', id: 'autogen/t' },
    { type: 'Model', id: 'autogen/m' },
  ] as const)
    t.match(policy.decide(request({ ...message, resource })), { allow: true }, resource.type);
  for (const id of ['other/writer', 'autogen', '/autogen', 'xautogen/writer'])
    t.match(
      policy.decide(request({ ...message, resource: { type: 'AgentType', id } })),
      { allow: false },
      id,
    );
});

const odd = [
  '',
  '/',
  'a/b',
  '../other/writer',
  'autogen/writer',
  '*',
  'a*',
  'say "hi"\\"',
  '"; permit(principal, action, resource); //',
  'a\0b\nc\u2028',
  '\u{1f600}é',
  'x'.repeat(1_024),
];

t.test(
  `a name of the peer's, of ${odd.length} odd ones, stays in its target and is that very name`,
  async t => {
    const agent = (id: string, name: string): PolicyRequest =>
      request({
        action: 'message',
        resource: { type: 'AgentType', id: `${id}/${name}` },
        context: { operation: 'rpc', agentType: name, agentKey: name },
      });
    const within = await room(
      'permit(principal, action == Lockwire::Action::"message", resource in Lockwire::Target::"autogen");',
    );
    const exact = await room(
      'permit(principal, action == Lockwire::Action::"message", resource == Lockwire::AgentType::"autogen/writer");',
    );
    for (const name of odd) {
      t.match(within.policy.decide(agent('autogen', name)), { allow: true }, 'in its target');
      t.match(within.policy.decide(agent('other', name)), { allow: false, rule: 'default-deny' });
      t.match(within.policy.decide(agent('other', `autogen/${name}`)), { allow: false });
      t.match(exact.policy.decide(agent('autogen', name)), { allow: false, rule: 'default-deny' });
    }
    t.match(exact.policy.decide(agent('autogen', 'writer')), { allow: true });
  },
);

t.test(
  'a denied message is explained and logged with names made safe; its topic labels no metric',
  async t => {
    const { policy, log, metrics } = await room();
    const topicType = `a\n\u001b[31m${'x'.repeat(10_000)}`;
    const { id, allow } = policy.decide(
      request({
        action: 'message',
        resource: { type: 'TopicType', id: `autogen/${topicType}` },
        context: { operation: 'publish', topicType, topicSource: 's' },
      }),
    );
    t.equal(allow, false);
    const explained = policy.explain(id);
    t.match(explained, { action: 'message', resource: /^TopicType autogen\/a/ });
    t.ok((explained?.resource.length ?? 0) <= 300, `${explained?.resource.length} characters`);
    t.notMatch(explained?.text ?? '', /\p{Cc}(?<!\n)|a\n/u);
    const said = JSON.stringify(log.lines);
    t.notMatch(said, /x{300}/);
    t.notMatch(JSON.stringify([...metrics.counts.keys()]), /autogen|xxx/);
  },
);

t.test('a subscription by prefix is judged as one', async t => {
  const { policy } = await room(`
    permit(principal, action == Lockwire::Action::"message", resource in Lockwire::Target::"autogen")
      unless { context has prefix && context.prefix };`);
  const subscribe = (name: string, prefix?: true): PolicyRequest =>
    request({
      action: 'message',
      resource: { type: 'TopicType', id: `autogen/${name}` },
      context: { operation: 'subscribe', topicType: 'news', agentType: 'w', ...(prefix && { prefix }) },
    });
  t.match(policy.decide(subscribe('news')), { allow: true });
  t.match(policy.decide(subscribe('news*', true)), { allow: false, rule: 'default-deny' });
});

t.test('a decision is cached by all that a policy can see, and only by that', async t => {
  const { policy, metrics } = await room(`${basics}
    @id("by-mail") permit(principal is Lockwire::User, action == Lockwire::Action::"connect", resource)
      when { principal has email && principal.email == "a@x" };
    @id("reads") permit(principal, action == Lockwire::Action::"call", resource)
      when { context.method == "GET" };`);
  const hits = (): number => metrics.counts.get('lockwire_decisions_cached_total') ?? 0;
  policy.decide(request());
  policy.decide(request({ principal: { ...alice } }));
  t.equal(hits(), 1, 'another object of the same facts');
  const nobody = { ...alice, groups: [] };
  t.equal(policy.decide(request({ principal: nobody })).allow, false);
  t.equal(policy.decide(request({ principal: { ...nobody, email: 'a@x' } })).allow, true);
  const call = (method: string): PolicyRequest =>
    request({ action: 'call', context: { method, host: 'h', path: '/' } });
  t.equal(policy.decide(call('POST')).allow, false);
  t.equal(policy.decide(call('GET')).allow, true);
  t.equal(policy.decide(call('get')).allow, false);
  t.equal(hits(), 2, 'to the policies, get is as POST');
  t.equal(policy.decide(request({ resource: { type: 'Target', id: 'other' } })).allow, false);
  t.equal(hits(), 2);
  // Parts that run into one another if they are merely joined.
  const [a, b] = [
    { ...alice, groups: ['devs', 'x'] },
    { ...alice, groups: ['devs,x'] },
  ];
  t.equal(policy.decide(request({ principal: a })).allow, true);
  t.equal(policy.decide(request({ principal: b })).allow, false);
  t.equal(hits(), 2);
});

t.test('a long path is cached too, by its hash', async t => {
  const { policy, metrics } = await room(callsByPath);
  const call = (path: string): PolicyRequest =>
    request({ principal: bot, action: 'call', context: { method: 'GET', host: 'h', path } });
  const path = `/${'a'.repeat(10_000)}`;
  for (const one of [path, path, `${path}b`]) t.ok(policy.decide(call(one)).allow);
  t.equal(metrics.counts.get('lockwire_decisions_cached_total'), 1);
});

t.test(
  'the cache holds 4,096 decisions of a principal, and 5,000 paths of one push out no other’s',
  async t => {
    const { policy, metrics } = await room(basics + callsByPath);
    const hits = (): number => metrics.counts.get('lockwire_decisions_cached_total') ?? 0;
    const call = (i: number): PolicyRequest =>
      request({ principal: bot, action: 'call', context: { method: 'GET', host: 'h', path: `/${i}` } });
    policy.decide(request());
    for (let i = 0; i < 5000; i += 1) policy.decide(call(i));
    t.equal(hits(), 0);
    for (let i = 5000 - 2048; i < 5000; i += 1) policy.decide(call(i));
    t.equal(hits(), 2048, 'at least the last 2,048 are still known');
    policy.decide(call(5000 - 4096 - 1));
    t.equal(hits(), 2048, 'and at most 4,096');
    policy.decide(request());
    t.equal(hits(), 2049, 'another principal’s is still known');
  },
);

t.test(
  'a call is decided by method, host and path, and a denial is logged with them, cut short and escaped',
  async t => {
    const { policy, log } = await room(`
    @id("chat") permit(principal, action == Lockwire::Action::"call", resource == Lockwire::Target::"autogen")
      when { context.method == "POST" && context.host == "api.example" && context.path like "/v1/*" };
    @id("no-files") forbid(principal, action == Lockwire::Action::"call", resource)
      when { context.path like "/v1/files*" };`);
    const call = (method: string, host: string, path: string): PolicyRequest =>
      request({ action: 'call', context: { method, host, path } });
    t.same(policy.decide(call('POST', 'api.example', '/v1/chat')), { allow: true, id: '', rule: 'chat' });
    const others: [string, string, string, string][] = [
      ['GET', 'api.example', '/v1/chat', 'default-deny'],
      ['POST', 'api.example:443', '/v1/chat', 'default-deny'],
      ['POST', 'api.example', '/V1/chat', 'default-deny'],
      ['POST', 'api.example', '/v1/files/1', 'no-files'],
    ];
    const ids = new Set<string>();
    for (const [method, host, path, rule] of others) {
      const { allow, id, rule: decided } = policy.decide(call(method, host, path));
      t.same({ allow, decided }, { allow: false, decided: rule }, path);
      t.match(log.last.fields, { decision: id, action: 'call', rule, method, host, path });
      ids.add(id);
    }
    t.equal(ids.size, others.length);
    const { id } = policy.decide(call('POST', 'evil\u001b[31m', `/x\u202e${'y'.repeat(5000)}`));
    const { host, path, ...fields } = log.last.fields;
    t.match(fields, { decision: id, method: 'POST', rule: 'default-deny' });
    t.match(String(host), /^evil\\u\{1b\}\[31m$/);
    t.match(String(path), /^\/x\\u\{?202e\}?y+/);
    t.ok(String(path).length <= 300, `${String(path).length} characters`);
    t.match(policy.explain(id)?.text, /facts: {2}method=POST, host=evil/);
    for (const context of [{}, { method: 'POST', host: 'api.example' }, { method: 1, host: 'h', path: '/' }])
      t.match(policy.decide(request({ action: 'call', context })), { allow: false, rule: 'policy-error' });
  },
);

t.test('a reload applies at once and forgets decisions; a bad one changes nothing', async t => {
  const { policy } = await room();
  t.equal(policy.generation, 1);
  t.ok(policy.decide(request()).allow);
  await t.rejects(replace(policy, [file('permit(principal, acton, resource);')]), {
    code: 'config',
    message: /p\.cedar:1:/,
  });
  t.equal(policy.generation, 1);
  t.ok(policy.decide(request()).allow);
  await replace(policy, [file('')]);
  t.equal(policy.generation, 2);
  t.notOk(policy.decide(request()).allow);
});

t.test('of two reloads at once the later one stays, and a failed one does not hold up the next', async t => {
  const { policy } = await room('');
  const attempts = await Promise.allSettled([
    replace(policy, [file(basics)]),
    replace(policy, [file('nonsense')]),
    replace(policy, [file('@id("last") permit(principal, action, resource);')]),
  ]);
  t.same(
    attempts.map(({ status }) => status),
    ['fulfilled', 'rejected', 'fulfilled'],
  );
  t.match(policy.decide(request()), { allow: true, rule: 'last' });
  t.equal(policy.generation, 3);
});

t.test('two authorizers in one process do not see each other', async t => {
  const [one, other] = [await room(basics), await room('')];
  t.ok(one.policy.decide(request()).allow);
  t.notOk(other.policy.decide(request()).allow);
  await replace(other.policy, [file('permit(principal, action, resource);')]);
  await replace(one.policy, [file('')]);
  t.notOk(one.policy.decide(request()).allow);
  t.ok(other.policy.decide(request()).allow);
});

t.test('a denial is explained: what, who, when, which rule, and which permits were near', async t => {
  const { policy, clock } = await room();
  const { id } = policy.decide(request({ action: 'expose' }));
  t.same(policy.explain(id), {
    id,
    firstAtMs: clock.wallMs,
    lastAtMs: clock.wallMs,
    count: 1,
    principal: 'User::corp|alice',
    groups: ['corp/devs'],
    groupCount: 1,
    action: 'expose',
    resource: 'Target autogen',
    context: {},
    rule: 'default-deny',
    forbidBy: [],
    errors: [],
    nearMisses: [
      `permit 'devs-connect' (p.cedar:2): permits only action connect`,
      `permit 'ops-expose' (p.cedar:4): wants principal in Group corp/ops`,
    ],
    generation: 1,
    text: [
      `${id}: denied expose on Target autogen, rule default-deny`,
      'when:   2027-01-15T00:00:00.000Z',
      'who:    User::corp|alice',
      'groups: corp/devs',
      'why:    no permit for action expose on Target autogen; groups seen: corp/devs',
      `near:   permit 'devs-connect' (p.cedar:2): permits only action connect`,
      `near:   permit 'ops-expose' (p.cedar:4): wants principal in Group corp/ops`,
    ].join('\n'),
  });
  t.equal(policy.explain(id.toUpperCase())?.id, id, 'as somebody types it');
  for (const unknown of ['', '00000000', '__proto__']) t.equal(policy.explain(unknown), undefined);

  const forbidden = policy.decide(request({ principal: { ...alice, subject: 'mallory', email: 'm@x' } }));
  t.match(policy.explain(forbidden.id), {
    rule: 'not-mallory',
    forbidBy: ['not-mallory (p.cedar:8)'],
    text: /who: {4}User::corp\|mallory <m@x>\n.*\nforbid: not-mallory \(p\.cedar:8\)$/,
  });
});

t.test('near misses name the scope or the conditions that failed, at most 5, conditions first', async t => {
  const { policy } = await room(`
    @id("cond") permit(principal, action == Lockwire::Action::"connect", resource) when { principal in Lockwire::Group::"corp/ops" };
    @id("is") permit(principal is Lockwire::Workload, action, resource);
    @id("is-in") permit(principal is Lockwire::User in Lockwire::Group::"corp/ops", action, resource);
    @id("eq") permit(principal == Lockwire::User::"corp|bob", action, resource);
    @id("res") permit(principal, action, resource == Lockwire::Target::"other");
    @id("act") permit(principal, action in [Lockwire::Action::"expose", Lockwire::Action::"call"], resource);
    @id("far") permit(principal == Lockwire::User::"corp|bob", action == Lockwire::Action::"expose", resource);`);
  const { id } = policy.decide(request());
  t.same(policy.explain(id)?.nearMisses, [
    `permit 'cond' (p.cedar:2): its conditions (when, unless) do not hold`,
    `permit 'is' (p.cedar:3): wants principal is Workload`,
    `permit 'is-in' (p.cedar:4): wants principal is User in Group corp/ops`,
    `permit 'eq' (p.cedar:5): wants principal == User corp|bob`,
    `permit 'res' (p.cedar:6): wants resource == Target other`,
  ]);
});

t.test('a repeated denial keeps its id and is counted; another one gets another', async t => {
  const { policy, clock } = await room();
  const first = policy.decide(request({ action: 'expose' }));
  clock.advance(1000);
  for (let i = 0; i < 9; i += 1) t.equal(policy.decide(request({ action: 'expose' })).id, first.id);
  t.match(policy.explain(first.id), { count: 10, lastAtMs: clock.wallMs, firstAtMs: clock.wallMs - 1000 });
  t.match(policy.explain(first.id)?.text, /10 times since 2027-01-15T00:00:00\.000Z/);
  t.not(policy.decide(request({ resource: { type: 'Target', id: 'x' } })).id, first.id);
});

t.test('4,096 denials are kept, and one that is repeated is not forgotten', async t => {
  const { policy, metrics } = await room('');
  const other = (i: number): PolicyRequest =>
    request({
      principal: { ...alice, subject: `u${Math.floor(i / 100)}` },
      resource: { type: 'Target', id: `t${i}` },
    });
  const first = policy.decide(other(0));
  const second = policy.decide(other(1));
  for (let i = 2; i < 4096; i += 1) policy.decide(other(i));
  policy.decide(other(0));
  policy.decide(other(5000));
  t.equal(metrics.gauges.get('lockwire_denials_kept')?.(), 4096);
  t.ok(policy.explain(first.id));
  t.equal(policy.explain(second.id), undefined);
});

t.test('who asks for 1,000 names at random hides no denial of another, nor its line in the log', async t => {
  const { policy, log, metrics, clock } = await room('');
  const before = policy.decide(request());
  const mallory = { ...alice, subject: 'mallory' };
  const name = (i: number): PolicyRequest =>
    request({ principal: mallory, resource: { type: 'Target', id: `t${i}` } });
  for (let i = 0; i < 1000; i += 1) policy.decide(name(i));
  t.ok(policy.explain(before.id));
  t.equal(metrics.gauges.get('lockwire_denials_kept')?.(), 256 + 1);
  t.equal(log.lines.filter(({ level }) => level === 'warn').length, 50 + 1);
  const { id } = policy.decide(request({ action: 'expose' }));
  t.match(log.last.fields, { decision: id, principal: 'User::corp|alice', suppressed: undefined });
  clock.advance(1000);
  policy.decide(name(2000));
  t.match(log.last.fields, { principal: 'User::corp|mallory', suppressed: 950, rule: 'default-deny' });
});

t.test("a peer's text is cut and escaped in an explanation", async t => {
  const { policy } = await room();
  const groups = Array.from({ length: 100 }, (_, i) => `g${i}\u001b[31m`);
  const { id } = policy.decide(
    request({
      principal: { ...alice, groups },
      action: 'call',
      context: { method: 'GET', host: 'h', path: `/\u202e${'x'.repeat(5000)}` },
    }),
  );
  const { text, groups: listed, groupCount, context } = policy.explain(id) ?? {};
  t.equal(listed?.length, 32);
  t.equal(groupCount, 100);
  t.match(text, /and 68 more/);
  t.ok((context?.path?.length ?? 0) < 300);
  t.notOk(/[\p{Cc}\p{Cf}]/u.test(text?.replaceAll('\n', '') ?? '\u0000'));
});

t.test('policies can be tried without a gateway', async t => {
  const policies = [file(basics)];
  t.same(await tryPolicies({ policies, request: request() }), {
    allow: true,
    rule: 'devs-connect',
    rules: ['devs-connect'],
    errors: [],
    nearMisses: [],
  });
  t.match(await tryPolicies({ policies, request: request({ action: 'expose' }) }), {
    allow: false,
    rule: 'default-deny',
    nearMisses: [/devs-connect/, /ops-expose/],
  });
  t.match(await tryPolicies({ policies, request: request({ context: { bogus: 1 } }) }), {
    allow: false,
    rule: 'policy-error',
    errors: [/bogus/],
  });
  t.match(await tryPolicies({ policies: [file('permit(a);permit(b);')], request: request() }), {
    allow: false,
    rule: 'policy-error',
    errors: [/^p\.cedar:1:8/, /^p\.cedar:1:18/],
  });
});
