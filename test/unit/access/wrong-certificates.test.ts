import 'reflect-metadata';
import { X509Certificate } from 'node:crypto';
import * as x509 from '@peculiar/x509';
import fc from 'fast-check';
import t from 'tap';
import {
  createAuthenticator,
  type ReplaceableAuthenticator,
} from '../../../lib/access/identity/authenticator.ts';
import type { AuthorityOptions } from '../../../lib/access/identity/options.ts';
import { LockwireError } from '../../../lib/core/errors.ts';
import { KeptLog, KeptMetrics, refusalOf, SetClock, sha256, trust } from '../../support/access-identity.ts';
import { type Issued, makeAuthority, selfSigned } from '../../support/transport-certificates.ts';

const dayMs = 86_400_000;
const spiffe = 'spiffe://example.org/agents/writer';
const ca = await makeAuthority({ name: 'Workloads CA' });
const honest = await ca.issue({ uris: [spiffe] });
const workloads: AuthorityOptions = { name: 'workloads', ca: ca.certPem };

interface Room {
  clock: SetClock;
  log: KeptLog;
  metrics: KeptMetrics;
  identity: ReplaceableAuthenticator;
}

function room(...authorities: AuthorityOptions[]): Room {
  const [clock, log, metrics] = [new SetClock(), new KeptLog(), new KeptMetrics()];
  // Certificates are made by the real time.
  clock.wallMs = Date.now();
  const options = trust([], authorities.length > 0 ? authorities : [workloads]);
  return {
    clock,
    log,
    metrics,
    identity: createAuthenticator({ ...options, builtAtMs: 0 }, { clock, log, metrics }),
  };
}

function nameOf(identity: ReplaceableAuthenticator, ...chain: Issued[]): string {
  const { principal } = identity.certificate(chain.map(({ der }) => der));
  return principal.kind === 'workload' ? `${principal.source}|${principal.name}` : 'a user';
}

async function refused({ identity, log }: Room, ...chain: { der: Uint8Array }[]): Promise<string> {
  const { code } = await refusalOf(() => identity.certificate(chain.map(({ der }) => der)));
  return code === 'unauthenticated' ? String(log.last.fields.reason) : code;
}

t.test('an honest certificate becomes its workload', async t => {
  const { identity, metrics } = room();
  const { validFromDate, validToDate } = new X509Certificate(honest.der);
  t.same(identity.certificate([honest.der]), {
    principal: { kind: 'workload', source: 'workloads', name: spiffe, groups: [] },
    credential: {
      kind: 'certificate',
      id: sha256(honest.der, 'hex'),
      issuedAtMs: validFromDate.getTime(),
      expiresAtMs: Math.min(validToDate.getTime(), new X509Certificate(ca.der).validToDate.getTime()),
    },
  });
  t.equal(metrics.counts.get('lockwire_credentials_total{certificate,workloads,ok}'), 1);
});

t.test('keys of P-256, P-384, RSA 2048 and Ed25519 are taken, RSA 1024 is refused', async t => {
  const here = room();
  for (const keyType of ['p256', 'p384', 'rsa2048', 'ed25519'] as const)
    t.equal(
      nameOf(here.identity, await ca.issue({ uris: [spiffe], keyType })),
      `workloads|${spiffe}`,
      keyType,
    );
  t.equal(await refused(here, await ca.issue({ uris: [spiffe], keyType: 'rsa1024' })), 'chain');
  t.match(here.log.last.fields, { detail: /rsa 1024/ });
  for (const keyType of ['p384', 'rsa2048', 'ed25519'] as const) {
    const other = await makeAuthority({ name: keyType, keyType });
    const { identity } = room({ name: 'other', ca: other.certPem });
    t.equal(nameOf(identity, await other.issue({ uris: [spiffe] })), `other|${spiffe}`, `CA of ${keyType}`);
  }
});

t.test(
  'a certificate of an unknown CA is refused: self-signed, of a stranger, of a stranger with the same name',
  async t => {
    const here = room();
    const twin = await makeAuthority({ name: 'Workloads CA' });
    const forged = await twin.issue({ uris: [spiffe] });
    t.equal(await refused(here, await selfSigned({ uris: [spiffe] })), 'chain');
    t.equal(await refused(here, forged), 'chain');
    t.equal(await refused(here, forged, twin), 'chain', 'its own CA beside it changes nothing');
    t.equal(await refused(here), 'malformed', 'no certificate');
    t.equal(nameOf(here.identity, honest), `workloads|${spiffe}`);
  },
);

