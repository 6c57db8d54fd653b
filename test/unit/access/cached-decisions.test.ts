// What is answered from the cache, beside what Cedar says of the very same request.
import fc from 'fast-check';
import t from 'tap';
import { createAuthorizer, type ReplaceableAuthorizer } from '../../../lib/access/policy/authorizer.ts';
import { decidingRule } from '../../../lib/access/policy/denials.ts';
import { PreparedRules } from '../../../lib/access/policy/evaluate.ts';
import { loadPolicies } from '../../../lib/access/policy/load-policies.ts';
import type { PolicyRequest } from '../../../lib/access/policy/vocabulary.ts';
import type { Principal } from '../../../lib/core/session.ts';
import { KeptLog, KeptMetrics, SetClock } from '../../support/access-identity.ts';

// Few texts, so that policies and requests meet.
const texts = [
  '',
  '/',
  '/a',
  '/a/',
  '/a/b',
  '/A',
  '/a*',
  'GET',
  'POST',
  'h',
  'h:1',
  '😀',
  '/a/b.json',
] as const;
const patterns = ['*', '/a*', '/a/*', '*b', '/*/*', '/a\\\\*', '', '😀*', '*.json', 'G*T'] as const;
const text = fc.constantFrom(...texts);
const written = text.map(one => JSON.stringify(one));
const callAttributes = ['method', 'host', 'path'] as const;
const messageAttributes = ['operation', 'agentType', 'agentKey'] as const;

/** One question on an attribute, as policies ask them and as they hardly ever do. */
function questionOf(name: string, other: string): fc.Arbitrary<string> {
  const it = `context.${name}`;
  return fc.oneof(
    fc.constantFrom(...patterns).map(pattern => `${it} like "${pattern.replaceAll('\\\\', '\\')}"`),
    fc.tuple(fc.constantFrom('==', '!='), written).map(([operator, one]) => `${it} ${operator} ${one}`),
    fc.tuple(fc.constantFrom('==', '!='), written).map(([operator, one]) => `${one} ${operator} ${it}`),
    fc.array(written, { minLength: 1, maxLength: 3 }).map(list => `[${list}].contains(${it})`),
    fc.constantFrom(
      `${it} == context.${other}`,
      `${it} == principal.issuer`,
      `[${it}].contains("/a")`,
      `["/a", "GET"].containsAny([${it}, context.${other}])`,
      `{ a: ${it} }.a == "/a"`,
      `(if ${it} == "h" then ${it} else "/a") like "/*"`,
      '9223372036854775807 + 1 > 0',
    ),
  );
}

function conditionOf(attributes: readonly string[]): fc.Arbitrary<string> {
  const one = fc
    .tuple(fc.constantFrom(...attributes), fc.constantFrom(...attributes))
    .chain(([name, other]) => questionOf(name, other));
  return fc.oneof(
    { weight: 3, arbitrary: one },
    fc.tuple(one, fc.constantFrom('&&', '||'), one).map(([a, operator, b]) => `(${a}) ${operator} (${b})`),
    one.map(a => `!(${a})`),
    fc.tuple(one, one, one).map(([a, b, c]) => `if ${a} then ${b} else ${c}`),
  );
}

const resources = ['resource', 'resource == Lockwire::Target::"one"', 'resource in Lockwire::Target::"two"'];

/** What validation wants of rules that look at optional attributes. */
const there = 'context has agentType && context has agentKey';

const policy = fc
  .record({
    effect: fc.constantFrom('permit', 'permit', 'forbid'),
    resource: fc.constantFrom(...resources),
    kind: fc.constantFrom('when', 'when', 'unless'),
    rule: fc.oneof(
      conditionOf(callAttributes).map(condition => ({ action: 'call', guard: 'true', condition })),
      conditionOf(messageAttributes).map(condition => ({ action: 'message', guard: there, condition })),
      fc.constant({ action: 'message', guard: 'true', condition: 'context has agentKey' }),
    ),
  })
  .map(({ effect, resource, kind, rule: { action, guard, condition } }) => {
    const head = `principal is Lockwire::User, action == Lockwire::Action::"${action}", ${resource}`;
    return `${effect}(${head}) when { ${guard} } ${kind} { ${guard} && (${condition}) };`;
  });
