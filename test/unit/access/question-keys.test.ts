import { type PolicyJson, policyToJson } from '@cedar-policy/cedar-wasm/nodejs';
import t from 'tap';
import { exactKey, QuestionKeys } from '../../../lib/access/policy/question-keys.ts';
import type { PolicyRequest } from '../../../lib/access/policy/vocabulary.ts';

function jsonOf(text: string): PolicyJson {
  const answer = policyToJson(text);
  if (answer.type === 'failure') throw new Error(answer.errors.map(({ message }) => message).join());
  return answer.json;
}

function when(...conditions: string[]): QuestionKeys {
  return new QuestionKeys(
    conditions.map(condition => jsonOf(`permit(principal, action, resource) when { ${condition} };`)),
  );
}

function ask(context: PolicyRequest['context'], id = 'autogen'): PolicyRequest {
  return {
    principal: { kind: 'user', issuer: 'corp', subject: 'alice', groups: [] },
    action: 'call',
    resource: { type: 'Target', id },
    context,
  };
}

function call(path: string, method = 'GET', host = 'h'): PolicyRequest {
  return ask({ method, host, path });
}

/** Whether the policies can tell two requests apart. */
function apart(keys: QuestionKeys, one: PolicyRequest, other: PolicyRequest): boolean {
  return keys.keyOf(one) !== keys.keyOf(other);
}

t.test('what no policy mentions is not in the key, but that it is there is', t => {
  const keys = when('context.method == "GET"');
  t.notOk(apart(keys, call('/a'), call('/b')));
  t.notOk(apart(keys, call('/a', 'GET', 'h'), call('/a', 'GET', 'i')));
  t.ok(apart(keys, call('/a'), ask({ method: 'GET', host: 'h' })));
  t.ok(apart(keys, call('/1'), ask({ method: 'GET', host: 'h', path: 1 })));
  t.ok(apart(keys, call('/a'), ask({ method: 'GET', host: 'h', path: '/a', other: '' })));
  t.ok(apart(keys, call('/a'), { ...call('/a'), action: 'message' }));
  t.ok(apart(keys, call('/a'), ask({ method: 'GET', host: 'h', path: '/a' }, 'other')));
  t.end();
});

t.test('a text that is asked for by literals and patterns counts as what it is to each of them', t => {
  const keys = when(
    'context.path like "/v1/*" && !(context.path like "*.json") || "/exact" == context.path',
    'if context.path != "/other" then ["/x", "/y"].contains(context["path"]) else context.method == "GET"',
  );
  const classes = [
    ['/v1/a', '/v1/b', '/v1/'],
    ['/v1/a.json', '/v1/b.json'],
    ['/a.json', '.json'],
    ['/', '', '/v1', '/V1/a'],
    ['/exact'],
    ['/other'],
    ['/x'],
    ['/y'],
  ];
  const known = classes.map(paths => new Set(paths.map(path => keys.keyOf(call(path)))));
  for (const those of known) t.equal(those.size, 1);
  t.equal(new Set(known.flatMap(those => [...those])).size, classes.length);
  t.ok(apart(keys, call('/v1/a', 'GET'), call('/v1/a', 'POST')));
  t.end();
});

t.test('used in any other way, the text itself counts', t => {
  const others = [
    'context.path == context.host',
    'context.path == principal.name',
    '["/x", context.host].contains(context.path)',
    '[context.path].contains("/x")',
    '["/x"].containsAny([context.path])',
    'principal.names.contains(context.path)',
    'context.path in resource',
    'context.path is Foo',
    'ip(context.path).isLoopback()',
    '{ a: context.path }.a == "/x"',
    'context.path == 1',
    '(if context.path == "/x" then context.path else "/y") like "/*"',
    'context.path has a',
    'context has path.a',
    'context.path.a like "/*"',
    'context.path.hasTag("a")',
    'context.path < "b"',
    'context.path like "/*" && context.path == context.path',
  ];
  for (const other of others) {
    const keys = when('context.path like "/v1/*"', other);
    t.ok(apart(keys, call('/v1/a'), call('/v1/b')), other);
  }
  t.end();
});

t.test('used as a whole, or by what is not known here, the text of every attribute counts', t => {
  for (const other of [
    'context == { path: "/x" }',
    '(if principal has a then context else context).path == "/x"',
    '{ a: context }.a.path like "/*"',
    '[context].contains({ path: "/x" })',
  ])
    t.ok(apart(when(other), call('/a'), call('/b')), other);

  const known = jsonOf('permit(principal, action, resource) when { context.path like "/*" };');
  const unknown: unknown[] = [
    { resembles: { left: { '.': { left: { Var: 'context' }, attr: 'path' } }, right: { Value: 'x' } } },
    { constructor: { arg: { Value: true } } },
    { ask: 'context.path' },
    { ask: ['context.path'] },
    { Value: true, and: {} },
    { Slot: '?context' },
    {},
    null,
    'context.path',
    { like: { left: { Var: 'context' }, pattern: [] } },
  ];
  t.notOk(apart(new QuestionKeys([known]), call('/a'), call('/b')), 'without it');
  for (const body of unknown) {
    const policy = { ...known, conditions: [{ kind: 'when', body }] } as PolicyJson;
    t.ok(apart(new QuestionKeys([known, policy]), call('/a'), call('/b')), JSON.stringify(body));
  }
  t.end();
});