t.test(
  'an expired certificate, one not yet valid, and one of an expired CA are refused by the clock handed in, cached or not',
  async t => {
    const here = room();
    const { clock, identity } = here;
    const now = clock.wallMs;
    t.equal(nameOf(identity, honest), `workloads|${spiffe}`);
    clock.wallMs = now + 31 * dayMs;
    t.equal(await refused(here, honest), 'expired');
    clock.wallMs = now - 2 * dayMs;
    t.equal(await refused(here, honest), 'not-yet-valid');
    clock.wallMs = now;
    t.equal(nameOf(identity, honest), `workloads|${spiffe}`);
    t.equal(
      await refused(here, await ca.issue({ uris: [spiffe], notAfter: new Date(now - 1000) })),
      'expired',
    );
    t.equal(
      await refused(here, await ca.issue({ uris: [spiffe], notBefore: new Date(now + 5000) })),
      'not-yet-valid',
    );
    const old = await makeAuthority({ name: 'Old', notAfter: new Date(now - 1000) });
    t.equal(
      await refused(room({ name: 'old', ca: old.certPem }), await old.issue({ uris: [spiffe] })),
      'expired',
    );
  },
);

t.test('a clock from before the build refuses every certificate and says so', async t => {
  const clock = new SetClock();
  const log = new KeptLog();
  const options = { ...trust([], [workloads]), builtAtMs: Date.now() };
  const identity = createAuthenticator(options, { clock, log, metrics: new KeptMetrics() });
  clock.wallMs = Date.now() - 365 * dayMs;
  t.match(await refusalOf(() => identity.certificate([honest.der])), {
    message: /before this program was built/,
  });
  clock.wallMs = Date.now() + 1000;
  t.equal(nameOf(identity, honest), `workloads|${spiffe}`);
});

t.test(
  'a certificate of the wrong use is refused: a CA, a server, one that may sign certificates, one that may not sign',
  async t => {
    const here = room();
    t.equal(await refused(here, await ca.issue({ uris: [spiffe], isCa: true })), 'usage');
    t.equal(await refused(here, await ca.issue({ uris: [spiffe], usages: ['server'] })), 'usage');
    t.equal(
      nameOf(here.identity, await ca.issue({ uris: [spiffe], usages: ['client'] })),
      `workloads|${spiffe}`,
    );
    t.equal(
      nameOf(here.identity, await ca.issue({ uris: [spiffe], usages: [] })),
      `workloads|${spiffe}`,
      'any use',
    );
    const { keyCertSign, digitalSignature, keyEncipherment, cRLSign } = x509.KeyUsageFlags;
    const own = await ownCa();
    const there = room({ name: 'own', ca: own.pem });
    const uses: [number, string][] = [
      [keyEncipherment, 'usage'],
      [digitalSignature | keyCertSign, 'usage'],
      [digitalSignature | cRLSign, 'usage'],
    ];
    for (const [flags, reason] of uses) {
      const leaf = await own.issue([new x509.KeyUsagesExtension(flags, true)]);
      t.equal(await refused(there, leaf), reason, String(flags));
    }
    t.equal(nameOf(there.identity, await own.issue([])), `own|${spiffe}`, 'no keyUsage');
    t.equal(
      nameOf(there.identity, await own.issue([new x509.KeyUsagesExtension(digitalSignature)])),
      `own|${spiffe}`,
    );
  },
);