const policies = fc
  .array(policy, { minLength: 1, maxLength: 6 })
  .map(list => list.map((one, i) => `@id("p${i}") ${one}`).join('\n'));

const people: readonly Principal[] = ['GET', 'h'].map(issuer => ({
  ...{ kind: 'user', issuer, subject: 'alice', groups: [] },
}));
/** Mostly texts that policies may be asked of. */
const value = fc.oneof({ weight: 30, arbitrary: text }, fc.constantFrom('\ud800', 'x'.repeat(16_385), 1));
const request: fc.Arbitrary<PolicyRequest> = fc
  .record({
    principal: fc.constantFrom(...people),
    target: fc.constantFrom('one', 'two', 'three'),
    facts: fc.oneof(
      { weight: 2, arbitrary: fc.record({ method: value, host: value, path: value }) },
      fc.record({ operation: value, agentType: value, agentKey: value }, { requiredKeys: ['operation'] }),
    ),
  })
  .map(({ principal, target, facts }) => ({
    ...{ principal, resource: { type: 'Target', id: target }, context: facts },
    action: 'method' in facts ? 'call' : 'message',
  }));

interface Tally {
  permits: number;
  denials: number;
  hits: number;
}

async function check(
  authorizer: ReplaceableAuthorizer,
  text: string,
  requests: readonly PolicyRequest[],
  tally: Tally,
): Promise<void> {
  const cedar = new PreparedRules(await loadPolicies([{ name: 'p.cedar', text }]));
  for (const one of requests) {
    const verdict = cedar.decide(one);
    const { allow, id, rule } = authorizer.decide(one);
    const wanted = { allow: verdict.allow, rule: decidingRule(verdict) };
    if (allow !== wanted.allow || rule !== wanted.rule)
      throw new Error(
        `${JSON.stringify({ allow, rule })}, Cedar ${JSON.stringify(wanted)}: ${JSON.stringify(one)}`,
      );
    if (allow) tally.permits += 1;
    else checkDenial(authorizer, one, id, verdict.errors, tally);
  }
}

function checkDenial(
  authorizer: ReplaceableAuthorizer,
  { context, resource, action, principal }: PolicyRequest,
  id: string,
  errors: readonly string[],
  tally: Tally,
): void {
  tally.denials += 1;
  const explained = authorizer.explain(id);
  const facts = [
    ...[action, `Target ${resource.id}`, `User::${principal.kind === 'user' ? principal.issuer : ''}|alice`],
    ...Object.values(context).filter(fact => fact !== '\ud800' && String(fact).length < 256),
    errors.length,
  ];
  const told = [
    ...[explained?.action, explained?.resource, explained?.principal],
    ...Object.entries(explained?.context ?? {})
      .filter(([name]) => context[name] !== '\ud800' && String(context[name]).length < 256)
      .map(([name, fact]) => (typeof context[name] === 'number' ? Number(fact) : fact)),
    explained?.errors.length,
  ];
  if (JSON.stringify(facts) !== JSON.stringify(told))
    throw new Error(`${JSON.stringify(told)}, not ${JSON.stringify(facts)}`);
}

t.test('of 30 × 2 random sets of policies, 120 requests each are decided as Cedar decides them', async t => {
  const tally: Tally = { permits: 0, denials: 0, hits: 0 };
  const requests = fc.array(request, { minLength: 120, maxLength: 120 });
  await fc.assert(
    fc.asyncProperty(policies, policies, requests, async (first, second, asked) => {
      const metrics = new KeptMetrics();
      const authorizer = await createAuthorizer(
        { policies: [{ name: 'p.cedar', text: first }] },
        { clock: new SetClock(), log: new KeptLog(), metrics },
      );
      await check(authorizer, first, asked, tally);
      const commit = await authorizer.prepare([{ name: 'p.cedar', text: second }]);
      await check(authorizer, first, asked, tally);
      commit();
      await check(authorizer, second, asked, tally);
      tally.hits += metrics.counts.get('lockwire_decisions_cached_total') ?? 0;
    }),
    { numRuns: 30, endOnFailure: true },
  );
  t.ok(tally.permits > 500, `${tally.permits} permits`);
  t.ok(tally.denials > 1000, `${tally.denials} denials`);
  t.ok(tally.hits > 3000, `${tally.hits} from the cache`);
  t.comment(JSON.stringify(tally));
});

