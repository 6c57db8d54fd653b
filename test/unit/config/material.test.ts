import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t from 'tap';
import { loadGatewayConfig } from '../../../lib/config/load-gateway.ts';
import { systemClock } from '../../../lib/core/clock.ts';
import { developmentIssuerPrefix } from '../../../lib/core/development.ts';
import { prepareDevelopment } from '../../../lib/demo/development.ts';
import { goodConfig, makeConfigFiles } from '../../support/config-files.ts';
import { type IssueOptions, makeAuthority, selfSigned } from '../../support/transport-certificates.ts';

const files = await makeConfigFiles();
t.teardown(() => files.remove());
const dayMs = 86_400_000;
const from = (days: number): Date => new Date(Date.now() + days * dayMs);

/** A good config with another certificate and key. */
function withTls(cert: string, key: string): ReturnType<typeof goodConfig> {
  const config = goodConfig();
  Object.assign(config.listeners[0]!, { tls: { cert, key } });
  return config;
}

function withSource(source: Record<string, unknown>): ReturnType<typeof goodConfig> {
  const config = goodConfig();
  config.identity.certificates = [{ name: 'w', ...source }];
  return config;
}

t.test(
  'a private key of mode 0600 or 0400 is read, one that group or others can read is refused',
  async t => {
    for (const mode of [0o600, 0o400]) {
      files.write('mode.key', files.leaf.keyPem, mode);
      await files.load(withTls('gateway.pem', 'mode.key'));
      rmSync(join(files.directory, 'mode.key'));
    }
    for (const mode of [0o644, 0o640, 0o604, 0o620, 0o601]) {
      files.write('mode.key', files.leaf.keyPem, mode);
      t.strictSame(await files.refusal(withTls('gateway.pem', 'mode.key')), [
        `./gateway.json:8:16 listeners[0].tls.key: others can read it (mode 0${mode.toString(8)}): chmod 600 ./mode.key`,
      ]);
    }
  },
);

t.test(
  'a key that is not the certificate’s, encrypted, or none at all is refused without a word of it',
  async t => {
    const other = await files.authority.issue({ dns: ['other.example'] });
    files.write('other.key', other.keyPem);
    files.write(
      'encrypted.key',
      '-----BEGIN ENCRYPTED PRIVATE KEY-----\nc2VjcmV0\n-----END ENCRYPTED PRIVATE KEY-----\n',
    );
    files.write('rubbish.key', 'hunter2hunter2');
    for (const [key, message] of [
      ['other.key', /the private key is not that of certificate "CN=gateway"$/],
      ['encrypted.key', /encrypted with a passphrase; expected a plain PEM key$/],
      ['rubbish.key', /holds no private key that can be read as PEM/],
      ['gateway.pem', /others can read it/],
    ] as const) {
      const lines = await files.refusal(withTls('gateway.pem', key));
      t.match(lines, [message]);
      t.notMatch(lines.join(), /hunter2|c2VjcmV0/);
    }
  },
);

t.test(
  'certificates that ran out, are not yet valid, weak or without name are refused; a short rest is a warning',
  async t => {
    const cases: readonly [IssueOptions, RegExp][] = [
      [{ dns: ['a.example'], notBefore: from(-9), notAfter: from(-1) }, /certificate "CN=.*" ran out on /],
      [{ dns: ['a.example'], notBefore: from(1), notAfter: from(9) }, /is valid only from /],
      [{ commonName: 'nameless' }, /certificate "CN=nameless" has no subjectAltName/],
      [{ dns: ['a.example'], keyType: 'rsa1024' }, /RSA key of 1024 bits, expected at least 2048/],
    ];
    for (const [options, message] of cases) {
      const issued = await files.authority.issue(options);

      files.write('case.pem', issued.certPem);
      files.write('case.key', issued.keyPem);
      t.match(await files.refusal(withTls('case.pem', 'case.key')), [message]);
    }
    for (const [days, warnings] of [
      [6.9, 1],
      [7.1, 0],
    ] as const) {
      const issued = await files.authority.issue({ dns: ['a.example'], notAfter: from(days) });
      files.write('case.pem', issued.certPem);
      files.write('case.key', issued.keyPem);
      const loaded = await files.load(withTls('case.pem', 'case.key'));
      t.equal(loaded.warnings.length, warnings, `${days} days left`);
    }
  },
);

