import { createHash } from 'node:crypto';
import t from 'tap';
import { startTlsEcho, Visitor } from '../support/e2e-tls.ts';
import { World } from '../support/e2e-world.ts';
import { admin } from '../support/store-admin.ts';

const world = await World.make(t);
const upstream = await startTlsEcho(await world.authority.issue({ dns: ['upstream.example'] }));
t.teardown(() => upstream.close());
const issue = (name: string) =>
  world.authority.issue({ uris: [`spiffe://example/${name}`], usages: ['client'] });
const [one, two, three] = await Promise.all(['one', 'two', 'three'].map(issue));
const gateway = await world.gateway({
  policy: '@id("all") permit (principal, action == Lockwire::Action::"connect", resource);',
  tls: { clientCertificates: 'optional' },
  certificates: [{ name: 'workloads', ca: 'ca.pem' }],
  targets: [
    {
      name: 'legacy',
      protocol: 'tcp',
      serverNames: ['legacy.example'],
      dial: `tls://127.0.0.1:${upstream.port}`,
      serverName: 'upstream.example',
      ca: 'ca.pem',
    },
  ],
});
const legacy = { port: gateway.port, serverName: 'legacy.example', ca: world.authority.certPem };
const visit = (client: typeof one) => new Visitor({ ...legacy, ...(client ? { client } : {}) });

t.test(
  'a client of a tcp target that came without a tunnel: certificate and principal revoked, one killed',
  async t => {
    const [first, second, third] = [visit(one), visit(two), visit(three)];
    for (const visitor of [first, second, third]) t.equal(await visitor.outcome(), 'served');
    const print = createHash('sha256').update(one!.der).digest('hex').toUpperCase();
    const asked = performance.now();
    // As openssl x509 -fingerprint prints it.
    const value = print.replace(/(..)(?!$)/g, '$1:');
    await admin(gateway, 'POST', '/revoke', { kind: 'certificate', value });
    t.match(await first.closed, /ECONNRESET|closed/);
    t.ok(performance.now() - asked < 1000);
    t.match(await visit(one).outcome(), /^refused/, 'nor does it come in again');
    await admin(gateway, 'POST', '/revoke', {
      kind: 'principal',
      value: 'Workload::workloads|spiffe://example/two',
    });
    t.match(await second.closed, /ECONNRESET|closed/);
    const { relays } = await admin(gateway, 'GET', '/sessions');
    t.equal(relays.length, 1, 'the third is untouched');
    await admin(gateway, 'POST', '/kill', { session: relays[0]!.id });
    t.match(await third.closed, /ECONNRESET|closed/);
    const again = visit(three);
    t.equal(await again.outcome(), 'served', 'what was killed may come again');
    again.socket.destroy();
  },
);