async function room(text: string) {
  const [clock, log, metrics] = [new SetClock(), new KeptLog(), new KeptMetrics()];
  const policy = await createAuthorizer({ policies: [{ name: 'p.cedar', text }] }, { clock, log, metrics });
  const hits = (): number => metrics.counts.get('lockwire_decisions_cached_total') ?? 0;
  return { policy, log, metrics, hits };
}

function call(path: string): PolicyRequest {
  const [principal = { kind: 'user', issuer: 'h', subject: 'alice', groups: [] }] = people;
  return {
    ...{ principal, action: 'call', resource: { type: 'Target', id: 'one' } },
    context: { method: 'GET', host: 'h', path },
  };
}

t.test('10,000 paths below one that is permitted cost one decision', async t => {
  const { policy, hits } = await room(
    '@id("v1") permit(principal, action == Lockwire::Action::"call", resource) when { context.path like "/v1/*" };',
  );
  let permitted = 0;
  for (let i = 0; i < 10_000; i += 1) if (policy.decide(call(`/v1/${i}`)).allow) permitted += 1;
  t.equal(permitted, 10_000);
  t.equal(hits(), 9_999);
  t.match(policy.decide(call('/v2/1')), { allow: false, rule: 'default-deny' });
});

t.test(
  'denied paths of one class have an id, facts, a count and a line in the log each, of one decision',
  async t => {
    const { policy, log, metrics, hits } = await room(`
    @id("v1") permit(principal, action == Lockwire::Action::"call", resource) when { context.path like "/v1/*" };
    @id("no-files") forbid(principal, action == Lockwire::Action::"call", resource) when { context.path like "/v1/files/*" };`);
    const paths = Array.from({ length: 20 }, (_, i) => `/v1/files/${i}`);
    const ids = paths.map(path => policy.decide(call(path)).id);
    t.equal(new Set(ids).size, 20);
    t.equal(hits(), 19);
    for (const [i, path] of paths.entries()) {
      t.equal(policy.decide(call(path)).id, ids[i], 'the same request keeps its id');
      t.match(policy.explain(ids[i] ?? ''), {
        context: { path },
        count: 2,
        forbidBy: ['no-files (p.cedar:3)'],
      });
      t.match(log.lines.find(({ fields }) => fields.decision === ids[i])?.fields, { path, rule: 'no-files' });
    }
    const { id } = policy.decide(call('/other'));
    t.match(policy.explain(id), {
      rule: 'default-deny',
      nearMisses: [/permit 'v1'/],
      context: { path: '/other' },
    });

    for (let i = 0; i < 5000; i += 1) policy.decide(call(`/v1/files/more/${i}`));
    t.equal(metrics.gauges.get('lockwire_denials_kept')?.(), 256, 'of one principal');
    t.equal(hits(), 19 + 20 + 5000, 'of no more decisions');
  },
);

t.test('what errs is decided for each request by itself, and tells its own facts', async t => {
  const { policy, hits } = await room(
    '@id("get") permit(principal, action == Lockwire::Action::"call", resource) when { context.method == "GET" };',
  );
  const wrong = (host: string): PolicyRequest => ({
    ...call('/a'),
    context: { method: 'GET', host, path: 1 },
  });
  const [a, b] = [policy.decide(wrong('a.example')), policy.decide(wrong('b.example'))];
  t.match([a, b], [{ rule: 'policy-error' }, { rule: 'policy-error' }]);
  t.not(a.id, b.id);
  t.equal(hits(), 0);
  t.equal(policy.decide(wrong('b.example')).id, b.id);
  t.equal(hits(), 1);
  t.notMatch(JSON.stringify(policy.explain(b.id)), /a\.example/);
});
