import { readFileSync } from 'node:fs';
import fc from 'fast-check';
import t from 'tap';
import { loadPolicies } from '../../../lib/access/policy/load-policies.ts';
import { nearest } from '../../../lib/access/policy/nearest.ts';
import type { KnownNames } from '../../../lib/access/policy/options.ts';
import { policySchema } from '../../../lib/access/policy/schema.ts';
import { position, splitPolicies } from '../../../lib/access/policy/split-policies.ts';

const open = 'permit(principal, action == Lockwire::Action::"connect", resource)';

async function problemsOf(text: string, known?: KnownNames): Promise<string[]> {
  try {
    await loadPolicies([{ name: 'p.cedar', text }], known);
    return [];
  } catch (error) {
    return String((error as Error).message).split('\n');
  }
}

t.test('docs/policy.cedarschema is the schema that is enforced', async t => {
  const docs = new URL('../../../docs/policy.cedarschema', import.meta.url);
  t.equal(readFileSync(docs, 'utf8'), policySchema);
});

t.test('a policy is known by its @id, else by file and line', async t => {
  const text = `// first\n${open};\n\n@id("named")\n${open};  ${open};\n`;
  const { rules } = await loadPolicies([
    { name: 'a.cedar', text: text.replace(`  ${open};`, '') },
    { name: '/etc/lockwire/b.cedar', text: open.replace('permit', '\n\nforbid').concat(';') },
  ]);
  t.same(
    rules.map(({ id, effect, file, line }) => [id, effect, file, line]),
    [
      ['a.cedar:2', 'permit', 'a.cedar', 2],
      ['named', 'permit', 'a.cedar', 4],
      ['b.cedar:3', 'forbid', '/etc/lockwire/b.cedar', 3],
    ],
  );
});

t.test(
  'an id that is used twice, reserved, empty, too long or invisible is refused with its place',
  async t => {
    const cases: [string, string][] = [
      [
        `@id("a") ${open};\n@id("a") ${open};`,
        `p.cedar:2:1: id 'a' is also that of p.cedar:1; give one of them another @id`,
      ],
      [
        `${open}; ${open};`,
        `p.cedar:1:${open.length + 3}: id 'p.cedar:1' is also that of p.cedar:1; give one of them another @id`,
      ],
      [`@id("default-deny") ${open};`, `p.cedar:1:1: id 'default-deny' is reserved`],
      [`@id("policy-error") ${open};`, `p.cedar:1:1: id 'policy-error' is reserved`],
      [`@id("") ${open};`, 'p.cedar:1:1: id of 1 to 128 visible characters wanted'],
      [`@id("${'x'.repeat(129)}") ${open};`, 'p.cedar:1:1: id of 1 to 128 visible characters wanted'],
      [`@id("a\\u{202e}b") ${open};`, 'p.cedar:1:1: id of 1 to 128 visible characters wanted'],
    ];
    for (const [text, problem] of cases) t.same(await problemsOf(text), [problem]);
    t.same(await problemsOf(`@id("${'x'.repeat(128)}") ${open};`), []);
  },
);

t.test('what the vocabulary does not have is refused with file, line, column and what was meant', async t => {
  const cases: [string, RegExp][] = [
    [
      open.replace('connect', 'conect'),
      /^p\.cedar:2:29: unrecognized action .*did you mean `Lockwire::Action::"connect"`/,
    ],
    [
      `permit(principal is Lockwire::Usr, action, resource)`,
      /^p\.cedar:2:21: unrecognized entity type .*did you mean `Lockwire::User`/,
    ],
    [
      `${open.replace('connect', 'call')} when { context.methd == "x" }`,
      /^p\.cedar:2:\d+: .*`methd`.* not found; did you mean `method`/,
    ],
    [`${open} when { principal.email == "x" }`, /^p\.cedar:2:\d+: /],
    [
      `permit(principal is Lockwire::User, action, resource) when { principal.email == "x" }`,
      /try testing for the attribute's presence/,
    ],
    [`permit(principal == ?principal, action, resource)`, /^p\.cedar:2:21: .*template/],
    [`${open} when {`, /^p\.cedar:2:\d+: /],
    [`permit(principal, action, resource) when { "a" }`, /^p\.cedar:2:\d+: /],
    [
      `forbid(principal, action == Lockwire::Action::"admin", resource is Lockwire::Target)`,
      /^p\.cedar:2:1: unable to find an applicable action/,
    ],
  ];
  for (const [text, problem] of cases) {
    const problems = await problemsOf(`// ünïcödé\n${text};`);
    t.match(problems[0], problem, text);
  }
  t.same(await problemsOf(`// ünïcödé\n${open};`), []);
});

