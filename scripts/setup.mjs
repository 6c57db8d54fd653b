// Makes a fresh clone ready: dependencies (which carry Node 26), tap's plugins, and a check of the Node that
// package scripts will run on. Plain JavaScript for Node 18 and newer, since the machine's own Node runs it.
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const stamp = join(root, 'node_modules', '.lockwire-setup');
const wanted = createHash('sha256')
  .update(readFileSync(join(root, 'package-lock.json')))
  .update(readFileSync(join(root, '.taprc')))
  .digest('hex');

function run(title, command, args) {
  process.stderr.write(`lockwire: ${title}\n`);
  const started = Date.now();
  // npm is a shell script on Windows; everywhere else no shell is needed.
  const shell = process.platform === 'win32';
  const { status, error } = spawnSync(command, args, { cwd: root, stdio: ['ignore', 2, 2], shell });
  if (error || status !== 0) {
    const why = error ? error.message : `exit ${status}`;
    process.stderr.write(`lockwire: '${command} ${args.join(' ')}' failed: ${why}\n`);
    process.exit(1);
  }
  process.stderr.write(`lockwire: ${title}: done in ${((Date.now() - started) / 1000).toFixed(1)} s\n`);
}

function bundledNode() {
  const path = join(root, 'node_modules', '.bin', process.platform === 'win32' ? 'node.cmd' : 'node');
  return existsSync(path) ? path : process.execPath;
}

function checkNode() {
  const { stdout } = spawnSync(bundledNode(), ['--version'], { encoding: 'utf8' });
  const version = (stdout ?? '').trim();
  const [major = 0, minor = 0] = version.replace(/^v/, '').split('.').map(Number);
  if (major > 26 || (major === 26 && minor >= 8)) return;
  process.stderr.write(
    `lockwire: needs Node 26.8 or newer, found ${version || 'none'} on ${process.platform}-${process.arch}; ` +
      `npm carries one for linux and macOS, elsewhere install Node 26 and put it on PATH\n`,
  );
  process.exit(1);
}

const installed = existsSync(stamp) ? readFileSync(stamp, 'utf8').trim() : '';
if (installed !== wanted) {
  run('installing dependencies (once; about 30 s)', 'npm', [
    'ci',
    '--ignore-scripts',
    '--no-audit',
    '--no-fund',
    '--loglevel=error',
  ]);
  checkNode();
  // Without this the first test run would load tap's default plugins and find no test.
  run('building the test runner (once; about 10 s)', bundledNode(), [
    join(root, 'node_modules', 'tap', 'dist', 'esm', 'run.mjs'),
    'build',
  ]);
  writeFileSync(stamp, `${wanted}\n`);
}
checkNode();
