import { once } from 'node:events';
import { existsSync, readdirSync } from 'node:fs';
import { type AddressInfo, createServer } from 'node:net';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { type Part, parts } from '../../lib/doctor-report.ts';
import { writePin } from '../../lib/store/gateway-pin.ts';
import { type DoctorSettings, doctor, runDoctor, type Told } from '../support/doctor-run.ts';
import { startBox } from '../support/e2e-inspection-box.ts';
import { run } from '../support/e2e-program.ts';
import { exchange, startHost, talk } from '../support/e2e-sockets.ts';
import { dialRaw } from '../support/e2e-tunnel.ts';
import { makeIssuer, World } from '../support/e2e-world.ts';
import { startForwardProxy } from '../support/loopback-forward-proxy.ts';
import { makeAuthority } from '../support/transport-certificates.ts';

const world = await World.make(t);
const host = await world.host();
const gateway = await world.gateway({
  targets: [
    { name: 'autogen', protocol: 'tcp', exclusive: true, via: 'tunnel' },
    { name: 'rpc', dialect: 'autogen-rpc', via: 'tunnel' },
    { name: 'shared', protocol: 'tcp', via: 'tunnel' },
    { name: 'nobody', protocol: 'tcp', via: 'tunnel' },
    { name: 'down', protocol: 'tcp', via: 'tunnel' },
    { name: 'gone', protocol: 'tcp', dial: 'tls://127.0.0.1:1', serverNames: ['gone.example'] },
  ],
  certificates: [{ name: 'workloads', ca: 'ca.pem' }],
  tls: { clientCertificates: 'optional' },
});
const away = await startHost();
await away.close();
const [honest] = await Promise.all([
  world.connect(gateway, { target: 'shared' }),
  world.expose(gateway, { to: host.address }),
  world.expose(gateway, { target: 'rpc', to: host.address }),
  world.expose(gateway, { target: 'shared', to: host.address }),
  world.expose(gateway, { target: 'down', to: away.address }),
]);

const agent = await world.token({ sub: 'alice', groups: ['agents'] });
const server = await world.token({ sub: 'server', groups: ['hosts'] });
const usual: DoctorSettings = { role: 'connect', gateway: `127.0.0.1:${gateway.port}`, token: agent };

/** Each part before `first` is in order or needs no looking at, each behind it was not looked at. */
function names(t: Test, told: Told, first: Part | null): void {
  t.equal(told.first, first, told.text);
  t.strictSame([...told.parts.keys()], parts, 'each part has its line');
  const at = first === null ? parts.length : parts.indexOf(first);
  for (const [index, part] of parts.entries()) {
    const state = told.parts.get(part)?.state;
    if (index < at) t.not(state, 'failed', part);
    else if (index === at) t.equal(state, 'failed', part);
    else t.not(state, 'failed', `${part}: one failure is named, not its consequences`);
  }
  if (first !== null) t.match(told.parts.get(first)?.advice, /^\S.{20,}[^ ]$/, 'it says what to do');
  for (const token of [agent, server]) {
    for (const piece of token.split('.').slice(1))
      t.notOk(told.text.includes(piece), 'no piece of the token');
  }
}

const seen = (told: Told, part: Part): string => told.parts.get(part)?.seen ?? '';