t.test('an intermediate that ran out is refused like a leaf', async t => {
  const lapsed = await makeAuthority({ name: 'Lapsed', notBefore: from(-9), notAfter: from(-1) });
  files.write('chain.pem', `${files.leaf.certPem}\n${lapsed.certPem}`);
  t.match(await files.refusal(withTls('chain.pem', 'gateway.key')), [
    /chain\.pem: certificate "CN=Lapsed" ran out/,
  ]);
});

t.test('files without a certificate, or with a broken one, are refused', async t => {
  files.write('empty.pem', '');
  files.write('broken.pem', '-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n');
  files.write('many.pem', `${files.authority.certPem}\n`.repeat(513));
  t.match(await files.refusal(withTls('empty.pem', 'gateway.key')), [/empty\.pem: holds no certificate/]);
  t.match(await files.refusal(withTls('broken.pem', 'gateway.key')), [
    /broken\.pem: certificate 1 cannot be read/,
  ]);
  t.match(await files.refusal(withSource({ ca: 'many.pem' })), [
    /holds 513 certificates, at most 512 are read/,
  ]);
});

t.test('a bundle with one CA that ran out is a warning, one of which all did is refused', async t => {
  const lapsed = await makeAuthority({ name: 'Lapsed', notBefore: from(-9), notAfter: from(-1) });
  files.write('lapsed.pem', lapsed.certPem);
  files.write('both.pem', `${lapsed.certPem}\n${files.authority.certPem}`);
  t.match(await files.refusal(withSource({ ca: 'lapsed.pem' })), [/"CN=Lapsed" ran out/]);
  const { warnings } = await files.load(withSource({ ca: 'both.pem' }));
  t.match(warnings, [
    { severity: 'warning', path: 'identity.certificates[0].ca', message: /"CN=Lapsed" ran out/ },
  ]);
});

t.test('a revocation list must be there for each CA; one that ran out is a warning', async t => {
  const other = await makeAuthority({ name: 'Other CA' });
  await files.load(withSource({ ca: 'ca.pem', crl: 'ca.crl' }));
  files.write('other.crl', await other.crl({ serials: [] }));
  t.match(await files.refusal(withSource({ ca: 'ca.pem', crl: 'other.crl' })), [
    /no revocation list of certificate "CN=Test CA": all its certificates would be refused/,
  ]);
  files.write('two.pem', `${files.authority.certPem}\n${other.certPem}`);
  t.match(await files.refusal(withSource({ ca: 'two.pem', crl: 'ca.crl' })), [
    /no revocation list of certificate "CN=Other CA"/,
  ]);
  t.match(await files.refusal(withSource({ ca: 'ca.pem', crl: 'ca.pem' })), [/holds 0 revocation lists/]);
  files.write('broken.crl', '-----BEGIN X509 CRL-----\nAAAA\n-----END X509 CRL-----\n');
  t.match(await files.refusal(withSource({ ca: 'ca.pem', crl: 'broken.crl' })), [
    /revocation list 1 cannot be read/,
  ]);
  files.write(
    'old.crl',
    await files.authority.crl({ serials: [], thisUpdate: from(-9), nextUpdate: from(-1) }),
  );
  const { warnings } = await files.load(withSource({ ca: 'ca.pem', crl: 'old.crl' }));
  t.match(warnings, [
    { path: 'identity.certificates[0].crl', message: /revocation list of "CN=Test CA" ran out/ },
  ]);
});