/** A CA whose certificates have exactly the extensions given beside their SPIFFE ID. */
async function ownCa(hash = 'SHA-256'): Promise<{
  pem: string;
  issue(extensions: x509.Extension[], subject?: string): Promise<Issued>;
  /** Another certificate of the same CA: name and key are equal. */
  clone(): Promise<Issued>;
}> {
  const algorithm = { name: 'ECDSA', namedCurve: 'P-256', hash };
  const keys = await crypto.subtle.generateKey(algorithm, true, ['sign', 'verify']);
  const base = { notBefore: new Date(Date.now() - dayMs), notAfter: new Date(Date.now() + dayMs) };
  const selfSign = (): Promise<x509.X509Certificate> =>
    x509.X509CertificateGenerator.createSelfSigned({
      ...base,
      name: 'CN=Own CA',
      keys,
      signingAlgorithm: { ...algorithm, hash: 'SHA-256' },
      extensions: [new x509.BasicConstraintsExtension(true, undefined, true)],
    });
  const issued = ({ rawData, serialNumber }: x509.X509Certificate): Issued => ({
    certPem: '',
    keyPem: '',
    der: Buffer.from(rawData),
    serial: serialNumber,
  });
  const root = await selfSign();
  return {
    pem: root.toString('pem'),
    clone: async () => issued(await selfSign()),
    async issue(extensions, subject = 'CN=leaf') {
      const certificate = await x509.X509CertificateGenerator.create({
        ...base,
        subject,
        issuer: root.subject,
        publicKey: keys.publicKey,
        signingKey: keys.privateKey,
        signingAlgorithm: algorithm,
        extensions: [
          ...(extensions.some(({ type }) => type === '2.5.29.17')
            ? []
            : [new x509.SubjectAlternativeNameExtension([{ type: 'url', value: spiffe }])]),
          ...extensions,
        ],
      });
      return issued(certificate);
    },
  };
}

t.test('a SHA-1 signature is refused', async t => {
  const weak = await ownCa('SHA-1');
  const here = room({ name: 'own', ca: weak.pem });
  t.equal(await refused(here, await weak.issue([])), 'chain');
  t.match(here.log.last.fields, { detail: /is signed by algorithm/ });
});

t.test(
  'a critical extension that is not understood is refused, the same one is taken when it is not critical',
  async t => {
    const own = await ownCa();
    const here = room({ name: 'own', ca: own.pem });
    const value = new Uint8Array([5, 0]);
    t.equal(await refused(here, await own.issue([new x509.Extension('1.2.3.4', true, value)])), 'chain');
    t.equal(
      nameOf(here.identity, await own.issue([new x509.Extension('1.2.3.4', false, value)])),
      `own|${spiffe}`,
    );
  },
);

t.test('an extension that comes twice is refused', async t => {
  const own = await ownCa();
  const twice = [
    new x509.ExtendedKeyUsageExtension([x509.ExtendedKeyUsage.serverAuth]),
    new x509.ExtendedKeyUsageExtension([x509.ExtendedKeyUsage.clientAuth]),
  ];
  t.equal(await refused(room({ name: 'own', ca: own.pem }), await own.issue(twice)), 'malformed');
});

t.test('the name is the one SPIFFE ID, else the first DNS name, else there is none', async t => {
  const here = room();
  const named: [Parameters<typeof ca.issue>[0], string][] = [
    [{ uris: [spiffe], dns: ['writer.example'] }, spiffe],
    [{ uris: ['spiffe://a-b_c.d9/x/Y_Z.-'] }, 'spiffe://a-b_c.d9/x/Y_Z.-'],
    [{ dns: ['Writer.Example', 'other.example'] }, 'writer.example'],
    [{ dns: ['localhost'], ips: ['127.0.0.1'] }, 'localhost'],
  ];
  for (const [options, name] of named)
    t.equal(nameOf(here.identity, await ca.issue(options)), `workloads|${name}`, name);
  const nameless: Parameters<typeof ca.issue>[0][] = [
    { uris: [spiffe, 'spiffe://example.org/other'] },
    { uris: [spiffe, 'https://example.org/'] },
    { uris: ['https://example.org/agents/writer'], dns: ['writer.example'] },
    { uris: ['spiffe://example.org'] },
    { uris: ['spiffe://example.org/'] },
    { uris: ['spiffe://Example.org/a'] },
    { uris: ['SPIFFE://example.org/a'] },
    { uris: ['spiffe://example.org:8443/a'] },
    { uris: ['spiffe://user@example.org/a'] },
    { uris: ['spiffe://example.org/a/'] },
    { uris: ['spiffe://example.org//a'] },
    { uris: ['spiffe://example.org/a/../b'] },
    { uris: ['spiffe://example.org/./b'] },
    { uris: ['spiffe://example.org/a%2fb'] },
    { uris: ['spiffe://example.org/a?b'] },
    { uris: ['spiffe://example.org/a#b'] },
    { uris: ['spiffe:///a'] },
    { uris: [`spiffe://example.org/${'a'.repeat(2048)}`] },
    { dns: ['*.example'] },
    { dns: ['a b.example'] },
    { dns: ['a\nb'] },
    { ips: ['10.0.0.1'] },
    { emails: ['writer@example.org'] },
    { commonName: 'writer.example' },
  ];
  for (const options of nameless)
    t.equal(await refused(here, await ca.issue(options)), 'name', JSON.stringify(options).slice(0, 80));
});

