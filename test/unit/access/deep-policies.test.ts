/** Policies that are as deep as they may be, and deeper; and what follows where Cedar breaks in spite of it. */
import fc from 'fast-check';
import t, { type Test } from 'tap';
import { createAuthorizer, type ReplaceableAuthorizer } from '../../../lib/access/policy/authorizer.ts';
import { askEngine, engineGeneration } from '../../../lib/access/policy/engine.ts';
import { maxPolicyDepth, maxPolicyNesting } from '../../../lib/access/policy/options.ts';
import { depthOf } from '../../../lib/access/policy/policy-depth.ts';
import type { PolicyRequest } from '../../../lib/access/policy/vocabulary.ts';
import { KeptLog, KeptMetrics, SetClock } from '../../support/access-identity.ts';

const head = '@id("deep") permit(principal, action == Lockwire::Action::"call", resource)';
const open = '@id("open") permit(principal, action == Lockwire::Action::"call", resource);';

const room = (text: string): Promise<ReplaceableAuthorizer> =>
  createAuthorizer(
    { policies: [{ name: 'p.cedar', text }] },
    { clock: new SetClock(), log: new KeptLog(), metrics: new KeptMetrics() },
  );

function request(path: string): PolicyRequest {
  return {
    principal: { kind: 'user', issuer: 'corp', subject: '1', groups: [] },
    action: 'call',
    resource: { type: 'Target', id: 'a' },
    context: { method: 'GET', host: 'h', path },
  };
}

async function problemOf(text: string): Promise<string> {
  try {
    await room(text);
    return '';
  } catch (error) {
    return (error as Error).message;
  }
}

const when = (condition: string): string => `${head} when { ${condition} };`;
const yes = 'context.path == "/yes"';
const chain = (size: number, operator: string, more: string): string =>
  when(`${yes}${` ${operator} ${more}`.repeat(size)}`);

/** By size: policies that permit the path /yes and nothing else. */
const shapes: Record<string, (size: number) => string> = {
  '||': size => chain(size, '||', 'context.path like "/no*"'),
  '&&': size => chain(size, '&&', 'context.method != "PUT"'),
  '+': size => when(`${yes} && 1${' + 1'.repeat(size)} > 0`),
  '.': size => when(`${yes} && ${'{a: '.repeat(size)}true${'}'.repeat(size)}${'.a'.repeat(size)}`),
  '[""]': size => when(`${yes} && ${'{a: '.repeat(size)}true${'}'.repeat(size)}${'["a"]'.repeat(size)}`),
  'has .': size => when(`${yes} && !({b: 1} has a${'.a'.repeat(size)})`),
  '()': size => when(`${'('.repeat(size)}${yes}${')'.repeat(size)}`),
  '!()': size => when(`${'!(!('.repeat(size)}${yes}${'))'.repeat(size)}`),
  '[]': size => when(`${'['.repeat(size)}${yes}${'].contains(true)'.repeat(size)}`),
  '(|| )': size => when(`${'(context.path == "/no" || '.repeat(size)}${yes}${')'.repeat(size)}`),
  '( ||)': size => when(`${'('.repeat(size)}${yes}${' || context.path == "/no")'.repeat(size)}`),
  'if then': size => when(`${'if true then '.repeat(size)}${yes}${' else false'.repeat(size)}`),
  'else if': size => when(`${'if context.path == "/no" then false else '.repeat(size)}${yes}`),
  is: size => when(`${yes} && ${'(true == ('.repeat(size)}principal is Lockwire::User${'))'.repeat(size)}`),
  when: size => `${head} when { ${yes} }${' when { context.method == "GET" }'.repeat(size)};`,
  unless: size => `${head} when { ${yes} }${' unless { context.method == "PUT" }'.repeat(size)};`,
  'both at once': size =>
    when(
      `${'('.repeat(Math.min(size, 40))}${yes}${' || false'.repeat(size)}${' || false)'.repeat(Math.min(size, 40))}`,
    ),
};

const fits = (text: string): boolean => {
  const { nesting, depth } = depthOf(text);
  return nesting <= maxPolicyNesting && depth <= maxPolicyDepth;
};

for (const [name, shape] of Object.entries(shapes)) {
  t.test(`the largest policy of '${name}' that is read decides, one more is refused by its line`, async t => {
    let size = 1;
    while (fits(shape(size + 1))) size += 1;
    const policy = await room(shape(size));
    const found = engineGeneration();
    t.same(policy.decide(request('/yes')), { allow: true, id: '', rule: 'deep' });
    t.equal(policy.decide(request('/other')).rule, 'default-deny');
    const problem = await problemOf(`// a line before\n${shape(size + 1)}`);
    t.match(
      problem,
      /^p\.cedar:2:\d+: (brackets and ifs are nested 49 deep here, at most 48|its conditions are 16\d operators deep, at most 160)/,
    );
    t.equal(engineGeneration(), found, 'and Cedar never saw it');
  });
}

