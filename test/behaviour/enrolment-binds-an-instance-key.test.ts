import { readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { type Program, run } from '../support/e2e-program.ts';
import { exchange } from '../support/e2e-sockets.ts';
import { dialRaw, makeInstanceKey, type Raw } from '../support/e2e-tunnel.ts';
import { type Gateway, World } from '../support/e2e-world.ts';
import { admin } from '../support/store-admin.ts';

const world = await World.make(t);
const host = await world.host();
const gateway = await world.gateway({ enrolment: 'required' });
const alice = await world.token({ sub: 'alice', groups: ['agents'] });
const mallory = await world.token({ sub: 'mallory', groups: ['agents'] });
const keyFile = (name: string): string => join(world.directory, `${name}.key`);

/** A code as `lockwire enroll` prints it. */
async function enroll(who: string, role = 'connect', more: readonly string[] = []): Promise<string> {
  const asked = ['enroll', '--principal', who, '--role', role, ...more, '--socket', gateway.adminSocket];
  const { code, out, err } = await run(asked);
  if (code !== 0) throw new Error(err);
  return out.trim();
}

function start(to: { port: number }, token: string, name: string, code?: string): Promise<Program> {
  const enrolling = code === undefined ? [] : ['--enroll', code];
  return world.startConnect(to, { token, args: ['--instance-key-file', keyFile(name), ...enrolling] });
}

async function ready(program: Program): Promise<string> {
  return (await program.line(/connect ready on (\S+), target/))[1] ?? '';
}

async function refused(t: Test, program: Program, what: RegExp): Promise<void> {
  const { code } = await program.ended;
  t.equal(code, 1);
  t.match(program.text, what);
}

const serverCode = await enroll('User::corp|server', 'expose', ['--target', 'autogen']);
const expose = await world.expose(gateway, {
  to: host.address,
  args: ['--instance-key-file', keyFile('server'), '--enroll', serverCode],
});

t.test('an instance without a code is refused, with one it gets in, and again without', async t => {
  await refused(t, await start(gateway, alice, 'alice'), /this instance is not enrolled; ask your admin/);
  const code = await enroll('User::corp|alice');
  t.match(code, /^([0-9A-Z]{5}-){3}[0-9A-Z]{5}\.[0-9a-f]{32}$/);
  const first = await start(gateway, alice, 'alice', code);
  t.equal(await exchange(await ready(first), 'enrolled'), 'enrolled');
  const pin = `${keyFile('alice')}.gateway`;
  t.equal(statSync(pin).mode & 0o777, 0o600);
  const { tunnels } = await admin(gateway, 'GET', '/sessions');
  t.same([...new Set(tunnels.map(({ binding }) => binding))], ['bound']);
  await first.kill();
  const second = await start(gateway, alice, 'alice');
  t.equal(await exchange(await ready(second), 'again'), 'again');
  await second.kill();
  const third = await start(gateway, alice, 'alice', code);
  t.equal(await exchange(await ready(third), 'same flags'), 'same flags', 'its own used code does no harm');
  await third.kill();
});

t.test('a code that was used, never was, ran wrong, or is of another gateway binds nobody', async t => {
  const code = await enroll('User::corp|alice');
  const honest = await start(gateway, alice, 'alice-2', code);
  await ready(honest);
  await refused(t, await start(gateway, alice, 'alice-3', code), /the one-time code is not valid/);
  const [, fingerprint] = code.split('.');
  const made = `00000-00000-00000-00000.${fingerprint}`;
  await refused(t, await start(gateway, alice, 'alice-3', made), /the one-time code is not valid/);
  const forAlice = await enroll('User::corp|alice');
  await refused(
    t,
    await start(gateway, mallory, 'mallory', forAlice),
    /is for another principal, role or target/,
  );
  const elsewhere = `${forAlice.split('.')[0]}.${'0'.repeat(32)}`;
  const warned = await start(gateway, alice, 'alice-3', elsewhere);
  await refused(t, warned, /intercepted.*its key is not the one that was pinned/);
  const last = await start(gateway, alice, 'alice-3', forAlice);
  t.equal(await exchange(await ready(last), 'ok'), 'ok', 'the code itself is still good for alice');
  const nonsense = await run(['connect', '--enroll', 'x', '--gateway', 'a:1', '--target', 'b']);
  t.equal(nonsense.code, 2);
  t.match(nonsense.err, /expected the whole code as lockwire enroll printed it/);
  await Promise.all([honest.kill(), last.kill()]);
});

async function raw(token: string, extra: object): Promise<Raw> {
  return dialRaw({ port: gateway.port, ca: world.authority.certPem, role: 'connect', token, ...extra });
}

t.test('a stolen key is worth nothing to another principal, nor a stolen token without the key', async t => {
  const instanceKey = makeInstanceKey();
  const [enrollment = ''] = (await enroll('User::corp|alice', 'connect', ['--target', 'autogen'])).split('.');
  const honest = await raw(alice, { instanceKey, enrollment });
  await t.rejects(raw(mallory, { instanceKey }), { message: /bound to another principal, role or target/ });
  await t.rejects(raw(alice, { instanceKey: makeInstanceKey() }), {
    message: /this instance is not enrolled/,
  });
  await t.rejects(
    dialRaw({
      port: gateway.port,
      ca: world.authority.certPem,
      token: await world.token({ sub: 'alice', groups: ['hosts'] }),
      role: 'expose',
      target: 'autogen',
      instanceKey,
    }),
    { message: /bound to another principal, role or target/ },
    'nor for another role',
  );
  t.match(await honest.open('plain').untilClosed(), {
    code: 'denied',
    text: /enrolled for target autogen only/,
  });
  const stream = honest.open('autogen');
  await stream.send(Buffer.from('mine'));
  await stream.untilReceived(4);
  t.equal(honest.session.state, 'open', 'the honest one goes on');
  const { tunnels } = await admin(gateway, 'GET', '/sessions');
  const own = tunnels.find(({ session }) => session === honest.welcome.session);
  await admin(gateway, 'POST', '/enrolments/remove', { instance: own!.instance });
  t.match(await honest.closed, { code: 'revoked', text: /not enrolled any more/ });
  t.ok(expose.program.alive);
});

t.test('where enrolment is optional the same stranger gets in, and is listed as unbound', async t => {
  const open = await world.gateway();
  const stranger = await dialRaw({
    port: open.port,
    ca: world.authority.certPem,
    role: 'connect',
    token: alice,
  });
  const { tunnels } = await admin(open, 'GET', '/sessions');
  t.match(tunnels, [{ binding: 'unbound', principal: 'User::corp|alice' }]);
  stranger.session.close({ code: 'done', text: '' });
});

t.test(
  'a pinned instance refuses another gateway of the same certificate, and follows a signed rotation',
  async t => {
    const code = await enroll('User::corp|alice');
    const first = await start(gateway, alice, 'alice-4', code);
    await ready(first);
    await first.kill();
    const impostor: Gateway = await world.gateway();
    const pin = `${keyFile('alice-4')}.gateway`;
    const before = readFileSync(pin, 'utf8');
    await refused(
      t,
      await start(impostor, alice, 'alice-4'),
      /intercepted.*its key is not the one that was pinned/,
    );
    t.notOk(
      impostor.program.logs.some(({ msg }) => msg === 'tunnel up'),
      'which saw no token',
    );
    for (let i = 0; i < 2; i += 1) await admin(gateway, 'POST', '/rotate-key', {});
    const second = await start(gateway, alice, 'alice-4');
    t.equal(await exchange(await ready(second), 'followed'), 'followed', 'two rotations later');
    t.not(readFileSync(pin, 'utf8'), before, 'and the new key is pinned');
    await second.kill();
    const third = await start(gateway, alice, 'alice-4', code);
    t.equal(await exchange(await ready(third), 'ok'), 'ok', 'also with the old code still among its flags');
    await third.kill();
  },
);