t.test(
  'an id that no request can have is refused: without its issuer, of a source or target that is not configured',
  async t => {
    const known = { sources: ['corp', 'ci'], targets: ['autogen'] };
    const scope = (principal: string, resource = 'resource'): string =>
      `permit(${principal}, action == Lockwire::Action::"message", ${resource});`;
    const cases: [string, RegExp][] = [
      [scope('principal == Lockwire::User::"alice"'), /"alice" can never match: its id is 'issuer\|sub'/],
      [scope('principal == Lockwire::User::"corp|"'), /its id is 'issuer\|sub'/],
      [scope('principal == Lockwire::User::"corp/alice"'), /its id is 'issuer\|sub'/],
      [scope('principal in Lockwire::Group::"devs"'), /its id is 'issuer\/group'/],
      [
        scope('principal in Lockwire::Group::"crop/devs"'),
        /no issuer or certificate authority is called 'crop', did you mean 'corp'/,
      ],
      [scope('principal == Lockwire::Workload::"x|spiffe://a/b"'), /called 'x'$/],
      [
        scope('principal', 'resource == Lockwire::Target::"autogn"'),
        /no target is called 'autogn', did you mean 'autogen'/,
      ],
      [scope('principal', 'resource == Lockwire::AgentType::"writer"'), /its id is 'target\/name'/],
      [scope('principal', 'resource == Lockwire::Tool::"x/y"'), /no target is called 'x'/],
      [`${open} when { principal in Lockwire::Group::"devs" };`, /"devs" can never match/],
      [
        `${open.replace('principal,', 'principal is Lockwire::User,')} when { [Lockwire::User::"alice"].contains(principal) };`,
        /"alice" can never match/,
      ],
    ];
    for (const [text, problem] of cases) {
      const problems = await problemsOf(text, known);
      t.equal(problems.length, 1, problems.join('\n'));
      t.match(problems[0], problem);
      t.match(problems[0], /^p\.cedar:1:\d+: /);
    }
    const good = scope(
      'principal == Lockwire::User::"corp|auth0|x/y"',
      'resource in Lockwire::Target::"autogen"',
    );
    t.same(await problemsOf(good, known), []);
    t.same(
      await problemsOf(scope('principal in Lockwire::Group::"crop/devs"')),
      [],
      'nothing is known of names',
    );
  },
);

t.test('all that is wrong with all files is told at once, in the order of the files', async t => {
  const files = [
    { name: 'b.cedar', text: `@id("x") ${open};\n${open.replace('connect', 'exposee')};\nforbid(` },
    {
      name: 'a.cedar',
      text: `@id("x") ${open};\npermit(principal == Lockwire::User::"a", action, resource);`,
    },
  ];
  const lines = await loadPolicies(files).catch((error: Error) => error.message.split('\n'));
  t.match(lines, [
    /^b\.cedar:2:/,
    /^b\.cedar:3:/,
    /^a\.cedar:1:1: id 'x' is also that of b\.cedar:1/,
    /^a\.cedar:2:/,
  ]);
});

t.test('1,001 policies and a file of 1 MiB and a byte are refused', async t => {
  const many = Array.from({ length: 1001 }, () => `${open};\n`).join('');
  t.match(await problemsOf(many), ['1001 policies, at most 1000 are read']);
  t.match(await problemsOf(' '.repeat(1_048_577)), [/file of 1048577 B, at most 1048576 B/]);
});

t.test('a permit that can never apply is a warning, no error', async t => {
  const { warnings } = await loadPolicies([{ name: 'p', text: `${open} when { false };` }]);
  t.match(warnings, [/^p:1:1: policy is impossible/]);
});

t.test('loading many policies lets others take turns', async t => {
  const many = Array.from({ length: 40 }, () => `${open};\n`).join('');
  let turns = 0;
  let loading = true;
  const count = (): void => {
    turns += 1;
    if (loading) setImmediate(count);
  };
  setImmediate(count);
  await loadPolicies([{ name: 'p', text: many }]);
  loading = false;
  t.ok(turns >= 9, `${turns} turns for 40 policies`);
});

t.test('files are cut into policies past strings, escapes and comments, and nothing is lost', async t => {
  const text = ` // a; b "c\n@x("; \\" ;") permit(principal, action, resource); // end;\n\n forbid(principal, action, resource) when { "//;" == "\\\\" };é`;
  const pieces = splitPolicies(text);
  t.same(
    pieces.map(piece => piece.text.slice(0, 6)),
    ['@x("; ', 'forbid', 'é'],
  );
  for (const { text: piece, startByte } of pieces)
    t.equal(
      Buffer.from(text)
        .subarray(startByte, startByte + Buffer.byteLength(piece))
        .toString(),
      piece,
    );
  t.same(position(text, pieces[1]?.startByte ?? 0), { line: 4, column: 2 });
  t.same(splitPolicies(' // only a comment'), []);
  const afterCr = splitPolicies(`// ends with a CR alone\r${open};\r// another;\r`);
  t.same(
    afterCr.map(piece => piece.text),
    [`${open};`],
    'as in Cedar: the policy behind it is not lost',
  );
  const unended = `"${'\\\\"'.repeat(500_000)}`;
  t.equal(splitPolicies(unended).length, 1, '1.5 MB of quotes without an end are read once');

  fc.assert(
    fc.property(fc.array(fc.constantFrom('"', ';', '//', '\n', ' ', '\\', 'é', 'permit', '\\"')), parts => {
      const source = parts.join('');
      const bytes = Buffer.from(source);
      let at = 0;
      for (const { text: piece, startByte } of splitPolicies(source)) {
        const skipped = bytes.subarray(at, startByte).toString();
        // Between policies there is nothing but white space and comments.
        if (skipped.replace(/\/\/[^\n]*(\n|$)/g, '').trim() !== '') return false;
        at = startByte + Buffer.byteLength(piece);
        if (bytes.subarray(startByte, at).toString() !== piece) return false;
      }
      return (
        bytes
          .subarray(at)
          .toString()
          .replace(/\/\/[^\n]*(\n|$)/g, '')
          .trim() === ''
      );
    }),
  );
});

t.test('a near miss is near', async t => {
  t.equal(nearest('conect', ['call', 'connect']), 'connect');
  t.equal(nearest('DEVS', ['devs', 'dev']), 'devs');
  t.equal(nearest('zzz', ['connect', 'call']), undefined);
});
