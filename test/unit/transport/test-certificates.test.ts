import { X509Certificate } from 'node:crypto';
import { createSecureContext } from 'node:tls';
import t from 'tap';
import { makeAuthority, selfSigned } from '../../support/transport-certificates.ts';

t.test(
  'the test authority issues what Node verifies, with names, dates, usages and serial as asked',
  async t => {
    const authority = await makeAuthority({ name: 'Test CA, with a comma' });
    const notAfter = new Date(Math.floor(Date.now() / 1000) * 1000 + 60_000);
    const issued = await authority.issue({
      commonName: 'leaf',
      dns: ['a.example', '*.b.example'],
      ips: ['127.0.0.1', '::1'],
      uris: ['spiffe://corp/worker'],
      usages: ['client'],
      notAfter,
      serial: '7f01',
    });
    const leaf = new X509Certificate(issued.certPem);
    const root = new X509Certificate(authority.certPem);
    t.ok(leaf.verify(root.publicKey));
    t.ok(leaf.checkIssued(root));
    t.notOk(leaf.ca);
    t.ok(root.ca);
    t.equal(leaf.checkHost('x.b.example'), '*.b.example');
    t.equal(leaf.checkIP('::1'), '::1');
    t.match(leaf.subjectAltName, 'URI:spiffe://corp/worker');
    t.same(leaf.keyUsage, ['1.3.6.1.5.5.7.3.2']);
    t.equal(leaf.serialNumber.toLowerCase(), '7f01');
    t.equal(issued.serial, '7f01');
    t.equal(leaf.validToDate.getTime(), notAfter.getTime());
    t.ok(leaf.raw.equals(issued.der));
  },
);

t.test('each of five key types, a sub-authority, a self-signed leaf and a CRL load in OpenSSL', async t => {
  const authority = await makeAuthority({ name: 'Root' });
  for (const keyType of ['p256', 'p384', 'rsa2048', 'ed25519'] as const) {
    const { certPem: cert, keyPem: key } = await authority.issue({ dns: ['x.example'], keyType });
    createSecureContext({ cert, key });
  }
  t.equal(
    new X509Certificate((await authority.issue({ keyType: 'rsa1024' })).certPem).serialNumber.length,
    32,
  );
  const below = await authority.subordinate({ name: 'Sub', keyType: 'rsa2048' });
  const leaf = await below.issue({ uris: ['spiffe://corp/x'] });
  t.ok(new X509Certificate(leaf.certPem).verify(new X509Certificate(below.certPem).publicKey));
  t.ok(new X509Certificate(below.certPem).verify(new X509Certificate(authority.certPem).publicKey));
  const alone = await selfSigned({ dns: ['alone.example'] });
  t.ok(new X509Certificate(alone.certPem).verify(new X509Certificate(alone.certPem).publicKey));
  const crl = await below.crl({ serials: [leaf.serial] });
  createSecureContext({ ca: [authority.certPem], crl: [crl] });
});