t.test('whether an optional attribute is there is in the key without its text', t => {
  const keys = when('context has agentType && context.agentType == "writer"');
  const message = (agentType?: string): PolicyRequest => ({
    ...ask({ operation: 'RpcRequest', ...(agentType === undefined ? {} : { agentType }) }),
    action: 'message',
  });
  t.notOk(apart(keys, message('a'), message('b')));
  t.ok(apart(keys, message('a'), message('writer')));
  t.ok(apart(keys, message('a'), message()));
  t.end();
});

t.test('rules of one target say nothing of another’s paths', t => {
  const head = (resource: string, condition: string): PolicyJson =>
    jsonOf(`permit(principal, action, ${resource}) when { ${condition} };`);
  const keys = new QuestionKeys([
    head('resource', 'context.path like "/every/*"'),
    head('resource == Lockwire::Target::"one"', 'context.path like "/one/*"'),
    head('resource is Lockwire::Tool in Lockwire::Target::"one"', 'context.path == "/tool"'),
    head('resource == Lockwire::Tool::"two/t"', 'context.path like "/two/*" || context.host == "x"'),
    head('resource in Lockwire::Target::"three"', 'context.path == context.host'),
    head('resource is Lockwire::Model', 'context.method == "GET"'),
  ]);
  const different = (one: string, other: string, resource: PolicyRequest['resource']): boolean =>
    apart(keys, { ...call(one), resource }, { ...call(other), resource });
  const target = (id: string) => ({ type: 'Target', id }) as const;
  const tool = (id: string) => ({ type: 'Tool', id }) as const;
  for (const resource of ['one', 'two', 'three', 'other', ''].map(target))
    t.ok(different('/every/a', '/a', resource), resource.id);
  for (const resource of [target('one'), tool('one/t')]) {
    t.ok(different('/one/a', '/a', resource));
    t.ok(different('/tool', '/a', resource));
    t.notOk(different('/two/a', '/b', resource));
  }
  for (const resource of [target('two'), tool('two/t')]) t.ok(different('/two/a', '/a', resource));
  t.ok(different('/a', '/b', target('three')));
  t.ok(different('/every/a', '/every/b', tool('three/t')));
  t.notOk(different('/one/a', '/two/b', target('other')));
  const getting = (method: string): PolicyRequest => ({ ...call('/a', method), resource: target('two') });
  t.ok(apart(keys, getting('GET'), getting('PUT')));
  t.end();
});

t.test('64 patterns of an attribute are tried, of 65 the text counts; literals have no such limit', t => {
  const patterns = (count: number): QuestionKeys =>
    when(Array.from({ length: count }, (_, i) => `context.path like "/${i}/*"`).join(' || '));
  const some = patterns(64);
  t.notOk(apart(some, call('/a'), call('/b')));
  t.equal(new Set(Array.from({ length: 65 }, (_, i) => some.keyOf(call(`/${i}/x`)))).size, 65);
  t.ok(apart(patterns(65), call('/a'), call('/b')));
  const same = when(Array.from({ length: 65 }, () => `context.path like "/a/*"`).join(' || '));
  t.notOk(apart(same, call('/a'), call('/b')), 'one pattern 65 times');

  const literals = when(
    `[${Array.from({ length: 1000 }, (_, i) => `"/${i}"`).join()}].contains(context.path)`,
  );
  t.notOk(apart(literals, call('/a'), call('/b')));
  t.equal(new Set(Array.from({ length: 1001 }, (_, i) => literals.keyOf(call(`/${i}`)))).size, 1001);
  t.end();
});

t.test('a text that is denied unread is never one of a class', t => {
  const keys = when('context.method == "GET"');
  const long = 'x'.repeat(16_385);
  for (const bad of ['\ud800', '\udfff', long]) t.ok(apart(keys, call(bad), call('/a')));
  t.ok(apart(keys, call(long), call(`${long}x`)));
  t.notOk(apart(keys, call(long.slice(1)), call('/a')), 'the honest one is');
  t.end();
});

t.test('a condition of 1,000 terms, as deep as it is long, is read whole', t => {
  const keys = when(Array.from({ length: 1000 }, (_, i) => `context.path == "/${i}"`).join(' || '));
  t.notOk(apart(keys, call('/a'), call('/b')));
  t.ok(apart(keys, call('/0'), call('/999')));
  t.end();
});

t.test('no two questions share an exact key, wherever one part ends and the next begins', t => {
  const questions = [
    call('/'),
    call('/', 'GET', 'h 4 path:1 /'),
    call('/ 4 path:1 /'),
    call('/', 'GET 4 host'),
    call(''),
    ask({ method: 'GET', host: 'h' }),
    ask({ method: 'GET', host: 'h', path: 1 }),
    ask({ method: 'GET', host: 'h', path: '1' }),
    ask({ method: 'GET', host: 'h', path: true }),
    ask({ method: 'GET', host: 'h', path: 'true' }),
    ask({ method: 'GET', 'host:1 h 4 path': '/' }),
    ask({ method: 'GET', host: 'h', path: '/' }, 'autogen 3 GET'),
    ask({}, 'autogen'),
    ask({}, 'autoge'),
    call(`/${'a'.repeat(600)}`),
    call(`/${'a'.repeat(601)}`),
  ];
  const keys = questions.map(exactKey);
  t.equal(new Set(keys).size, keys.length);
  for (const key of keys) t.ok(key.length <= 512);
  t.end();
});
