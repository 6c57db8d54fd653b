import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { supplyChainFaults } from '../../../scripts/licences.ts';

const root = join(import.meta.dirname, '..', '..', '..');

interface Row {
  version: string;
  license?: string;
  resolved?: string;
  integrity?: string;
  dev?: boolean;
}

const integrity = 'sha512-AAAA';
const good: Row = { version: '1.0.0', license: 'MIT', integrity };

function faultsOf(t: Test, rows: Record<string, Row>, dependencies: Record<string, string> = {}): string[] {
  const folder = mkdtempSync(join(tmpdir(), 'lockwire-licences-'));
  t.teardown(() => rmSync(folder, { recursive: true, force: true }));
  const many = Object.fromEntries(
    Array.from({ length: 10 }, (_, index) => [`node_modules/good-${index}`, good] as const),
  );
  writeFileSync(
    join(folder, 'package-lock.json'),
    JSON.stringify({ packages: { '': {}, ...many, ...rows } }),
  );
  writeFileSync(join(folder, 'package.json'), JSON.stringify({ dependencies, optionalDependencies: {} }));
  return supplyChainFaults(folder);
}

t.test('finds nothing wrong with this project', async t => {
  t.strictSame(supplyChainFaults(root), []);
});

t.test('takes MIT, a choice of which one is permissive, and what only development uses', async t => {
  t.strictSame(
    faultsOf(t, {
      'node_modules/choice': { ...good, license: '(GPL-3.0 OR MIT)' },
      'node_modules/both': { ...good, license: 'MIT AND ISC' },
      'node_modules/dev': { ...good, license: 'LGPL-3.0', dev: true },
      'node_modules/from-npm': {
        ...good,
        resolved: 'https://registry.npmjs.org/from-npm/-/from-npm-1.0.0.tgz',
      },
    }),
    [],
  );
});

t.test('refuses a licence that is not permissive, or none', async t => {
  const faults = faultsOf(t, {
    'node_modules/copyleft': { ...good, license: 'AGPL-3.0' },
    'node_modules/half': { ...good, license: 'MIT AND GPL-2.0' },
    'node_modules/nothing': { version: '1.0.0', integrity },
  });
  t.equal(faults.length, 3);
  t.match(faults[0], /copyleft 1.0.0: licence "AGPL-3.0"/);
});

t.test('refuses a package from elsewhere, without integrity, or of a loose version', async t => {
  const faults = faultsOf(
    t,
    {
      'node_modules/elsewhere': { ...good, resolved: 'https://registry.npmjs.org.evil.example/x.tgz' },
      'node_modules/git': { ...good, resolved: 'git+ssh://git@example.com/x.git' },
      'node_modules/unsigned': { version: '1.0.0', license: 'MIT' },
    },
    { loose: '^1.0.0' },
  );
  t.equal(faults.length, 4);
});

t.test('refuses a lock file in which it can read nothing', async t => {
  const folder = mkdtempSync(join(tmpdir(), 'lockwire-licences-'));
  t.teardown(() => rmSync(folder, { recursive: true, force: true }));
  writeFileSync(join(folder, 'package-lock.json'), '{"packages": {}}');
  writeFileSync(join(folder, 'package.json'), '{"dependencies": {}, "optionalDependencies": {}}');
  t.match(supplyChainFaults(folder)[0], /read only 0 packages/);
});