t.test('all is well: connect, over TCP and DNS, to a target of any bytes and to AutoGen', async t => {
  const before = host.sockets.length;
  const told = await doctor(world, { ...usual, gateway: `localhost:${gateway.port}` });
  names(t, told, null);
  t.match(seen(told, 'dns'), /^localhost: .*127\.0\.0\.1/);
  t.match(seen(told, 'tcp'), /^\S+:\d+ after \d+ ms$/);
  t.match(
    seen(told, 'tls'),
    /^TLSv1\.3, TLS_\w+, X25519MLKEM768; asked for gateway\.example, certificate for DNS:gateway\.example.*, issued by Scratch CA, expires in \d+ days \(.*\); verified$/,
  );
  t.match(seen(told, 'exporter'), /same TLS connection; gateway key [0-9a-f]{64}, not pinned/);
  t.match(
    seen(told, 'token'),
    /^issuer https:\/\/issuer\.example, audience lockwire, subject alice, expires in \d+ min \(.*\); taken, as User::corp\|alice$/,
  );
  t.match(seen(told, 'upstream'), /without a byte sent/);
  names(t, await doctor(world, { ...usual, target: 'rpc' }), null);
  t.equal(host.sockets.length, before + 2, 'one connection each');
  t.strictSame(
    host.sockets.slice(before).map(({ bytesRead }) => bytesRead),
    [0, 0],
    'and not a byte on it',
  );
  t.notOk(
    readdirSync(world.directory).some(name => name.startsWith('doctor-') && name.endsWith('.key')),
    'no key is left behind',
  );
});

t.test('all is well: expose, which takes no stream meant for the one that serves', async t => {
  const told = await doctor(world, {
    ...usual,
    role: 'expose',
    token: server,
    target: 'nobody',
    to: host.address,
  });
  names(t, told, null);
  t.match(seen(told, 'permit'), /may serve target nobody/);
  t.match(seen(told, 'upstream'), new RegExp(`^${host.address} takes connections$`));
  // A stream that lives makes any other expose the next to be picked: the one with the fewest.
  const lasting = talk(honest.address);
  lasting.write('x');
  await lasting.received(1);
  const rival = await dialRaw({
    port: gateway.port,
    ca: world.authority.certPem,
    role: 'expose',
    target: 'shared',
    token: server,
  });
  await t.rejects(exchange(honest.address, 'taken'), 'an expose that does not look only takes it');
  rival.session.close({ code: 'done', text: '' });
  await gateway.program.logged(
    line => line.msg === 'tunnel ended' && line.session === rival.session.facts.id,
    'the end of the rival',
  );
  let doctors = 3;
  const looking = Promise.all(
    Array.from({ length: doctors }, async () => {
      for (let round = 0; round < 5; round += 1) {
        const look = { ...usual, role: 'expose', token: server, target: 'shared', to: host.address } as const;
        names(t, await doctor(world, look), null);
      }
      doctors -= 1;
    }),
  );
  let streams = 0;
  for (; doctors > 0; streams += 1) {
    t.equal(await exchange(honest.address, 'honest'), 'honest', 'side by side with doctors');
  }
  await looking;
  t.ok(streams > 3, `${streams} streams meanwhile`);
  lasting.socket.destroy();
});

t.test('the lines for people end with the first that fails and what to do; programs get JSON', async t => {
  const [well, ill, json] = await Promise.all([
    runDoctor(world, usual),
    runDoctor(world, { ...usual, target: 'nobody' }),
    runDoctor(world, { ...usual, target: 'nobody' }, '--json'),
  ]);
  t.equal(well.code, 0);
  t.match(
    well.out,
    /^lockwire doctor: connect to target autogen through 127\.0\.0\.1:\d+\n {2}dns {7}skipped/,
  );
  t.match(well.out, /\nall is well$/);
  t.equal(ill.code, 1);
  t.match(ill.out, /\n {2}exposer {3}FAILED {3}target "nobody": no expose serves target "nobody" now\n/);
  t.match(ill.out, /\nthe first that fails is exposer\. Start lockwire expose --target nobody/);
  t.equal(json.code, 1);
  t.match(JSON.parse(json.out), { ok: false, first: 'exposer', role: 'connect', target: 'nobody' });
  for (const { out, err } of [well, ill, json]) t.notOk(`${out}${err}`.includes(agent.slice(-20)));
});

t.test('dns: a name that nobody knows', async t => {
  const told = await doctor(world, { ...usual, gateway: 'no-such-gateway.invalid:8443' });
  names(t, told, 'dns');
  t.match(seen(told, 'dns'), /no-such-gateway\.invalid.* cannot be found/);
});

