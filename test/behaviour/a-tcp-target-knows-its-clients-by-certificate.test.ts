import { once } from 'node:events';
import { connect as connectTls } from 'node:tls';
import t from 'tap';
import { startTlsEcho, Visitor, visitOnce } from '../support/e2e-tls.ts';
import { World } from '../support/e2e-world.ts';
import { makeAuthority } from '../support/transport-certificates.ts';

const day = 86_400_000;
const ago = (ms: number): Date => new Date(Date.now() - ms);
const batch = 'spiffe://corp.example/batch';
const policy = `
@id("batch-only")
permit (
  principal == Lockwire::Workload::"workloads|${batch}",
  action == Lockwire::Action::"connect",
  resource
);
`;

const world = await World.make(t);
const clients = await makeAuthority({ name: 'Clients CA' });
const strangers = await makeAuthority({ name: 'Strangers CA' });
const [good, other, revoked, expired, future, server, foreign, brief] = await Promise.all([
  clients.issue({ uris: [batch], usages: ['client'] }),
  clients.issue({ uris: ['spiffe://corp.example/other'], usages: ['client'] }),
  clients.issue({ uris: [batch], usages: ['client'] }),
  clients.issue({ uris: [batch], usages: ['client'], notBefore: ago(2 * day), notAfter: ago(day) }),
  clients.issue({ uris: [batch], usages: ['client'], notBefore: new Date(Date.now() + day) }),
  clients.issue({ uris: [batch], usages: ['server'] }),
  strangers.issue({ uris: [batch], usages: ['client'] }),
  clients.issue({ uris: [batch], usages: ['client'], notAfter: new Date(Date.now() + 12_000) }),
]);
world.file('clients.pem', clients.certPem);
world.file('clients.crl', await clients.crl({ serials: [revoked.serial] }));

const upstream = await startTlsEcho(await world.authority.issue({ dns: ['upstream.example'] }));
const misnamed = await startTlsEcho(await world.authority.issue({ dns: ['other.example'] }));
const stale = await startTlsEcho(
  await world.authority.issue({
    dns: ['upstream.example'],
    notBefore: ago(2 * day),
    notAfter: ago(day),
  }),
);
const unknown = await startTlsEcho(await strangers.issue({ dns: ['upstream.example'] }));
const upstreams = [upstream, misnamed, stale, unknown];
t.teardown(() => {
  for (const { close } of upstreams) close();
});
const target = (name: string, serverName: string, port: number) => ({
  name,
  protocol: 'tcp',
  serverNames: [serverName],
  dial: `tls://127.0.0.1:${port}`,
  serverName: 'upstream.example',
  ca: 'ca.pem',
});
const gateway = await world.gateway({
  policy,
  tls: { clientCertificates: 'optional' },
  certificates: [{ name: 'workloads', ca: 'clients.pem', crl: 'clients.crl' }],
  targets: [
    target('legacy', 'legacy.example', upstream.port),
    target('misnamed', 'misnamed.legacy.example', misnamed.port),
    target('stale', 'stale.legacy.example', stale.port),
    target('unknown', 'unknown.legacy.example', unknown.port),
  ],
});
const legacy = { port: gateway.port, serverName: 'legacy.example', ca: world.authority.certPem };

t.test('a certificate that policy permits is served; one that is good but not permitted is not', async t => {
  t.equal(await visitOnce({ ...legacy, client: good }), 'served');
  t.match(await visitOnce({ ...legacy, client: other }), /^refused/);
  t.match(
    await gateway.program.logged(
      line => line.msg === 'stream refused' && line.target === 'legacy',
      'the refusal',
    ),
    { who: 'Workload::workloads|spiffe://corp.example/other', reason: 'denied' },
  );
  t.equal(
    await visitOnce({ ...legacy, client: good, alpn: ['postgresql', 'x'] }),
    'served',
    'whatever its ALPN',
  );
});

