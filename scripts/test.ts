// Runs tap and prints what a person needs: a line a file, each failure in full, and last the plain count.
// Usage: node scripts/test.ts [tap arguments or test files]
import { spawn } from 'node:child_process';
import { statSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { type FinalResults, Parser, type Result } from 'tap-parser';

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const tap = join(root, 'node_modules', 'tap', 'dist', 'esm', 'run.mjs');

let passed = 0;
let failed = 0;
let skipped = 0;

function report(path: string, result: Result): void {
  if (result.skip || result.todo) skipped += 1;
  else if (result.ok) passed += 1;
  else {
    failed += 1;
    const detail = result.diag ? JSON.stringify(result.diag, null, 2) : '';
    process.stdout.write(`  FAILED ${path} > ${result.name}\n${detail}\n`);
  }
}

/** Counts assertions of a file and of its subtests; a parent's own line for a subtest is not counted twice. */
function follow(parser: Parser, path: string): void {
  parser.on('child', (child: Parser) => follow(child, path ? `${path} > ${child.name}` : child.name));
  parser.on('assert', (result: Result) => {
    if (!isSubtestLine(result)) report(path, result);
    else if (!path)
      process.stdout.write(`${result.ok ? 'ok    ' : 'FAILED'} ${result.name}${took(result)}\n`);
    else if (!result.ok && result.diag?.error) report(path, result);
  });
  parser.on('bailout', (reason: string) => {
    failed += 1;
    process.stdout.write(`  BAILED OUT ${path}: ${reason}\n`);
  });
}

function isSubtestLine(result: Result): boolean {
  return result.name !== '' && 'time' in result && result.time !== null;
}

function took(result: Result): string {
  return result.time ? ` (${(result.time / 1000).toFixed(1)} s)` : '';
}

/** tap takes files and globs; people name folders too. */
function expand(argument: string): string {
  const folder = statSync(join(root, argument), { throwIfNoEntry: false })?.isDirectory();
  return folder ? `${argument.replace(/\/$/, '')}/**/*.test.ts` : argument;
}

const child = spawn(process.execPath, [tap, 'run', '--reporter=tap', ...process.argv.slice(2).map(expand)], {
  cwd: root,
  stdio: ['ignore', 'pipe', 'inherit'],
});
const parser = new Parser();
follow(parser, '');
const outcome = new Promise<FinalResults>(resolve => parser.on('complete', resolve));
child.stdout.pipe(parser);
const [status, results] = await Promise.all([
  new Promise<number>(resolve => child.on('close', code => resolve(code ?? 1))),
  outcome,
]);
if (!results.ok && failed === 0) failed = Math.max(1, results.fail);
if (passed === 0 && failed === 0) {
  process.stdout.write('no test ran\n');
  failed = 1;
}
process.stdout.write(`${passed} passed, ${failed} failed${skipped > 0 ? `, ${skipped} skipped` : ''}\n`);
process.exitCode = failed > 0 || status !== 0 ? 1 : 0;