t.test('tcp: a port that is closed', async t => {
  const closed = createServer().listen(0, '127.0.0.1');
  await once(closed, 'listening');
  const { port } = closed.address() as AddressInfo;
  closed.close();
  const told = await doctor(world, { ...usual, gateway: `127.0.0.1:${port}` });
  names(t, told, 'tcp');
  t.match(seen(told, 'tcp'), /ECONNREFUSED/);
});

t.test(
  'proxy: one that refuses, one that wants a password, one that is none; and the way through one',
  async t => {
    const authority = `gateway.example:${gateway.port}`;
    const through = async (settings: object, user = ''): Promise<Told> => {
      const proxy = await startForwardProxy({
        route: asked => (asked === authority ? gateway.port : undefined),
        ...settings,
      });
      t.teardown(() => proxy.close());
      const env = { HTTPS_PROXY: `http://${user}127.0.0.1:${proxy.port}` };
      return await doctor(world, { ...usual, gateway: authority, env });
    };
    const well = await through({ credential: 'alice:hunter2' }, 'alice:hunter2@');
    names(t, well, null);
    t.match(seen(well, 'dns'), /gateway\.example is looked up by the proxy/);
    t.match(seen(well, 'tcp'), /\(the proxy\)/);
    t.equal(well.parts.get('proxy')?.state, 'ok');
    const wrong = await through({ credential: 'alice:hunter2' }, 'alice:hunter3@');
    names(t, wrong, 'proxy');
    t.match(wrong.parts.get('proxy')?.advice, /another user or password/);
    for (const { text } of [well, wrong]) t.notMatch(text, /hunter|YWxpY2U6/);
    const refused = await through({ route: () => undefined });
    names(t, refused, 'proxy');
    t.match(refused.parts.get('proxy')?.advice, /allow CONNECT to gateway\.example:\d+; .*NO_PROXY/);
    names(t, await through({ answer: 'SSH-2.0-OpenSSH_9.9\r\n\r\n' }), 'proxy');
  },
);

t.test('tls: another authority, another name, no TLS at all, a server that is no gateway', async t => {
  const stranger = await makeAuthority({ name: 'Somebody Else' });
  const untrusted = await doctor(world, { ...usual, ca: world.file('stranger.pem', stranger.certPem) });
  names(t, untrusted, 'tls');
  t.match(seen(untrusted, 'tls'), /no authority that is trusted here.*issued by Scratch CA/);
  t.match(untrusted.parts.get('tls')?.advice, /--ca FILE/);
  const misnamed = await doctor(world, { ...usual, serverName: 'other.example' });
  names(t, misnamed, 'tls');
  t.match(seen(misnamed, 'tls'), /not for other\.example but for DNS:gateway\.example/);
  const plain = await doctor(world, { ...usual, gateway: host.address });
  names(t, plain, 'tls');
});

t.test('exporter: a TLS-inspecting box whose authority is trusted', async t => {
  const box = await startBox(world, gateway.port);
  t.teardown(() => box.close());
  const told = await doctor(world, { ...usual, gateway: `127.0.0.1:${box.port}`, ca: box.caFile });
  names(t, told, 'exporter');
  t.match(seen(told, 'exporter'), /intercepted; .* issued by Corporate Inspection CA/);
  t.equal(box.seen().byteLength, 0, 'not one byte was shown to it');
  const instanceKeyFile = join(world.directory, 'pinned.key');
  writePin(`${instanceKeyFile}.gateway`, { key: Buffer.alloc(32, 7), enrolledBy: '' });
  const another = await doctor(world, { ...usual, instanceKeyFile });
  names(t, another, 'exporter');
  t.match(another.parts.get('exporter')?.advice, /Another gateway answers than .* enrolled/);
});