t.test(
  'a key set from a file is read; private keys, symmetric keys and anything else are refused',
  async t => {
    const withKeys = (jwks: string): ReturnType<typeof goodConfig> => {
      const config = goodConfig();
      config.identity.issuers = [{ name: 'corp', issuer: 'https://idp.example', audience: 'a', jwks }];
      return config;
    };
    const good = '{"keys":[{"kty":"EC","crv":"P-256","x":"x","y":"y"}]}';
    files.write('keys.json', good);
    t.match((await files.load(withKeys('keys.json'))).issuers, [
      { jwks: { kind: 'file', path: join(files.directory, 'keys.json'), text: good } },
    ]);
    t.match((await files.load(withKeys('HTTPS://idp.example/keys'))).issuers, [
      { jwks: { kind: 'url', url: 'HTTPS://idp.example/keys' } },
    ]);
    for (const [text, message] of [
      ['no', /holds no JSON/],
      ['{}', /holds no key set/],
      ['{"keys":[]}', /key set without keys/],
      ['{"keys":[1]}', /keys\[0\] is no JSON web key/],
      ['{"keys":[{"kty":"EC","d":"hunter2"}]}', /keys\[0\] is a private or symmetric key/],
      ['{"keys":[{"kty":"oct","k":"hunter2"}]}', /keys\[0\] is a private or symmetric key/],
      [`{"keys":[{"kty":"EC","x":"${'x'.repeat(262_144)}"}]}`, /at most 262144 are read/],
    ] as const) {
      files.write('keys.json', text);
      const lines = await files.refusal(withKeys('keys.json'));
      t.match(lines, [message]);
      t.notMatch(lines.join(), 'hunter2');
    }
  },
);

t.test('an issuer’s own CA goes with the way its keys are fetched', async t => {
  const config = goodConfig();
  config.identity.issuers = [
    { name: 'a', issuer: 'https://a.example', audience: 'a', ca: 'ca.pem' },
    {
      name: 'b',
      issuer: 'https://b.example',
      audience: ['x', 'y'],
      jwks: 'https://b.example/k',
      ca: 'ca.pem',
    },
  ];
  t.match((await files.load(config)).issuers, [
    { audience: ['a'], jwks: { kind: 'discovery', ca: files.authority.certPem } },
    { audience: ['x', 'y'], jwks: { kind: 'url', url: 'https://b.example/k', ca: files.authority.certPem } },
  ]);
});

t.test(
  'a dialled target gets its client certificate, and a wrong one is refused at its own path',
  async t => {
    const config = goodConfig();
    const target = {
      name: 'b',
      protocol: 'tcp',
      dial: 'tls://db.example:5432',
      cert: 'gateway.pem',
      key: 'gateway.key',
    };
    config.targets.push(target);
    t.match((await files.load(config)).targets[1]?.upstream, {
      kind: 'dial',
      host: 'db.example',
      port: 5432,
      serverName: 'db.example',
      cert: files.leaf.certPem,
      key: files.leaf.keyPem,
    });
    const other = await selfSigned({ dns: ['x.example'] });
    files.write('wrong.key', other.keyPem);
    config.targets[1] = { ...target, key: 'wrong.key' };
    t.match(await files.refusal(config), [
      /warning: without "serverNames"/,
      /targets\[1\]\.key: .*the private key is not that of/,
    ]);
  },
);

t.test(
  'what lockwire up writes loads for up and is refused by a gateway, certificate and issuer alike',
  async t => {
    const parent = mkdtempSync(join(tmpdir(), 'lockwire-up-'));
    t.teardown(() => rmSync(parent, { recursive: true }));
    const material = await prepareDevelopment({
      directory: join(parent, '.lockwire'),
      clock: systemClock,
      listen: { host: '127.0.0.1', port: 8443 },
    });
    const loaded = await loadGatewayConfig(material.config, { nowMs: Date.now(), development: true });
    t.ok(loaded.development);
    t.equal(loaded.admin.socketPath, material.adminSocket);
    t.equal(loaded.store.path, material.store);
    t.match(loaded.issuers, [{ name: material.issuerName, issuer: material.issuer, jwks: { kind: 'file' } }]);
    t.strictSame(loaded.warnings, []);
    await t.rejects(loadGatewayConfig(material.config, { nowMs: Date.now() }), {
      code: 'config',
      problems: [
        {
          path: 'listeners[0].tls.cert',
          message: /made by lockwire up for development: a gateway refuses it/,
        },
        {
          path: 'identity.issuers[0].issuer',
          message: /made by lockwire up for development: a gateway refuses it/,
        },
      ],
    });
    t.ok(material.issuer.startsWith(developmentIssuerPrefix));
  },
);
