import { readdirSync, readFileSync } from 'node:fs';
import t from 'tap';
import { loadPolicies } from '../../../lib/access/policy/load-policies.ts';
import { policySchema } from '../../../lib/access/policy/schema.ts';
import { tryPolicies } from '../../../lib/access/policy/try-policies.ts';
import type { PolicyRequest } from '../../../lib/access/policy/vocabulary.ts';
import { principalOf } from '../../support/access-identity.ts';

const folder = new URL('../../../docs/policies/', import.meta.url);

/** What each example is configured with, as its first lines say. */
const known: Record<string, { sources: string[]; targets: string[] }> = {
  'small-team.cedar': { sources: ['corp'], targets: ['autogen'] },
  'platform.cedar': { sources: ['corp', 'ci'], targets: ['autogen', 'autogen-staging', 'models'] },
  'strict.cedar': { sources: ['workloads', 'corp', 'ci'], targets: ['autogen'] },
};

interface Case {
  who: string;
  groups?: string[];
  email?: string;
  action: PolicyRequest['action'];
  /** `autogen` is the target; `AgentType autogen/writer` something in it. */
  on: string;
  context?: PolicyRequest['context'];
  rule: string;
}

const chat = { method: 'POST', host: 'models', path: '/v1/chat/completions' };
const open = { method: 'POST', host: '127.0.0.1:50051', path: '/agents.AgentRpc/OpenChannel' };
const main = 'Workload::ci|repo:corp/agents:ref:refs/heads/main';
const reader = { who: 'User::corp|1', groups: ['agents'], action: 'message' as const };
const register = { operation: 'register', agentType: 'writer' };
const agent = 'Workload::workloads|spiffe://prod.example/agents/writer';