t.test('token: expired, for another audience, signed by another key, no JWT', async t => {
  const stranger = await makeIssuer('https://issuer.example');
  const tokens = {
    expired: await world.token({ issued: -7200, expires: -3600 }),
    misdirected: await world.token({ aud: 'elsewhere', groups: ['agents'] }),
    forged: await stranger.sign({ groups: ['agents'] }),
    opaque: 'not-a-jwt-but-secret-all-the-same',
  };
  const told = Object.fromEntries(
    await Promise.all(
      Object.entries(tokens).map(
        async ([name, token]) => [name, await doctor(world, { ...usual, token })] as const,
      ),
    ),
  );
  for (const [name, one] of Object.entries(told)) {
    names(t, one, 'token');
    for (const piece of tokens[name as keyof typeof tokens].split('.').slice(-2))
      t.notOk(one.text.includes(piece), `${name}: no piece of it is printed`);
  }
  t.match(told.expired && seen(told.expired, 'token'), /EXPIRED 60 min ago .*not taken: .*expired/);
  t.match(told.misdirected && seen(told.misdirected, 'token'), /audience elsewhere/);
});

t.test('permit: a connect and an expose that policy denies, and a target that does not exist', async t => {
  const guest = await world.token({ sub: 'mallory', groups: [] });
  const denied = await doctor(world, { ...usual, token: guest });
  names(t, denied, 'permit');
  const [, decision = ''] = /lockwire explain (\S+)$/.exec(denied.parts.get('permit')?.advice ?? '') ?? [];
  const explained = await run(['explain', decision, '--socket', gateway.adminSocket]);
  t.match(explained.out, /User::corp\|mallory/, 'the id leads to the decision');
  names(t, await doctor(world, { ...usual, role: 'expose', to: host.address }), 'permit');
  const unknown = await doctor(world, { ...usual, target: 'nonsuch' });
  names(t, unknown, 'permit');
  t.match(unknown.parts.get('permit')?.advice, /spelling of --target/);
});

t.test('exposer and upstream: nobody serves, the host is down, the target dialled is down', async t => {
  names(t, await doctor(world, { ...usual, target: 'nobody' }), 'exposer');
  const down = await doctor(world, { ...usual, target: 'down' });
  names(t, down, 'upstream');
  t.equal(down.parts.get('exposer')?.state, 'ok');
  t.match(down.parts.get('upstream')?.advice, /The host behind expose does not listen/);
  const gone = await doctor(world, { ...usual, target: 'gone' });
  names(t, gone, 'upstream');
  const own = await doctor(world, { ...usual, role: 'expose', token: server, to: away.address });
  names(t, own, 'upstream');
  t.match(seen(own, 'upstream'), /nothing listens there/);
});

t.test('a client certificate in place of a token; a wrong use of the command is exit 2', async t => {
  const leaf = await world.authority.issue({ uris: ['spiffe://example/agents/writer'], usages: ['client'] });
  const args = ['doctor', '--gateway', `127.0.0.1:${gateway.port}`, '--server-name', 'gateway.example'];
  args.push('--target', 'autogen', '--ca', `${world.directory}/ca.pem`);
  const cert = ['--cert', world.file('w.pem', leaf.certPem), '--key', world.file('w.key', leaf.keyPem)];
  const told = await run([...args, '--role', 'connect', ...cert], { env: { HOME: world.directory } });
  t.equal(told.code, 1, 'known, and not permitted');
  t.match(
    told.out,
    /token {5}ok {7}client certificate for URI:spiffe:\/\/example\/agents\/writer, issued by Scratch CA/,
  );
  t.match(told.out, /permit {4}FAILED/);
  t.notOk(existsSync(`${world.directory}/.local`), 'no key is made');
  const [roleless, uncredited] = await Promise.all([
    run([...args, ...cert]),
    run([...args, '--role', 'connect']),
  ]);
  t.match(roleless, { code: 2, err: /missing --role/ });
  t.match(uncredited, { code: 2, err: /no credential/ });
});