t.test(
  'chains: one intermediate and three pass, four do not; a missing or shuffled one is found or refused',
  async t => {
    const here = room();
    const chain = [ca];
    for (let i = 0; i < 4; i += 1) chain.push(await (chain.at(-1) ?? ca).subordinate({ name: `Sub ${i}` }));
    const [, one, two, three, four] = chain;
    if (!one || !two || !three || !four) throw new Error('chain');
    t.equal(nameOf(here.identity, await one.issue({ uris: [spiffe] }), one), `workloads|${spiffe}`);
    const deep = await three.issue({ uris: [spiffe] });
    t.equal(nameOf(here.identity, deep, three, two, one), `workloads|${spiffe}`);
    t.equal(
      nameOf(here.identity, deep, one, three, ca, two),
      `workloads|${spiffe}`,
      'in any order, with the root',
    );
    t.equal(await refused(here, deep, three, one), 'chain', 'one is missing');
    t.equal(
      await refused(here, await four.issue({ uris: [spiffe] }), four, three, two, one),
      'chain',
      'five signatures',
    );
    const eight = [deep, three, two, one, ca, honest, honest, honest];
    t.equal(nameOf(here.identity, ...eight), `workloads|${spiffe}`);
    t.equal(await refused(here, ...eight, honest), 'limit', '9 certificates');
  },
);

t.test('a chain of 7 look-alikes of one key, which allow 1,957 ways, costs 16 signature checks', async t => {
  const here = room();
  const own = await ownCa();
  const clones = await Promise.all(Array.from({ length: 7 }, () => own.clone()));
  const leaf = await own.issue([]);
  t.equal(await refused(here, leaf, ...clones), 'chain');
  t.match(here.log.last.fields, { detail: /more than 16 signatures/ });
  t.equal(nameOf(room({ name: 'own', ca: own.pem }).identity, leaf, ...clones), `own|${spiffe}`);
});

t.test('a leaf that signs another certificate is no CA', async t => {
  const here = room();
  // The leaf's own key makes a certificate in the leaf's name: what Node would need to be told to refuse.
  const keys = await crypto.subtle.generateKey({ name: 'ECDSA', namedCurve: 'P-256' }, true, [
    'sign',
    'verify',
  ]);
  const own = await ownCa();
  const there = room({ name: 'own', ca: own.pem });
  const middle = await own.issue([new x509.BasicConstraintsExtension(false, undefined, true)], 'CN=middle');
  t.equal(nameOf(there.identity, middle), `own|${spiffe}`);
  const child = await x509.X509CertificateGenerator.create({
    subject: 'CN=child',
    issuer: 'CN=middle',
    publicKey: keys.publicKey,
    signingKey: keys.privateKey,
    extensions: [
      new x509.SubjectAlternativeNameExtension([{ type: 'url', value: 'spiffe://example.org/root' }]),
    ],
  });
  t.equal(await refused(there, { der: Buffer.from(child.rawData) }, middle), 'chain');
  const sub = await ca.subordinate({ name: 'Sub' });
  t.equal(await refused(here, await sub.issue({ uris: [spiffe] })), 'chain', 'its CA is not beside it');
});

