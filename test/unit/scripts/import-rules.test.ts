import { spawnSync } from 'node:child_process';
import { copyFileSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { pathToFileURL } from 'node:url';
import t from 'tap';

const root = join(import.meta.dirname, '..', '..', '..');
const empty = 'export {};\n';

/** What each rule must catch: file → its text. Two spellings of a rule's reach are two files. */
const planted: Record<string, Record<string, string>> = {
  'no-loops': {
    'lib/relay/loop-a.ts': "import type { B } from './loop-b.ts';\nexport interface A { b: B }\n",
  },
  'rooms-are-blind': {
    'lib/relay/neighbour.ts': "import type { Ok } from '../tunnel/ok.ts';\nexport type N = Ok;\n",
  },
  'core-imports-nothing': {
    'lib/core/room.ts': "import '../access/ok.ts';\n",
    'lib/core/package.ts': "import 'pino';\n",
    'lib/core/builtin.ts': "import 'node:fs';\n",
  },
  'gen-imports-nothing-of-lib': { 'lib/gen/core.ts': "import '../core/ok.ts';\n" },
  'wire-imports-core-and-gen': { 'lib/wire/room.ts': "import '../access/ok.ts';\n" },
  'wire-is-pure': {
    'lib/wire/socket.ts': "import 'node:net';\n",
    'lib/wire/file.ts': "import 'node:fs/promises';\n",
    'lib/wire/timer.ts': "import 'node:timers';\n",
  },
  'sockets-live-in-transport': {
    'lib/relay/socket.ts': "import 'node:net';\n",
    'lib/gateway-socket.ts': "import 'node:tls';\n",
    'lib/cli/socket.ts': "import 'net';\n",
  },
  'config-opens-no-socket': { 'lib/config/socket.ts': "import 'node:tls';\n" },
  'http-lives-in-observe': {
    'lib/transport/http.ts': "import 'node:http';\n",
    'lib/access/identity/other-get.ts': "import 'node:https';\n",
  },
  'no-other-processes': { 'lib/demo/process.ts': "import 'node:child_process';\n" },
  'rooms-import-down': {
    'lib/store/config.ts': "import type { Ok } from '../config/ok.ts';\nexport type N = Ok;\n",
    'lib/observe/gateway.ts': "import '../gateway.ts';\n",
    'lib/tunnel/live.ts': "import '../gateway-live.ts';\n",
    'lib/relay/leg.ts': "import '../local-leg.ts';\n",
    'lib/transport/side.ts': "import '../tunnel-side.ts';\n",
    'lib/access/command.ts': "import '../cli/ok.ts';\n",
  },
  'config-imports-down': {
    'lib/config/command.ts': "import '../cli/ok.ts';\n",
    'lib/config/gateway.ts': "import '../gateway.ts';\n",
    'lib/config/connect.ts': "import '../connect.ts';\n",
    'lib/config/expose.ts': "import '../expose.ts';\n",
    'lib/config/leg.ts': "import '../local-leg.ts';\n",
    'lib/config/side.ts': "import '../tunnel-side.ts';\n",
  },
  'wiring-imports-down': {
    'lib/gateway-command.ts': "import './cli/ok.ts';\n",
    'lib/some-leg.ts': "import './cli/ok.ts';\n",
  },
  'lib-imports-no-tests': { 'lib/cli/test.ts': "import '../../test/support/ok.ts';\n" },
  'no-dev-dependencies-in-lib': { 'lib/cli/dev.ts': "import 'tap';\n" },
  resolvable: { 'lib/cli/missing.ts': "import './nowhere.ts';\n" },
};

/** What the rules must let through, so that they are not fences around an empty field. */
const honest: Record<string, string> = {
  // Half of the planted loop; a loop is reported once, where it is met first.
  'lib/relay/loop-b.ts': "import type { A } from './loop-a.ts';\nexport interface B { a: A }\n",
  'lib/core/ok.ts': empty,
  'lib/gen/ok.ts': empty,
  'lib/wire/ok.ts': "import '../core/ok.ts';\nimport '../gen/ok.ts';\nimport 'node:buffer';\n",
  'lib/access/ok.ts': "import '../core/ok.ts';\nimport './identity/https-get.ts';\nimport 'jose';\n",
  'lib/access/identity/https-get.ts': "import 'node:https';\n",
  'lib/tunnel/ok.ts': "import '../wire/ok.ts';\nimport 'node:crypto';\nexport interface Ok { ok: true }\n",
  'lib/transport/ok.ts': "import 'node:net';\nimport 'node:tls';\n",
  'lib/observe/ok.ts': "import 'node:http';\nimport 'pino';\n",
  'lib/demo/ok.ts': "import 'node:net';\nimport '@grpc/grpc-js';\n",
  'lib/config/ok.ts':
    "import 'node:net';\nimport '../access/ok.ts';\nimport 'zod';\nexport interface Ok { ok: true }\n",
  'lib/local-leg.ts': empty,
  'lib/tunnel-side.ts': "import './transport/ok.ts';\n",
  'lib/gateway-live.ts': "import './tunnel/ok.ts';\n",
  'lib/gateway.ts': "import './config/ok.ts';\nimport './gateway-live.ts';\nimport './observe/ok.ts';\n",
  'lib/connect.ts': "import './local-leg.ts';\nimport './tunnel-side.ts';\n",
  'lib/expose.ts': "import './local-leg.ts';\n",
  'lib/cli/ok.ts': "import '../gateway.ts';\nimport '../demo/ok.ts';\n",
  'test/support/ok.ts': empty,
};

interface Violation {
  rule: { name: string };
  from: string;
}

function cruise(folder: string): { totalCruised: number; violations: Violation[] } {
  const { stdout, stderr } = spawnSync(
    process.execPath,
    [
      join(root, 'node_modules', 'dependency-cruiser', 'bin', 'dependency-cruiser.mjs'),
      ...['--config', join(root, '.dependency-cruiser.mjs'), '--output-type', 'json', 'lib'],
    ],
    { cwd: folder, encoding: 'utf8', maxBuffer: 64 * 1024 * 1024 },
  );
  if (!stdout.startsWith('{')) throw new Error(`no answer from dependency-cruiser: ${stdout}${stderr}`);
  return (JSON.parse(stdout) as { summary: { totalCruised: number; violations: Violation[] } }).summary;
}

function plant(folder: string, files: Record<string, string>): void {
  for (const [path, text] of Object.entries(files)) {
    mkdirSync(dirname(join(folder, path)), { recursive: true });
    writeFileSync(join(folder, path), text);
  }
}

const folder = mkdtempSync(join(tmpdir(), 'lockwire-imports-'));
t.teardown(() => rmSync(folder, { recursive: true, force: true }));
for (const name of ['package.json', 'tsconfig.json']) copyFileSync(join(root, name), join(folder, name));
symlinkSync(join(root, 'node_modules'), join(folder, 'node_modules'));

plant(folder, honest);
for (const files of Object.values(planted)) plant(folder, files);
const { totalCruised, violations } = cruise(folder);
const caught = new Set(violations.map(({ rule, from }) => `${rule.name}: ${from}`));

t.test('catches a planted fault of every rule, types too', async t => {
  const config = pathToFileURL(join(root, '.dependency-cruiser.mjs')).href;
  const { default: rules } = (await import(config)) as { default: { forbidden: { name: string }[] } };
  for (const { name } of rules.forbidden) {
    const files = Object.keys(planted[name] ?? {});
    t.ok(files.length > 0, `${name} has a planted fault`);
    for (const file of files) t.ok(caught.has(`${name}: ${file}`), `${name} catches ${file}`);
  }
});

t.test('lets files pass that keep every rule', async t => {
  t.ok(totalCruised > Object.keys(honest).length, `${totalCruised} modules were read`);
  const blamed = [...caught].filter(line => Object.keys(honest).some(file => line.endsWith(`: ${file}`)));
  t.strictSame(blamed, []);
});
