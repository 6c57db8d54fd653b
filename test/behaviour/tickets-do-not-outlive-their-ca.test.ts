import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { connect, createServer, type TLSSocket } from 'node:tls';
import t from 'tap';
import { type Issued, makeAuthority } from '../support/transport-certificates.ts';
import { TurnedClock } from '../support/transport-clock.ts';
import { exchange, startListener } from '../support/transport-listener.ts';

const authority = await makeAuthority({ name: 'Servers' });
const server = await authority.issue({
  dns: ['gateway.example', 'legacy.example', '*.wild.example'],
  ips: ['127.0.0.1'],
});
const first = await makeAuthority({ name: 'First' });
const second = await makeAuthority({ name: 'Second' });
const worker = await first.issue({ uris: ['spiffe://corp/worker'] });

/** One handshake with a raw client of Node's: what an attacker has in hand. Resolves with the last ticket. */
async function visit(
  port: number,
  options: { servername: string; session?: Buffer; client?: Issued; maxVersion?: 'TLSv1.2' },
): Promise<{ reused: boolean; ticket: Buffer }> {
  const { servername, session, client, maxVersion } = options;
  const socket: TLSSocket = connect({
    port,
    host: '127.0.0.1',
    servername,
    ca: [authority.certPem],
    ALPNProtocols: ['lockwire/1'],
    ...(maxVersion ? { maxVersion } : {}),
    ...(session ? { session } : {}),
    ...(client ? { cert: client.certPem, key: client.keyPem } : {}),
  });
  // Node sends no new ticket on a resumption.
  let latest = session ?? Buffer.alloc(0);
  socket.on('session', ticket => {
    latest = ticket;
  });
  await once(socket, 'secureConnect');
  const reused = socket.isSessionReused();
  socket.on('error', () => undefined);
  socket.end('so that the other side finishes too');
  socket.resume();
  await new Promise(resolve => socket.once('close', resolve));
  return { reused, ticket: latest };
}

t.test(
  'an honest client resumes, again after the leaf was renewed, and is a stranger after 12 h',
  async t => {
    const clock = new TurnedClock();
    const harness = await startListener({ authority, server, clock, serve: true });
    t.teardown(() => harness.close());
    const dialer = harness.dialer();
    t.match(await exchange(dialer), { resumed: false });
    t.match(await exchange(dialer), { resumed: true });
    t.equal(harness.connections[1]?.facts.resumed, true);
    const renewed = await authority.issue({ dns: ['gateway.example'], ips: ['127.0.0.1'] });
    harness.replace({ tls: { ...harness.tls, cert: renewed.certPem, key: renewed.keyPem } });
    t.match(await exchange(dialer), { resumed: true });
    clock.turn(12 * 3_600_000);
    t.match(await exchange(dialer), { resumed: false });
    t.match(await exchange(dialer), { resumed: true });
  },
);

t.test('a ticket is worth nothing after its CA was removed, and its certificate neither', async t => {
  const tls = { clientCertificates: 'optional' as const, clientAuthorities: [first.certPem, second.certPem] };
  const harness = await startListener({ authority, server, tls, serve: true });
  t.teardown(() => harness.close());
  const client = { servername: 'gateway.example', client: worker };
  const { ticket } = await visit(harness.port, client);
  t.match(await visit(harness.port, { ...client, session: ticket }), { reused: true });
  harness.replace({ tls: { ...harness.tls, clientAuthorities: [second.certPem] } });
  const before = harness.connections.length;
  const later = await visit(harness.port, { servername: 'gateway.example', session: ticket });
  t.equal(later.reused, false, 'without the certificate: a full handshake, as nobody');
  t.same(harness.connections[before]?.certificates, []);
  await t.rejects(
    exchange(harness.dialer({ cert: worker.certPem, key: worker.keyPem })),
    'with the certificate: refused',
  );
});