t.test('path length and name constraints of a CA hold', async t => {
  const shortRoot = await makeAuthority({ name: 'Short', pathLength: 0 });
  const below = await shortRoot.subordinate({ name: 'Below' });
  const here = room({ name: 'short', ca: shortRoot.certPem });
  t.equal(nameOf(here.identity, await shortRoot.issue({ uris: [spiffe] })), `short|${spiffe}`);
  t.equal(await refused(here, await below.issue({ uris: [spiffe] }), below), 'chain');

  // permitted: DNS localhost, IP 127.0.0.1/32, URI host example.org; excluded: DNS bad.localhost
  const subtree = (tag: number, bytes: Uint8Array): Buffer => tlv(0x30, tlv(tag, bytes));
  const permitted = Buffer.concat([
    subtree(0x82, Buffer.from('localhost')),
    subtree(0x87, Buffer.of(127, 0, 0, 1, 255, 255, 255, 255)),
    subtree(0x86, Buffer.from('example.org')),
  ]);
  const value = tlv(
    0x30,
    Buffer.concat([tlv(0xa0, permitted), tlv(0xa1, subtree(0x82, Buffer.from('bad.localhost')))]),
  );
  const bound = await makeAuthority({
    name: 'Bound',
    extensions: [new x509.Extension('2.5.29.30', true, value)],
  });
  const there = room({ name: 'bound', ca: bound.certPem });
  for (const options of [
    { dns: ['localhost'] },
    { dns: ['a.localhost'], ips: ['127.0.0.1'] },
    { uris: [spiffe] },
  ])
    t.type(nameOf(there.identity, await bound.issue(options)), 'string', JSON.stringify(options));
  for (const options of [
    { dns: ['example.org'] },
    { dns: ['xlocalhost'] },
    { dns: ['bad.localhost'] },
    { dns: ['localhost', 'evil.example'] },
    { dns: ['localhost'], ips: ['127.0.0.2'] },
    { dns: ['localhost'], ips: ['::1'] },
    { uris: ['spiffe://evil.example/a'] },
    { uris: ['spiffe://sub.example.org/a'] },
  ])
    t.equal(await refused(there, await bound.issue(options)), 'chain', JSON.stringify(options));
});

function tlv(tag: number, content: Uint8Array): Buffer {
  return Buffer.concat([Buffer.of(tag, content.byteLength), content]);
}

t.test('a CA with a SPIFFE ID vouches for its own trust domain only', async t => {
  const named = await makeAuthority({
    name: 'Domain',
    extensions: [new x509.SubjectAlternativeNameExtension([{ type: 'url', value: 'spiffe://example.org' }])],
  });
  const here = room({ name: 'domain', ca: named.certPem });
  t.equal(nameOf(here.identity, await named.issue({ uris: [spiffe] })), `domain|${spiffe}`);
  t.equal(await refused(here, await named.issue({ uris: ['spiffe://other.org/a'] })), 'name');
});

t.test('which authority verified a certificate is its source, whatever the certificate says', async t => {
  const partner = await makeAuthority({ name: 'Workloads CA' });
  const { identity } = room(workloads, { name: 'partner', ca: partner.certPem });
  t.equal(nameOf(identity, honest), `workloads|${spiffe}`);
  t.equal(nameOf(identity, await partner.issue({ uris: [spiffe] })), `partner|${spiffe}`);
});

t.test('after a reload without its CA a certificate is refused, though it was cached', async t => {
  const here = room();
  const partner = await makeAuthority({ name: 'Partner' });
  t.equal(nameOf(here.identity, honest), `workloads|${spiffe}`);
  here.identity.prepare({ ...trust([], [{ name: 'partner', ca: partner.certPem }]), builtAtMs: 0 })();
  t.equal(await refused(here, honest), 'chain');
});

t.test(
  'a revoked certificate is refused, and so is every one when the list is too old, missing or forged',
  async t => {
    const revoked = await ca.issue({ uris: [spiffe] });
    const crl = await ca.crl({ serials: [revoked.serial] });
    const here = room({ ...workloads, crl });
    t.equal(nameOf(here.identity, honest), `workloads|${spiffe}`);
    t.equal(await refused(here, revoked), 'revocation');
    t.match(here.log.last.fields, { detail: /is revoked/ });
    here.clock.wallMs += 2 * dayMs;
    t.equal(await refused(here, honest), 'revocation', 'nextUpdate has passed');
    t.match(here.log.last.fields, { detail: /was to be replaced by/ });

    const twin = await makeAuthority({ name: 'Workloads CA' });
    const forged = room({ ...workloads, crl: await twin.crl({ serials: [] }) });
    t.equal(await refused(forged, honest), 'revocation', 'signed by another key');
    const early = await ca.crl({
      serials: [],
      thisUpdate: new Date(Date.now() + dayMs),
      nextUpdate: new Date(Date.now() + 2 * dayMs),
    });
    t.equal(await refused(room({ ...workloads, crl: early }), honest), 'revocation', 'of tomorrow');
  },
);