const cases: Record<string, Case[]> = {
  'small-team.cedar': [
    { who: 'User::corp|1', groups: ['agents'], action: 'connect', on: 'autogen', rule: '+team-connects' },
    {
      ...{ who: 'User::corp|1', groups: ['agents'], action: 'call', on: 'autogen' },
      ...{ context: open, rule: '+team-connects' },
    },
    { ...reader, on: 'AgentType autogen/writer', context: register, rule: '+team-connects' },
    { ...reader, on: 'autogen', context: { operation: 'list' }, rule: '+team-connects' },
    { ...reader, groups: [], on: 'AgentType autogen/writer', context: register, rule: 'default-deny' },
    { who: 'User::corp|1', action: 'connect', on: 'autogen', rule: 'default-deny' },
    { who: 'User::corp|1', action: 'call', on: 'autogen', context: open, rule: 'default-deny' },
    {
      ...{ who: 'User::corp|248289761001', action: 'call', on: 'autogen' },
      ...{ context: open, rule: 'default-deny' },
    },
    { who: 'User::corp|1', groups: ['agents'], action: 'expose', on: 'autogen', rule: 'default-deny' },
    { who: 'User::corp|248289761001', action: 'expose', on: 'autogen', rule: '+owner-serves-autogen' },
    {
      who: 'User::corp|2',
      email: 'ada@corp.example',
      action: 'admin',
      on: 'sessions',
      rule: '+admins-by-verified-mail',
    },
    { who: 'User::corp|2', email: 'eve@corp.example', action: 'admin', on: 'sessions', rule: 'default-deny' },
    { who: 'User::corp|2', action: 'admin', on: 'sessions', rule: 'default-deny' },
  ],
  'platform.cedar': [
    {
      who: 'User::corp|1',
      groups: ['devs'],
      action: 'connect',
      on: 'autogen-staging',
      rule: '+devs-connect-staging',
    },
    { who: 'User::corp|1', groups: ['devs'], action: 'connect', on: 'autogen', rule: 'default-deny' },
    {
      who: 'User::corp|1',
      groups: ['operators'],
      action: 'connect',
      on: 'autogen',
      rule: '+operators-connect',
    },
    { who: 'User::corp|1', groups: ['operators'], action: 'expose', on: 'autogen', rule: '+operators-serve' },
    { who: 'User::corp|1', groups: ['operators'], action: 'admin', on: 'x', rule: '+operators-administer' },
    {
      who: 'User::corp|1',
      groups: ['operators', 'contractors'],
      action: 'connect',
      on: 'autogen',
      rule: 'contractors-not-in-production',
    },
    { who: main, action: 'call', on: 'autogen', context: open, rule: '+ci-main-connects' },
    {
      ...{ who: main, action: 'message', on: 'TopicType autogen/news' },
      ...{
        context: { operation: 'publish', topicType: 'news', topicSource: 's' },
        rule: '+ci-main-connects',
      },
    },
    {
      ...{ who: 'User::corp|1', groups: ['operators', 'contractors'], action: 'message' },
      ...{ on: 'AgentType autogen/writer', context: register, rule: 'contractors-not-in-production' },
    },
    {
      ...{ who: 'User::corp|1', groups: ['operators'], action: 'message' },
      ...{ on: 'AgentType autogen/writer', context: register, rule: '+operators-connect' },
    },
    { who: main, action: 'call', on: 'models', context: chat, rule: 'default-deny' },
    {
      ...{ who: 'User::corp|1', groups: ['operators', 'contractors'], action: 'call', on: 'autogen' },
      ...{ context: open, rule: 'contractors-not-in-production' },
    },
    {
      ...{ who: 'User::corp|1', groups: ['devs'], action: 'connect', on: 'models' },
      rule: '+devs-connect-models',
    },
    {
      who: 'User::corp|1',
      groups: ['devs'],
      action: 'call',
      on: 'models',
      context: chat,
      rule: '+devs-chat',
    },
    {
      who: 'User::corp|1',
      groups: ['devs'],
      action: 'call',
      on: 'models',
      context: { ...chat, path: '/v1/files' },
      rule: 'default-deny',
    },
    { who: main, action: 'connect', on: 'autogen', rule: '+ci-main-connects' },
    {
      who: 'Workload::ci|repo:corp/agents:pull_request',
      action: 'connect',
      on: 'autogen',
      rule: 'default-deny',
    },
    {
      who: 'Workload::ci|repo:corp/agents:pull_request',
      action: 'connect',
      on: 'autogen-staging',
      rule: '+ci-any-connects-staging',
    },
    {
      who: 'Workload::ci|repo:evil/agents:pull_request',
      action: 'connect',
      on: 'autogen-staging',
      rule: 'default-deny',
    },
    {
      who: 'Workload::corp|repo:corp/agents:pull_request',
      action: 'connect',
      on: 'autogen-staging',
      rule: 'default-deny',
    },
  ],
  'strict.cedar': [
    { who: agent, action: 'connect', on: 'autogen', rule: '+agents-connect' },
    { who: agent, action: 'call', on: 'autogen', context: open, rule: '+agents-connect' },
    ...messagesOfTheWriter(),
    { who: agent, action: 'expose', on: 'autogen', rule: 'default-deny' },
    { who: agent.replace('/agents/', '/other/'), action: 'connect', on: 'autogen', rule: 'default-deny' },
    { who: agent.replace('prod.', 'dev.'), action: 'connect', on: 'autogen', rule: 'default-deny' },
    {
      who: 'Workload::ci|spiffe://prod.example/agents/writer',
      action: 'connect',
      on: 'autogen',
      rule: 'programs-by-certificate-only',
    },
    {
      who: 'Workload::workloads|spiffe://prod.example/agents/retired',
      action: 'connect',
      on: 'autogen',
      rule: 'retired',
    },
    {
      who: 'Workload::workloads|spiffe://prod.example/autogen/host',
      action: 'expose',
      on: 'autogen',
      rule: '+host-serves-autogen',
    },
    { who: 'User::corp|1', groups: ['on-call'], action: 'connect', on: 'autogen', rule: '+on-call-connects' },
    {
      who: 'User::corp|1',
      groups: ['on-call'],
      action: 'expose',
      on: 'autogen',
      rule: 'people-serve-nothing',
    },
    {
      who: 'User::corp|1',
      groups: ['security'],
      action: 'admin',
      on: 'sessions',
      rule: '+security-administers',
    },
  ],
};

