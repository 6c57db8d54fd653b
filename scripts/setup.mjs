// Makes a fresh clone ready: dependencies (which carry Node 26), tap's plugins, and a check of the Node that
// package scripts will run on. Plain JavaScript for Node 18 and newer, since the machine's own Node runs it.
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, lstatSync, readFileSync, realpathSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const modules = join(root, 'node_modules');
/** What is there: a line for the packages, one for the test runner's plugins. */
const stamp = join(modules, '.lockwire-setup');

function hash(file) {
  return createHash('sha256')
    .update(readFileSync(join(root, file)))
    .digest('hex');
}

/** Only the plugins: how long a test may take is no reason to build anything. */
function pluginHash() {
  const plugins = /^plugin:\n(?:[ \t]+.*\n)*/m.exec(readFileSync(join(root, '.taprc'), 'utf8'));
  return createHash('sha256')
    .update(plugins?.[0] ?? '')
    .digest('hex');
}

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

/** `npm ci` empties what such a link points to, under the feet of whoever else uses it. */
function refuseLink() {
  if (!lstatSync(modules, { throwIfNoEntry: false })?.isSymbolicLink()) return;
  const target = existsSync(modules) ? realpathSync(modules) : 'nothing';
  process.stderr.write(
    `lockwire: node_modules is a link to ${target}, which does not hold what package-lock.json says; ` +
      'set up there, or remove the link\n',
  );
  process.exit(1);
}

const wanted = { packages: hash('package-lock.json'), plugins: pluginHash() };
const [packages, plugins] = existsSync(stamp) ? readFileSync(stamp, 'utf8').split('\n') : [];
if (packages !== wanted.packages) {
  refuseLink();
  run('installing dependencies (once; about 30 s)', 'npm', [
    'ci',
    '--ignore-scripts',
    '--no-audit',
    '--no-fund',
    '--loglevel=error',
  ]);
  checkNode();
}
if (packages !== wanted.packages || plugins !== wanted.plugins) {
  // Without this the first test run would load tap's default plugins and find no test.
  run('building the test runner (once; about 10 s)', bundledNode(), [
    join(modules, 'tap', 'dist', 'esm', 'run.mjs'),
    'build',
  ]);
  writeFileSync(stamp, `${wanted.packages}\n${wanted.plugins}\n`);
}
checkNode();
