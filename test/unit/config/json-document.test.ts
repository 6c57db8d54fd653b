import t from 'tap';
import { JsonDocument } from '../../../lib/config/json-document.ts';
import { formatProblem } from '../../../lib/config/problem.ts';

function lines(document: JsonDocument): string[] {
  return document.problems.map(formatProblem);
}

t.test('comments, trailing commas and a byte order mark are taken', async t => {
  const document = new JsonDocument('f', '\uFEFF// why\n{ "a": [1, /* two */ 2,], }\n');
  t.strictSame(document.value, { a: [1, 2] });
  t.strictSame(lines(document), []);
});

t.test(
  'a problem stands at its value, a missing one at what would hold it, an unknown one at its key',
  async t => {
    const document = new JsonDocument('f', '{\n  "a": {\n    "b": 1\n  },\n  "c": [ 1, { "d": "x" } ]\n}');
    document.error(['c', 1, 'd'], { message: 'bad' });
    document.error(['a', 'missing'], { message: 'missing' });
    document.keyError(['a'], 'b', { message: 'unknown key' });
    document.warn([], { message: 'all of it' });
    t.strictSame(lines(document), [
      'f:1:1: warning: all of it',
      'f:2:8 a.missing: missing',
      'f:3:5 a.b: unknown key',
      'f:5:20 c[1].d: bad; value "x"',
    ]);
    t.ok(document.failed);
    t.ok(document.has(['c', 1, 'd']));
    t.notOk(document.has(['c', 2]));
    t.notOk(document.has(['a', 0]));
  },
);

t.test('syntax errors say where, and at most ten of them', async t => {
  t.strictSame(lines(new JsonDocument('f', '{ "a": }')), ['f:1:8: not JSON: ValueExpected']);
  t.strictSame(lines(new JsonDocument('f', '')).length, 1);
  const rubbish = new JsonDocument('f', '?'.repeat(5000));
  t.ok(rubbish.failed && rubbish.problems.length <= 10);
  t.equal(rubbish.value, undefined);
});

t.test('a key that stands twice is an error, wherever it is', async t => {
  const document = new JsonDocument('f', '{"a": 1, "b": [{"c": 1, "c": 2}], "a": 2}');
  t.strictSame(lines(document), ['f:1:25 b[0].c: the key stands twice', 'f:1:35 a: the key stands twice']);
});

t.test('__proto__ is an unknown key and pollutes nothing', async t => {
  const document = new JsonDocument('f', '{"__proto__": {"polluted": true}}');
  t.strictSame(lines(document), ['f:1:2 __proto__: unknown key']);
  t.equal((document.value as Record<string, unknown>).polluted, undefined);
  t.equal(({} as Record<string, unknown>).polluted, undefined);
});

t.test('32 levels of nesting are read, 33 and 300,000 are refused', async t => {
  const nested = (depth: number): string => '['.repeat(depth) + ']'.repeat(depth);
  t.notOk(new JsonDocument('f', nested(32)).failed);
  t.strictSame(lines(new JsonDocument('f', nested(33))), ['f:1:33: nested deeper than 32 levels']);
  t.ok(new JsonDocument('f', '{"a":'.repeat(300_000)).failed);
});
