import { chmodSync, readdirSync, readFileSync, renameSync, statSync } from 'node:fs';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { silentLog } from '../../lib/core/ports.ts';
import { startAutogenHost } from '../../lib/demo/autogen-host.ts';
import { type Program, run } from '../support/e2e-program.ts';
import { World } from '../support/e2e-world.ts';

const world = await World.make(t);
const directory = join(world.directory, 'dev');
const free = ['--listen', '127.0.0.1:0', '--gateway', '127.0.0.1:0'];

async function startUp(args: readonly string[]): Promise<{ up: Program; connect: string; gateway: string }> {
  const up = world.program(['up', ...args]);
  await up.line(/DEVELOPMENT ready/);
  const [, connect = ''] = await up.line(/^ {2}connect {3}(\S+)/);
  const [, gateway = ''] = await up.line(/^ {2}gateway {3}(\S+)/);
  return { up, connect, gateway };
}

async function saysOneLine(t: Test, args: readonly string[], what: RegExp): Promise<void> {
  const { code, out, err } = await run(args);
  t.equal(code, 2, `exit 2: ${err}`);
  t.equal(out, '');
  t.equal(err.split('\n').length, 1, `one line: ${err}`);
  t.match(err, what);
}

t.test('up: try passes through it, its files are private, its like is told, SIGTERM drains it', async t => {
  const { up, connect, gateway } = await startUp([...free, '--directory', directory]);
  const tried = await run(['try', connect, '--rpcs', '20', '--publishes', '20']);
  t.equal(tried.code, 0, tried.err);
  t.match(tried.out, /20 RPCs/);

  const elsewhere = join(world.directory, 'other');
  await Promise.all([
    saysOneLine(
      t,
      ['up', ...free, '--directory', directory],
      /another lockwire up is running with .+dev: stop it/,
    ),
    saysOneLine(
      t,
      ['up', '--listen', connect, '--gateway', '127.0.0.1:0', '--directory', elsewhere],
      /is in use; .* choose another with --listen/,
    ),
    saysOneLine(
      t,
      ['up', '--listen', '127.0.0.1:0', '--gateway', gateway, '--directory', `${elsewhere}-2`],
      /is in use; choose another with --gateway/,
    ),
  ]);

  t.equal(statSync(directory).mode & 0o777, 0o700);
  t.equal(readFileSync(join(directory, '.gitignore'), 'utf8'), '*\n', 'git takes nothing of it');
  const open: string[] = [];
  for (const entry of readdirSync(directory, { recursive: true, withFileTypes: true })) {
    const path = join(entry.parentPath, entry.name);
    if ((statSync(path).mode & 0o077) !== 0) open.push(path);
  }
  t.same(open, [], 'nothing in it is open to other users');

  const still = await run(['try', connect, '--rpcs', '5', '--publishes', '5']);
  t.equal(still.code, 0, 'the three that failed took nothing away');
  up.signal('SIGTERM');
  t.same(await up.ended, { code: 0, signal: null }, up.text);
  const gone = await run(['try', connect, '--rpcs', '1', '--publishes', '1']);
  t.equal(gone.code, 1, 'nothing serves there any more');
});

t.test('a gateway refuses the development material of up: certificate and issuer', async t => {
  const refused = await run(['gateway', '--config', join(directory, 'gateway.json')]);
  t.equal(refused.code, 2);
  t.match(refused.err, /listeners\[0\]\.tls\.cert: the certificate was made by lockwire up for development/);
  t.match(refused.err, /identity\.issuers\[0\]\.issuer: the issuer was made by lockwire up for development/);
});

t.test('a key that others may read, or that is missing, is one line that says what to do', async t => {
  const key = join(directory, 'keys', 'gateway.key');
  const args = ['up', ...free, '--directory', directory];
  chmodSync(key, 0o644);
  await saysOneLine(t, args, /gateway\.key can be read by other users \(0644\): chmod 600 \S+gateway\.key$/);
  chmodSync(key, 0o600);
  renameSync(key, `${key}.away`);
  await saysOneLine(t, args, /gateway\.key is missing: remove \S+ and it is made anew/);
  renameSync(`${key}.away`, key);
  const { up } = await startUp([...free, '--directory', directory]);
  up.signal('SIGINT');
  t.same(await up.ended, { code: 0, signal: null }, 'put right, it starts; SIGINT ends it too');
});

t.test('up --to goes before a host that runs already', async t => {
  const host = await startAutogenHost({ address: '127.0.0.1:0', log: silentLog });
  t.teardown(() => host.close());
  const args = [...free, '--to', host.address, '--directory', join(world.directory, 'to')];
  const { up, connect } = await startUp(args);
  const tried = await run(['try', connect, '--rpcs', '5', '--publishes', '5']);
  t.equal(tried.code, 0, tried.err);
  up.signal('SIGTERM');
  t.same(await up.ended, { code: 0, signal: null });
});

t.test('addresses that make no sense are refused before anything is made', async t => {
  const never = ['--directory', join(world.directory, 'never')];
  const cases: readonly (readonly [readonly string[], RegExp])[] = [
    [
      ['--listen', '127.0.0.1:50051', '--to', '127.0.0.1:50051'],
      /--to and --listen are both 127\.0\.0\.1:50051/,
    ],
    [['--listen', '0.0.0.0:50051'], /is not loopback/],
    [['--gateway', '0.0.0.0:8443'], /loopback only/],
    [['--to', '10.0.0.1:50051'], /is not loopback/],
    [['--to', '127.0.0.1:8443'], /is the gateway's own address/],
    [['--listen', 'nonsense'], /expected 127\.0\.0\.1:PORT/],
  ];
  await Promise.all(cases.map(([args, what]) => saysOneLine(t, ['up', ...args, ...never], what)));
  t.throws(() => statSync(join(world.directory, 'never')), { code: 'ENOENT' });
});
