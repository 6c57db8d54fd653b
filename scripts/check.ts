// The house rules: format and lint, types, import rules, unused code, generated files. Stops at none; says all.
import { spawnSync } from 'node:child_process';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { supplyChainFaults } from './licences.ts';

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const bin = (name: string): string => join(root, 'node_modules', '.bin', name);
let failures = 0;

function check(title: string, command: string, args: string[], verdict?: (output: string) => string): void {
  const result = spawnSync(command, args, { cwd: root, encoding: 'utf8', maxBuffer: 64 * 1024 * 1024 });
  const complaint =
    result.status === 0 ? (verdict?.(result.stdout) ?? '') : `exit ${result.status ?? result.signal}`;
  process.stdout.write(`${complaint ? 'FAILED' : 'ok    '} ${title}\n`);
  if (!complaint) return;
  failures += 1;
  process.stdout.write(
    `${complaint}\n${verdict && result.status === 0 ? '' : result.stdout}${result.stderr}\n`,
  );
}

function verdictOf(title: string, faults: string[]): void {
  process.stdout.write(`${faults.length > 0 ? 'FAILED' : 'ok    '} ${title}\n`);
  if (faults.length === 0) return;
  failures += 1;
  process.stdout.write(`${faults.join('\n')}\n`);
}

/** dependency-cruiser passes happily when it could read nothing: that must fail. */
function cruised(output: string): string {
  const { summary } = JSON.parse(output) as {
    summary: { totalCruised: number; violations: { from: string; to: string; rule: { name: string } }[] };
  };
  if (summary.totalCruised < 10) return `read only ${summary.totalCruised} modules`;
  return summary.violations.map(({ rule, from, to }) => `${rule.name}: ${from} -> ${to}`).join('\n');
}

check('format and lint', bin('biome'), ['check', '--error-on-warnings', '--diagnostic-level=warn']);
check('types', bin('tsc'), ['-p', 'tsconfig.json']);
check(
  'import rules',
  bin('depcruise'),
  ['--config', '.dependency-cruiser.mjs', '--output-type', 'json', 'lib'],
  cruised,
);
check('unused code', bin('knip'), ['--no-progress']);
check('generated files', process.execPath, [join('scripts', 'generate.ts'), '--check']);
verdictOf('licences and sources of packages', supplyChainFaults(root));
process.stdout.write(failures === 0 ? 'all checks passed\n' : `${failures} checks failed\n`);
process.exitCode = failures === 0 ? 0 : 1;
