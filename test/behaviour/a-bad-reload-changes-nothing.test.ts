import { readFileSync, writeFileSync } from 'node:fs';
import t from 'tap';
import { run } from '../support/e2e-program.ts';
import { exchange, talk } from '../support/e2e-sockets.ts';
import { usualPolicy, World } from '../support/e2e-world.ts';
import { outcome, policyFile, rewriteConfig } from '../support/store-reload.ts';

const world = await World.make(t);
const host = await world.host();
const gateway = await world.gateway();
await world.expose(gateway, { to: host.address });
const connect = await world.connect(gateway);
const live = talk(connect.address);
const bad = 'the new config is no good: the old one stays in force';
const policy = policyFile(world, gateway);
const reload = () => run(['reload', '--socket', gateway.adminSocket]);

async function stillServes(what: string): Promise<void> {
  const before = live.bytes;
  live.write('12345');
  await live.received(before + 5);
  t.equal(await exchange(connect.address, what), what);
}

t.test('each kind of bad config is refused whole, says where and why, and traffic goes on', async t => {
  const good = gateway.config.slice(world.directory.length + 1);
  const rewrite = (change: Parameters<typeof rewriteConfig>[2]) => rewriteConfig(world, gateway, change);
  const cases: [string, () => void, RegExp][] = [
    ['no JSON', () => void world.file(good, '{ "listeners": ['), /gateway-1\.json:1/],
    [
      'a setting that is none',
      () => rewrite(config => void Object.assign(config, { limits: { sesions: 5 } })),
      /limits.*did you mean "sessions"/s,
    ],
    ['a policy with a slip', () => void world.file(policy, 'permit (principal, action, resuorce);'), /cedar/],
    [
      'a policy for a target that is none',
      () =>
        void world.file(
          policy,
          `@id("x") permit (principal, action, resource == Lockwire::Target::"autogenn");`,
        ),
      /autogenn/,
    ],
    ['a key of another certificate', () => void world.file('gateway.key', world.authority.keyPem), /key/],
    ['keys that are none', () => void world.file('issuer.jwks.json', '{"keys": []}'), /key set without keys/],
    [
      'another port',
      () => rewrite(config => void Object.assign(Object(config.listeners)[0], { bind: '127.0.0.1:1' })),
      /needs a restart, so nothing of it was taken: bind of listener public from 127\.0\.0\.1:0 to 127\.0\.0\.1:1/,
    ],
    [
      'another store',
      () => rewrite(config => void Object.assign(config, { store: { path: './elsewhere' } })),
      /needs a restart.*store\.path/,
    ],
  ];
  const files = [gateway.config, `${world.directory}/${policy}`];
  files.push(`${world.directory}/gateway.key`, `${world.directory}/issuer.jwks.json`);
  const whole = files.map(file => [file, readFileSync(file, 'utf8')] as const);
  for (const [name, spoil, what] of cases) {
    const after = gateway.program.logs.length;
    spoil();
    const said = await outcome(gateway, after);
    t.equal(said.msg, bad, name);
    t.match(said.detail, what, name);
    const asked = await reload();
    t.equal(asked.code, 2, 'lockwire reload says so too');
    t.match(asked.err, what);
    await stillServes(name);
    for (const [file, text] of whole) writeFileSync(file, text);
    t.equal((await reload()).code, 0, 'and it is taken once it is put right');
  }
});

t.test('the same complaint is said once, however often it is met; another one is said', async t => {
  const after = gateway.program.logs.length;
  const complaints = () => gateway.program.logs.slice(after).filter(({ msg }) => msg === bad);
  world.file(policy, 'permit (nobody);');
  await outcome(gateway, after);
  for (let i = 0; i < 3; i += 1) t.equal((await reload()).code, 2);
  t.equal(complaints().length, 1);
  world.file(policy, 'forbid (anybody);');
  await gateway.program.until(() => complaints().length === 2, 'the other complaint');
  world.file(policy, usualPolicy);
  gateway.program.signal('SIGHUP');
  await gateway.program.logged(({ msg }) => msg === 'config reloaded', 'a good reload', after);
  await stillServes('in the end');
});
