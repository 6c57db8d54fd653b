import { isAuthorized, type PatternElem, policyToJson } from '@cedar-policy/cedar-wasm/nodejs';
import fc from 'fast-check';
import t from 'tap';
import { likePattern } from '../../../lib/access/policy/like-pattern.ts';

/** Texts of few different characters, so that patterns fit now and then: two of the same half, a star, a line break. */
const character = fc.constantFrom('a', 'b', '/', '*', '\\', '"', '\n', '\0', 'é', 'e\u0301', '😀', '😁', 'A');
const text = fc.string({ unit: character, maxLength: 8 });
/** As written between quotes: stars are wild, or escaped. */
const written = fc
  .array(
    fc.oneof(
      fc.constant('*'),
      character.map(one => (one === '*' ? '\\*' : escaped(one))),
    ),
    { maxLength: 8 },
  )
  .map(parts => parts.join(''));

function escaped(one: string): string {
  const known: Record<string, string> = { '\\': '\\\\', '"': '\\"', '\n': '\\n', '\0': '\\0' };
  return known[one] ?? one;
}

function policyOf(pattern: string): string {
  return `permit(principal, action, resource) when { context.text like "${pattern}" };`;
}

/** The pattern as the loader reads it. */
function patternOf(pattern: string): readonly PatternElem[] {
  const answer = policyToJson(policyOf(pattern));
  const body = answer.type === 'success' ? answer.json.conditions[0]?.body : undefined;
  if (body === undefined || !('like' in body)) throw new Error(`no pattern: ${JSON.stringify(answer)}`);
  return (body as { like: { pattern: readonly PatternElem[] } }).like.pattern;
}

function cedarSays(pattern: string, value: string): boolean {
  const one = { type: 'T', id: 'x' };
  const answer = isAuthorized({
    principal: one,
    action: { type: 'Action', id: 'a' },
    resource: one,
    context: { text: value },
    policies: { staticPolicies: { p: policyOf(pattern) } },
    entities: [],
  });
  if (answer.type === 'failure' || answer.response.diagnostics.errors.length > 0)
    throw new Error(JSON.stringify(answer));
  return answer.response.decision === 'allow';
}

t.test('1,500 patterns and texts fit, or do not, as Cedar says', t => {
  let fitting = 0;
  fc.assert(
    fc.property(written, text, (pattern, value) => {
      const fits = likePattern(patternOf(pattern))(value);
      if (fits) fitting += 1;
      t.equal(fits, cedarSays(pattern, value), JSON.stringify([pattern, value]));
      return t.passing();
    }),
    { numRuns: 1500 },
  );
  t.ok(fitting > 100, `${fitting} fit`);
  t.end();
});

t.test('ends may not share a character, a run is found where the next still has room, case counts', t => {
  const cases: [string, string, boolean][] = [
    ['', '', true],
    ['', 'a', false],
    ['*', '', true],
    ['***', 'any\nthing', true],
    ['aba*aba', 'aba', false],
    ['aba*aba', 'ababa', false],
    ['aba*aba', 'abaaba', true],
    ['a*b*b', 'ab', false],
    ['a*b*b', 'abb', true],
    ['*ab*ab*', 'aab', false],
    ['*ab*ab*', 'abab', true],
    ['/v1/\\*', '/v1/*', true],
    ['/v1/\\*', '/v1/x', false],
    ['/v1/*', '/v1', false],
    ['/v1/*', '/v1/', true],
    ['/V1/*', '/v1/x', false],
    ['*😀', '😁😀', true],
    ['\\u{1F600}*', '😀', true],
  ];
  for (const [pattern, value, fits] of cases) {
    t.equal(likePattern(patternOf(pattern))(value), fits, `${pattern} ${value}`);
    t.equal(cedarSays(pattern, value), fits);
  }
  t.end();
});