t.test(
  'certificates withheld, expired, not yet valid, revoked, of another CA or usage are refused',
  async t => {
    const before = upstream.accepted();
    const refused = { withheld: undefined, expired, future, revoked, server, foreign };
    for (const [name, client] of Object.entries(refused)) {
      t.match(await visitOnce({ ...legacy, ...(client ? { client } : {}) }), /^refused/, name);
    }
    t.equal(upstream.accepted(), before, 'the upstream saw none of them');
    t.equal(await visitOnce({ ...legacy, client: good }), 'served', 'the good one is served all the same');
  },
);

t.test('a ticket does not carry a revoked certificate through; it carries a good one', async t => {
  const first = new Visitor({ ...legacy, client: revoked });
  t.match(await first.outcome(), /^refused/);
  const honest = new Visitor({ ...legacy, client: good });
  t.equal(await honest.outcome(), 'served');
  await honest.end();
  const ticket = honest.sessions.at(-1);
  t.ok(ticket, 'the good one was given a ticket');
  const again = new Visitor({ ...legacy, client: good, ...(ticket ? { session: ticket } : {}) });
  t.equal(await again.outcome(), 'served');
  t.ok(again.socket.isSessionReused(), 'by its ticket');
  again.socket.destroy();
  // The reset mostly overtakes its tickets.
  for (const session of first.sessions) {
    const resumed = new Visitor({ ...legacy, client: revoked, session });
    t.match(await resumed.outcome(), /^refused/, 'the revoked one is refused with its ticket too');
  }
  const elsewhere = new Visitor({
    ...legacy,
    serverName: 'misnamed.legacy.example',
    ...(ticket ? { session: ticket } : {}),
  });
  t.match(await elsewhere.outcome(), /^refused/, 'a ticket of one name is no credential at another');
  t.notOk(elsewhere.socket.isSessionReused());
});

t.test(
  'an upstream of another name, out of date or of an unknown CA is refused, and the log says why',
  async t => {
    const cases = [
      ['misnamed', misnamed, /is not for upstream\.example but for DNS:other\.example/],
      ['stale', stale, /has expired/],
      ['unknown', unknown, /no authority that is trusted here/],
    ] as const;
    for (const [name, { port }, why] of cases) {
      const unverified = connectTls({ host: '127.0.0.1', port, rejectUnauthorized: false });
      unverified.write('x');
      t.equal(
        String((await once(unverified, 'data'))[0]),
        'x',
        `${name} serves a client that verifies nothing`,
      );
      unverified.destroy();
      const visit = { ...legacy, serverName: `${name}.legacy.example`, client: good };
      t.match(await visitOnce(visit), /^refused/, name);
      const line = await gateway.program.logged(
        ({ msg, target }) => msg === 'stream refused' && target === name,
        `the refusal of ${name}`,
      );
      t.match(line, { reason: 'unavailable', detail: why });
    }
  },
);

t.test('a server name that no target has is refused', async t => {
  t.match(await visitOnce({ ...legacy, serverName: 'nobody.legacy.example', client: good }), /^refused/);
  t.equal(await visitOnce({ ...legacy, client: good }), 'served');
});

t.test(
  'a certificate that runs out ends its live connection, and its ticket is worth nothing then',
  async t => {
    const live = new Visitor({ ...legacy, client: brief });
    t.equal(await live.outcome(), 'served');
    const ticket = live.sessions.at(-1);
    t.match(await live.closed, /ECONNRESET|closed/, 'reset when the certificate ran out');
    t.match(
      await gateway.program.logged(
        line => line.msg === 'session ended' && line.reason === 'expired',
        'why it ended',
      ),
      { who: `Workload::workloads|${batch}`, target: 'legacy', bytesUp: 5, bytesDown: 5 },
    );
    t.ok(ticket);
    t.match(
      await visitOnce({ ...legacy, client: brief, ...(ticket ? { session: ticket } : {}) }),
      /^refused/,
    );
    t.equal(await visitOnce({ ...legacy, client: good }), 'served');
  },
);
