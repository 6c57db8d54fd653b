import type { PolicyRequest } from '../access/policy/vocabulary.ts';
import { nearMiss } from '../config/near-miss.ts';
import type { PolicyTest } from '../config/policy-tests.ts';
import { parseAuthority } from '../core/authority.ts';
import { safeText } from '../core/bytes.ts';
import { LockwireError } from '../core/errors.ts';
import { ambiguousPath, callContext } from '../core/request-path.ts';
import type { Principal } from '../core/session.ts';
import {
  aboutAgent,
  aboutList,
  aboutPublish,
  aboutRegistration,
  aboutSubscription,
  type Question,
} from '../dialects/autogen-rpc/policy-questions.ts';

/** What is asked of the policies, without the name of a test and what is expected of it. */
export type PolicyQuestion = Omit<PolicyTest, 'name' | 'expect'>;

const asked = ['connect', 'call', 'message', 'expose'] as const;

/** The request that the gateway would make. Throws `usage` for what it would never ask. */
export function policyRequest(question: PolicyQuestion): PolicyRequest {
  const principal = principalOf(question);
  const action = oneOf('action', question.action, asked);
  refuseStrangers(question, action);
  const { target } = question;
  if (action === 'message') return { principal, action, ...messageOf(target, question) };
  const context = action === 'call' ? contextOfCall(question) : {};
  return { principal, action, resource: { type: 'Target', id: target }, context };
}

const factsOf = {
  call: ['method', 'host', 'path'],
  message: ['operation', 'agentType', 'agentKey', 'topicType', 'topicSource', 'prefix'],
} as const;

/** The facts of one action say nothing of another. */
function refuseStrangers(question: PolicyQuestion, action: string): void {
  for (const owner of ['call', 'message'] as const) {
    if (owner === action) continue;
    const stray = factsOf[owner].find(fact => question[fact] !== undefined);
    if (stray === undefined) continue;
    const facts = listOf(factsOf[owner].map(words));
    throw new LockwireError('usage', `${facts} belong to the action ${owner}, not to ${action}`);
  }
}

function contextOfCall({ method, host, path }: PolicyQuestion): PolicyRequest['context'] {
  if (method === undefined || host === undefined || path === undefined)
    throw new LockwireError('usage', 'the action call needs method, host and path');
  if (!/^[A-Z]+$/.test(method))
    throw new LockwireError('usage', `method "${safeText(method, 64)}": expected one such as POST`);
  if (parseAuthority(host) === undefined)
    throw new LockwireError('usage', `host "${safeText(host, 256)}": expected HOST or HOST:PORT`);
  const wrong = ambiguousPath(path, method);
  if (wrong === undefined) return { ...callContext(method, host, path) };
  const why = `the path has ${wrong}, and the gateway refuses such a request before any policy is asked`;
  throw new LockwireError('usage', `path "${safeText(path, 256)}": ${why}`);
}

type Fact = 'agentType' | 'agentKey' | 'topicType' | 'topicSource';

/** What each operation of AutoGen's says, all of it; a subscription may also be by prefix. */
const operations = {
  register: ['agentType'],
  subscribe: ['topicType', 'agentType'],
  unsubscribe: ['topicType', 'agentType'],
  list: [],
  publish: ['topicType', 'topicSource'],
  rpc: ['agentType', 'agentKey'],
  respond: ['agentType', 'agentKey'],
} as const satisfies Record<string, readonly Fact[]>;

type Operation = keyof typeof operations;

function messageOf(target: string, question: PolicyQuestion): Pick<PolicyRequest, 'resource' | 'context'> {
  if (question.operation === undefined)
    throw new LockwireError('usage', 'the action message needs an operation');
  const operation = oneOf('operation', question.operation, Object.keys(operations) as Operation[]);
  checkFacts(operation, question);
  const { type, name, context } = askedOf(operation, question);
  const id = type === 'Target' ? target : `${target}/${name}`;
  return { resource: { type, id }, context: { operation, ...context } };
}

function checkFacts(operation: Operation, question: PolicyQuestion): void {
  const wanted: readonly Fact[] = operations[operation];
  const all: readonly Fact[] = ['agentType', 'agentKey', 'topicType', 'topicSource'];
  if (all.some(fact => (question[fact] !== undefined) !== wanted.includes(fact))) {
    const needs = wanted.length === 0 ? 'nothing else' : `${listOf(wanted.map(words))}, and no more`;
    throw new LockwireError('usage', `the operation ${operation} has ${needs}`);
  }
  if (question.prefix && operation !== 'subscribe' && operation !== 'unsubscribe')
    throw new LockwireError('usage', `prefix belongs to a subscription, not to the operation ${operation}`);
  for (const fact of ['agentType', 'topicType'] as const)
    if (question[fact] === '')
      throw new LockwireError(
        'usage',
        `the ${words(fact)} is empty, and the gateway refuses that, whatever is permitted`,
      );
}

/** As the dialect itself asks. */
function askedOf(operation: Operation, question: PolicyQuestion): Question {
  const { agentType = '', agentKey = '', topicType = '', topicSource = '', prefix = false } = question;
  switch (operation) {
    case 'register':
      return aboutRegistration(agentType);
    case 'subscribe':
    case 'unsubscribe':
      return aboutSubscription(operation, { id: '', topic: topicType, prefix, agentType });
    case 'list':
      return aboutList;
    case 'publish':
      return aboutPublish(topicType, topicSource);
    case 'rpc':
    case 'respond':
      return aboutAgent(operation, { type: agentType, key: agentKey });
  }
}

/** `agentType` → `agent type`: a flag writes it another way than a file. */
function words(fact: string): string {
  return fact.replace(/[A-Z]/, letter => ` ${letter.toLowerCase()}`);
}

function listOf(items: readonly string[], last = 'and'): string {
  return items.length < 2 ? items.join('') : `${items.slice(0, -1).join(', ')} ${last} ${items.at(-1)}`;
}

function oneOf<T extends string>(what: string, text: string, known: readonly T[]): T {
  const found = known.find(value => value === text);
  if (found !== undefined) return found;
  const near = nearMiss(text, known);
  const hint = near === undefined ? '' : `; did you mean ${near}?`;
  throw new LockwireError('usage', `${what} "${safeText(text, 64)}": expected ${listOf(known, 'or')}${hint}`);
}

function principalOf({ principal, groups = [], email }: PolicyQuestion): Principal {
  const [, kind, source = '', name = ''] = /^(user|workload):([^:]+):(.+)$/.exec(principal) ?? [];
  if (kind === 'user') {
    return { kind, issuer: source, subject: name, groups, ...(email === undefined ? {} : { email }) };
  }
  if (kind === 'workload') return { kind, source, name, groups };
  throw new LockwireError('usage', `principal "${principal}": expected user:ISSUER:SUB or workload:NAME:SAN`);
}