t.test('chains of 150 comparisons and a set of 20,000 texts are read', async t => {
  t.equal(await problemOf(chain(150, '||', 'context.path like "/x/*"')), '');
  const set = Array.from({ length: 20_000 }, (_, i) => `"/${i}"`).join(', ');
  const policy = await room(when(`[${set}].contains(context.path)`));
  t.equal(policy.decide(request('/19999')).allow, true);
  t.equal(policy.decide(request('/20000')).allow, false);
});

t.test('brackets and operators in strings and comments count for nothing', async t => {
  const noise = '(['.repeat(100) + ' || '.repeat(400);
  const policy = await room(when(`context.path == "${noise}" || // \\" ${noise}\n${yes}`));
  t.equal(policy.decide(request(noise)).allow, true);
});

/** How deep Cedar's own tree is: operators, one inside the other. */
function treeDepth(node: unknown): number {
  if (typeof node !== 'object' || node === null) return 0;
  if (Array.isArray(node)) return Math.max(0, ...node.map(treeDepth));
  if ('Record' in node) return 1 + Math.max(0, ...Object.values(node.Record as object).map(treeDepth));
  return Math.max(
    0,
    ...Object.entries(node).map(([name, value]) => {
      const operand = /^(left|right|arg|if|then|else|in)$/.test(name);
      return treeDepth(value) + (operand || name === 'Value' || name === 'Var' ? 0 : 1);
    }),
  );
}

const { condition } = fc.letrec<{ condition: string }>(tie => ({
  condition: fc.oneof(
    { maxDepth: 8, withCrossShrink: true },
    fc.constantFrom(yes, 'true', 'principal has email', 'context.path like "(*||"', '1 + 2 * -3 >= 4 - 5'),
    fc
      .tuple(tie('condition'), fc.constantFrom('||', '&&', '==', '!='), tie('condition'))
      .map(([a, operator, b]) => `(${a}) ${operator} (${b})`),
    fc
      .tuple(fc.constantFrom('||', '&&'), fc.integer({ min: 1, max: 20 }), tie('condition'))
      .map(([operator, times, a]) => `(${a})${` ${operator} ${yes}`.repeat(times)}`),
    tie('condition').map(a => `!(${a})`),
    tie('condition').map(a => `[1 == 1, ${a}, true].contains(${a})`),
    tie('condition').map(a => `{a: ${a}, "b": 1}["a"]`),
    fc
      .tuple(tie('condition'), tie('condition'), tie('condition'))
      .map(([a, b, c]) => `(if ${a} then if ${b} then ${c} else ${a} else ${b})`),
  ),
}));

t.test('a text is never measured as less deep than the tree that Cedar makes of it', async t => {
  let compared = 0;
  const clauses = fc.array(fc.tuple(fc.constantFrom('when', 'unless'), condition), {
    minLength: 1,
    maxLength: 4,
  });
  fc.assert(
    fc.property(clauses, parts => {
      const text = `${head} ${parts.map(([word, one]) => `${word} { ${one} }`).join(' ')};`;
      if (!fits(text)) return true;
      const parsed = askEngine(({ policyToJson }) => policyToJson(text));
      if (parsed.type === 'failure') throw new Error(`${parsed.errors[0]?.message}: ${text}`);
      compared += 1;
      const tree = Math.max(...parsed.json.conditions.map(({ body }) => treeDepth(body)));
      return depthOf(text).depth >= tree;
    }),
    { numRuns: 300 },
  );
  t.ok(compared > 200, `${compared} were compared`);
});

/** What breaks Cedar when nothing is measured before. */
const breaking = when(`${'('.repeat(400)}true${')'.repeat(400)}`);

function breakEngine(t: Test): void {
  const before = engineGeneration();
  t.throws(() => askEngine(({ policyToJson }) => policyToJson(breaking)), {
    code: 'config',
    message: /^Cedar broke on this and was started anew: /,
  });
  t.equal(engineGeneration(), before + 1);
}

t.test('where Cedar breaks all the same, policies in force go on deciding and others can follow', async t => {
  const one = await room(open);
  const other = await room(when(yes));
  const commit = await one.prepare([{ name: 'p.cedar', text: open.replace('open', 'later') }]);
  breakEngine(t);
  t.same(one.decide(request('/a')), { allow: true, id: '', rule: 'open' });
  t.same(other.decide(request('/yes')), { allow: true, id: '', rule: 'deep' });
  t.equal(other.decide(request('/no')).rule, 'default-deny');
  breakEngine(t);
  commit();
  t.same(one.decide(request('/b')), { allow: true, id: '', rule: 'later' }, 'ready before it broke');
  (await one.prepare([{ name: 'p.cedar', text: when(yes) }]))();
  t.equal(one.decide(request('/b')).rule, 'default-deny');
  t.same(one.decide(request('/yes')), { allow: true, id: '', rule: 'deep' });
});

t.test('an error of Cedar that is none of its breaking replaces nothing', async t => {
  const before = engineGeneration();
  t.throws(() =>
    askEngine(() => {
      throw new TypeError('a call of the wrong shape');
    }),
  );
  t.equal(engineGeneration(), before);
});