t.test('a reload with a new list revokes a certificate that was cached', async t => {
  const here = room({ ...workloads, crl: await ca.crl({ serials: [] }) });
  t.equal(nameOf(here.identity, honest), `workloads|${spiffe}`);
  const crl = await ca.crl({ serials: [honest.serial] });
  here.identity.prepare({ ...trust([], [{ ...workloads, crl }]), builtAtMs: 0 })();
  t.equal(await refused(here, honest), 'revocation');
});

t.test(
  'of several lists in one file the newest of each CA counts, and each CA on the way needs one',
  async t => {
    const sub = await ca.subordinate({ name: 'Sub' });
    const leaf = await sub.issue({ uris: [spiffe] });
    const gone = await sub.issue({ uris: [spiffe] });
    const of = (hours: number): Date => new Date(Date.now() - hours * 3_600_000);
    const older = await sub.crl({ serials: [], thisUpdate: of(3) });
    const newer = await sub.crl({ serials: [gone.serial], thisUpdate: of(2) });
    const root = await ca.crl({ serials: [] });
    for (const crl of [older + newer + root, root + newer + older]) {
      const here = room({ ...workloads, crl });
      t.equal(nameOf(here.identity, leaf, sub), `workloads|${spiffe}`);
      t.equal(await refused(here, gone, sub), 'revocation');
    }
    t.equal(await refused(room({ ...workloads, crl: newer }), leaf, sub), 'revocation', 'none of the root');
    t.equal(
      await refused(room({ ...workloads, crl: root }), leaf, sub),
      'revocation',
      'none of the intermediate',
    );
    const noSub = await ca.crl({ serials: [sub.serial], thisUpdate: of(1) });
    t.equal(
      await refused(room({ ...workloads, crl: newer + noSub }), leaf, sub),
      'revocation',
      'the CA is revoked',
    );
  },
);

t.test('a CA or a list that can not be used is a config error that names the authority', async t => {
  const bad: AuthorityOptions[] = [
    { name: 'w', ca: '' },
    { name: 'w', ca: honest.certPem },
    { name: 'w', ca: ca.certPem.replace(/[A-Z]/, '') },
    { ...workloads, name: 'w', crl: '' },
    { ...workloads, name: 'w', crl: ca.certPem },
    { ...workloads, name: 'w', crl: '-----BEGIN X509 CRL-----\nMAA=\n-----END X509 CRL-----' },
  ];
  for (const authority of bad) t.throws(() => room(authority), { code: 'config', message: /'w'/ });
  t.throws(() => room(workloads, { ...workloads, name: 'again' }), {
    code: 'config',
    message: /one source only/,
  });
  t.throws(() => room(workloads, workloads), { code: 'config', message: /used twice/ });
});

t.test('a list that has run out is said at start', async t => {
  const crl = await ca.crl({
    serials: [],
    thisUpdate: new Date(Date.now() - 2 * dayMs),
    nextUpdate: new Date(Date.now() - dayMs),
  });
  const { log } = room({ ...workloads, crl });
  t.match(log.last, { level: 'warn', fields: { authority: 'workloads' }, message: /CRL has run out/ });
});

t.test(
  '2,000 changed and cut certificates are refused or the same one, and never break anything',
  async t => {
    const { identity } = room();
    let refusals = 0;
    fc.assert(
      fc.property(
        fc.nat(honest.der.length - 1),
        fc.integer({ min: 1, max: 255 }),
        fc.boolean(),
        (at, flip, cut) => {
          const der = Buffer.from(cut ? honest.der.subarray(0, at) : honest.der);
          if (!cut) der[at] = (der[at] ?? 0) ^ flip;
          try {
            identity.certificate([der]);
            return false;
          } catch (error) {
            refusals += 1;
            return error instanceof LockwireError;
          }
        },
      ),
      { numRuns: 2000 },
    );
    t.equal(refusals, 2000);
    t.equal(nameOf(identity, honest), `workloads|${spiffe}`);
  },
);
