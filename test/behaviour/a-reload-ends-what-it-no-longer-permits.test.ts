import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { connect as dial } from 'node:tls';
import t from 'tap';
import { run } from '../support/e2e-program.ts';
import { exchange, type Talk, talk } from '../support/e2e-sockets.ts';
import { dialRaw, type Raw } from '../support/e2e-tunnel.ts';
import { makeIssuer, usualPolicy, World } from '../support/e2e-world.ts';
import { policyFile, rewriteConfig } from '../support/store-reload.ts';

const world = await World.make(t);
const [host, plain] = [await world.host(), await world.host()];
const certificates = [{ name: 'workloads', ca: 'ca.pem', crl: 'workloads.crl' }];
world.file('workloads.crl', await world.authority.crl({ serials: [] }));
const gateway = await world.gateway({
  certificates,
  tls: { clientCertificates: 'optional' },
  policy: `${usualPolicy}
@id("robots") permit (principal is Lockwire::Workload, action == Lockwire::Action::"connect", resource);`,
});
await world.expose(gateway, { to: host.address });
await world.expose(gateway, { to: plain.address, target: 'plain' });
const neighbour = await world.connect(gateway);
const going: Talk = talk(neighbour.address);

async function unhurt(): Promise<void> {
  const before = going.bytes;
  going.write('going on');
  await going.received(before + 8);
}

async function reload(): Promise<void> {
  const { code, err } = await run(['reload', '--socket', gateway.adminSocket]);
  if (code !== 0) throw new Error(err);
}

async function raw(sub: string): Promise<Raw> {
  const token = await world.token({ sub, groups: ['agents'] });
  return dialRaw({ port: gateway.port, ca: world.authority.certPem, role: 'connect', token });
}

t.test('a policy that forbids one principal ends its streams with a decision, and nobody else’s', async t => {
  const bob = await raw('bob');
  const stream = bob.open('autogen');
  await stream.send(Buffer.from('x'));
  await stream.untilReceived(1);
  const told = bob.notice();
  const saved = performance.now();
  world.file(
    policyFile(world, gateway),
    `${usualPolicy}
@id("no-bob") forbid (principal == Lockwire::User::"corp|bob", action == Lockwire::Action::"connect", resource);
@id("robots") permit (principal is Lockwire::Workload, action == Lockwire::Action::"connect", resource);`,
  );
  const ended = await stream.untilClosed();
  const tookMs = performance.now() - saved;
  t.match(ended, { code: 'denied', text: /denied: connect autogen \(no-bob\), decision/ });
  t.match(await told, { code: 'denied', decision: ended.decision ?? 'none' });
  t.comment(`saved to last byte, by the file watch: ${tookMs.toFixed(0)} ms`);
  const why = await run(['explain', ended.decision ?? '', '--socket', gateway.adminSocket]);
  t.match(why.out, /no-bob/);
  await unhurt();
});

t.test('a certificate on a new CRL ends its session; another of the same authority goes on', async t => {
  const [leaf, other] = await Promise.all([
    world.authority.issue({ uris: ['spiffe://example/one'] }),
    world.authority.issue({ uris: ['spiffe://example/two'] }),
  ]);
  const one = await world.connect(gateway, { certificate: leaf });
  const two = await world.connect(gateway, { certificate: other });
  const [first, second] = [talk(one.address), talk(two.address)];
  for (const client of [first, second]) {
    client.write('x');
    await client.received(1);
  }
  world.file('workloads.crl', await world.authority.crl({ serials: [leaf.serial] }));
  t.match(await first.closed, /ECONNRESET|closed/);
  await one.program.line(/^lockwire: revoked: the credential is accepted no more: .*is revoked/);
  second.write('y');
  await second.received(2);
  await unhurt();
});

t.test('a target that is taken away ends its streams and its expose', async t => {
  const connect = await world.connect(gateway, { target: 'plain' });
  const client = talk(connect.address);
  client.write('x');
  await client.received(1);
  rewriteConfig(world, gateway, config => {
    const targets = config.targets as unknown as readonly { readonly name: string }[];
    Object.assign(config, { targets: targets.filter(({ name }) => name !== 'plain') });
  });
  t.match(await client.closed, /ECONNRESET|closed/);
  await gateway.program.logged(
    ({ msg, detail }) => msg === 'may not go on' && /"plain" is exposed no more/.test(String(detail)),
    'the end of its expose',
  );
  await unhurt();
});

t.test('new listener certificates are shown from now on, and live connections keep theirs', async t => {
  const fresh = await world.authority.issue({ dns: ['gateway.example'], ips: ['127.0.0.1'] });
  writeFileSync(join(world.directory, 'gateway.pem'), fresh.certPem);
  writeFileSync(join(world.directory, 'gateway.key'), fresh.keyPem);
  await reload();
  const socket = dial({
    port: gateway.port,
    host: '127.0.0.1',
    servername: 'gateway.example',
    ca: world.authority.certPem,
    ALPNProtocols: ['lockwire/1'],
  });
  await new Promise(resolve => socket.once('secureConnect', resolve));
  t.equal(socket.getPeerX509Certificate()?.serialNumber.toLowerCase(), fresh.serial.toLowerCase());
  socket.destroy();
  await unhurt();
});

t.test('ten reloads under traffic lose nothing: 20 exchanges during each, byte for byte', async t => {
  // No more than 200 in all: one principal may open 256 streams to an expose at once, and a fast machine does that here.
  const traffic = async (round: number): Promise<void> => {
    for (let i = 0; i < 20; i += 1) {
      const text = `exchange ${i} of ${round} ${'x'.repeat(20 * round + i)}`;
      t.equal(await exchange(neighbour.address, text), text);
    }
  };
  for (let i = 0; i < 10; i += 1) {
    const meanwhile = traffic(i);
    rewriteConfig(world, gateway, config => void Object.assign(config, { limits: { sessions: 1000 + i } }));
    gateway.program.signal('SIGHUP');
    await Promise.all([meanwhile, reload()]);
    await unhurt();
  }
});

t.test('keys of an issuer that are replaced end what the old ones signed', async t => {
  const stranger = await makeIssuer();
  const carol = await raw('carol');
  world.file('issuer.jwks.json', stranger.jwks);
  await reload();
  t.match(await carol.closed, { code: 'revoked', text: /accepted no more/ });
  t.match(await going.closed, /ECONNRESET|closed/, 'this time the neighbour’s too');
  const token = await stranger.sign({ sub: 'dora', groups: ['agents'] });
  const dora = await dialRaw({ port: gateway.port, ca: world.authority.certPem, role: 'connect', token });
  t.equal(dora.session.state, 'open', 'what the new ones sign is good');
  dora.session.close({ code: 'done', text: '' });
});