t.test('Node alone resumes it as authorized: after its CA was removed, and on another server', async t => {
  const settings = {
    cert: server.certPem,
    key: server.keyPem,
    requestCert: true,
    rejectUnauthorized: false,
    ticketKeys: randomBytes(48),
    ALPNProtocols: ['lockwire/1'],
  };
  const plain = createServer({ ...settings, ca: [first.certPem] });
  const other = createServer({ ...settings, ca: [second.certPem] });
  const ports: number[] = [];
  for (const each of [plain, other]) {
    each.on('secureConnection', socket => {
      socket.on('error', () => undefined);
      socket.resume();
    });
    each.listen(0, '127.0.0.1');
    await once(each, 'listening');
    t.teardown(() => each.close());
    ports.push((each.address() as AddressInfo).port);
  }
  const [plainPort = 0, otherPort = 0] = ports;
  const { ticket } = await visit(plainPort, { servername: 'gateway.example', client: worker });
  plain.setSecureContext({ ...settings, ca: [second.certPem] });
  for (const [each, port] of [
    [plain, plainPort],
    [other, otherPort],
  ] as const) {
    const arrived = new Promise(resolve =>
      each.once('secureConnection', socket =>
        resolve({ reused: socket.isSessionReused(), authorized: socket.authorized }),
      ),
    );
    await visit(port, { servername: 'gateway.example', session: ticket });
    t.same(await arrived, { reused: true, authorized: true });
  }
});

t.test('a ticket is worth nothing on another listener', async t => {
  const one = await startListener({ authority, server, name: 'one', serve: true });
  const two = await startListener({ authority, server, name: 'two', serve: true });
  t.teardown(() => {
    one.close();
    two.close();
  });
  const { ticket } = await visit(one.port, { servername: 'gateway.example' });
  t.match(await visit(two.port, { servername: 'gateway.example', session: ticket }), { reused: false });
  t.match(await visit(one.port, { servername: 'gateway.example', session: ticket }), { reused: true });
});

t.test('a ticket is worth nothing under another server name of the same listener', async t => {
  const harness = await startListener({
    authority,
    server,
    serve: true,
    tls: { minVersion: 'TLSv1.2' },
    routes: { tcp: [{ target: 'legacy', serverNames: ['legacy.example'], clientCertificate: false }] },
  });
  t.teardown(() => harness.close());
  const names = ['gateway.example', 'legacy.example', 'a.wild.example', 'b.wild.example'];
  for (const from of names) {
    const { ticket } = await visit(harness.port, { servername: from });
    for (const to of names) {
      const { reused } = await visit(harness.port, { servername: to, session: ticket });
      t.equal(reused, from === to, `${from} to ${to}`);
    }
  }
  const { ticket } = await visit(harness.port, { servername: 'gateway.example' });
  const nameless = connect({
    port: harness.port,
    host: '127.0.0.1',
    ca: [authority.certPem],
    session: ticket,
    ALPNProtocols: ['lockwire/1'],
  });
  await once(nameless, 'secureConnect');
  t.notOk(nameless.isSessionReused(), 'nor without one');
  nameless.destroy();
});

t.test('over TLS 1.2 an honest client resumes under its own name and not under another', async t => {
  const harness = await startListener({ authority, server, serve: true, tls: { minVersion: 'TLSv1.2' } });
  t.teardown(() => harness.close());
  const old = { maxVersion: 'TLSv1.2' as const };
  const { ticket } = await visit(harness.port, { servername: 'gateway.example', ...old });
  const again = await visit(harness.port, { servername: 'gateway.example', session: ticket, ...old });
  t.equal(again.reused, true);
  const other = await visit(harness.port, { servername: 'a.wild.example', session: ticket, ...old });
  t.equal(other.reused, false);
  t.same(
    harness.connections.map(({ facts }) => [facts.tlsVersion, facts.serverName, facts.resumed]),
    [
      ['TLSv1.2', 'gateway.example', false],
      ['TLSv1.2', 'gateway.example', true],
      ['TLSv1.2', 'a.wild.example', false],
    ],
  );
});