/** What the strict example says of the program `writer`, and of others in its place. */
function messagesOfTheWriter(): Case[] {
  const ask = (on: string, context: PolicyRequest['context'], rule: string, who = agent): Case => ({
    ...{ who, action: 'message', on, context, rule },
  });
  const subscribe = (topicType: string, more: object = {}): Record<string, string | boolean> => ({
    ...{ operation: 'subscribe', topicType, agentType: 'writer', ...more },
  });
  const rpc = { operation: 'rpc', agentType: 'critic', agentKey: 'default' };
  const publish = { operation: 'publish', topicType: 'reviews', topicSource: 's' };
  const critic = agent.replace('/writer', '/critic');
  const onCall = { who: 'User::corp|1', groups: ['on-call'], action: 'message' as const };
  return [
    ask('AgentType autogen/writer', register, '+writer-registers'),
    ask('AgentType autogen/critic', { ...register, agentType: 'critic' }, 'default-deny'),
    ask('AgentType autogen/writer', register, 'default-deny', critic),
    ask('TopicType autogen/drafts', subscribe('drafts'), '+writer-subscribes'),
    ask('TopicType autogen/drafts', subscribe('drafts', { agentType: 'critic' }), 'default-deny'),
    ask('TopicType autogen/writer:*', subscribe('writer:', { prefix: true }), '+writer-subscribes'),
    ask('TopicType autogen/writer:', subscribe('writer:'), 'default-deny'),
    ask('TopicType autogen/drafts*', subscribe('drafts', { prefix: true }), 'default-deny'),
    ask('TopicType autogen/*', subscribe('', { prefix: true }), 'default-deny'),
    ask('TopicType autogen/reviews', publish, '+writer-publishes'),
    ask('TopicType autogen/drafts', { ...publish, topicType: 'drafts' }, 'default-deny'),
    ask('AgentType autogen/critic', rpc, '+writer-calls-critic'),
    ask('AgentType autogen/boss', { ...rpc, agentType: 'boss' }, 'default-deny'),
    ask('AgentType autogen/critic', { ...rpc, operation: 'respond' }, '+agents-answer', critic),
    ask('autogen', { operation: 'list' }, '+agents-answer', critic),
    ask('autogen', { operation: 'list' }, 'retired', agent.replace('/writer', '/retired')),
    {
      ...onCall,
      on: 'AgentType autogen/boss',
      context: { ...rpc, agentType: 'boss' },
      rule: '+on-call-asks',
    },
    { ...onCall, on: 'AgentType autogen/writer', context: register, rule: 'default-deny' },
  ];
}

function resourceOf(action: Case['action'], on: string): PolicyRequest['resource'] {
  const [, type, id] = /^(AgentType|TopicType) (.*)$/.exec(on) ?? [];
  if (id !== undefined && (type === 'AgentType' || type === 'TopicType')) return { type, id };
  return { type: action === 'admin' ? 'Admin' : 'Target', id: on };
}

t.test('every example is here', async t => {
  t.same(readdirSync(folder).sort(), Object.keys(cases).sort());
});

for (const [name, wanted] of Object.entries(cases))
  t.test(
    `docs/policies/${name} loads without a warning and decides ${wanted.length} requests as it says`,
    async t => {
      const policies = [{ name, text: readFileSync(new URL(name, folder), 'utf8') }];
      for (const { who, groups, email, action, on, context, rule } of wanted) {
        const principal = principalOf(who, groups, email);
        const resource = resourceOf(action, on);
        const request = { principal, action, resource, context: context ?? {} };
        const names = known[name];
        const trial = await tryPolicies({ policies, request, ...(names ? { known: names } : {}) });
        t.same(trial.errors, []);
        t.equal(`${trial.allow ? '+' : ''}${trial.rule}`, rule, `${who} ${action} ${on}`);
      }
    },
  );

t.test('every policy in the text of docs/policy.md loads', async t => {
  const text = readFileSync(new URL('../policy.md', folder), 'utf8');
  const blocks = [...text.matchAll(/```cedar\n([\s\S]*?)```/g)];
  t.not(blocks.length, 0);
  for (const [, block = ''] of blocks)
    await t.resolves(
      loadPolicies([{ name: 'policy.md', text: block }], { sources: ['corp'], targets: ['autogen'] }),
    );
});

t.test('docs/policy.md names every entity and action of the vocabulary', async t => {
  const text = readFileSync(new URL('../policy.md', folder), 'utf8');
  const words = [...policySchema.matchAll(/^ {2}(?:entity|action) (\w+)/gm)].map(([, word]) => word);
  t.equal(words.length, 9 + 5);
  for (const word of words) t.match(text, new RegExp(`\`${word}\``), word ?? '');
});
