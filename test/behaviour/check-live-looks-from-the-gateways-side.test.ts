import { once } from 'node:events';
import { chmodSync, mkdirSync, readFileSync, utimesSync } from 'node:fs';
import { createServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { createServer as createTlsServer, type TLSSocket } from 'node:tls';
import t from 'tap';
import { run } from '../support/e2e-program.ts';
import { startTlsEcho } from '../support/e2e-tls.ts';
import { makeIssuer, World } from '../support/e2e-world.ts';
import { makeAuthority } from '../support/transport-certificates.ts';

const world = await World.make(t);
const leaf = await world.authority.issue({ dns: ['localhost'] });
const { jwks } = await makeIssuer();
const day = 86_400_000;

/** An issuer on https that answers by path. */
const answers = new Map<string, string>();
const web = createServer({ cert: leaf.certPem, key: leaf.keyPem }, (request, response) => {
  const body = answers.get(request.url ?? '');
  response.writeHead(body === undefined ? 404 : 200).end(body);
});
web.listen(0, '127.0.0.1');
await once(web, 'listening');
const origin = `https://localhost:${(web.address() as AddressInfo).port}`;
t.teardown(() => web.close());
answers.set('/keys', jwks);
answers.set(
  '/.well-known/openid-configuration',
  JSON.stringify({ issuer: origin, jwks_uri: `${origin}/keys` }),
);

const upstream = await startTlsEcho(leaf);
t.teardown(() => upstream.close());
const strict = createTlsServer({ cert: leaf.certPem, key: leaf.keyPem, requestCert: true, ca: leaf.certPem });
const strictSockets: TLSSocket[] = [];
strict.on('secureConnection', socket => strictSockets.push(socket.on('error', () => undefined)));
strict.listen(0, '127.0.0.1');
await once(strict, 'listening');
t.teardown(() => {
  strict.close();
  for (const socket of strictSockets) socket.destroy();
});
const portOf = (server: { address(): unknown }): number => (server.address() as AddressInfo).port;

interface Config {
  listeners: Record<string, unknown>[];
  identity: { issuers: Record<string, unknown>[]; certificates?: Record<string, unknown>[] };
  targets: Record<string, unknown>[];
  policy: { files: string[] };
  store: { path: string };
  admin: { socket?: string };
}

/** Writes a changed copy of a config. */
function variant(path: string, name: string, change: (config: Config) => void): string {
  const config = JSON.parse(readFileSync(path, 'utf8')) as Config;
  // TLS clients of a target are known by their certificate.
  for (const { tls } of config.listeners) Object.assign(tls as object, { clientCertificates: 'optional' });
  change(config);
  return world.file(name, JSON.stringify(config, null, 2));
}

const issuer = { audience: 'lockwire', token: 'access', ca: 'ca.pem' };
const dialled = { protocol: 'tcp', ca: 'ca.pem', serverName: 'localhost' };
const revoked = await world.authority.crl({ serials: [] });
world.file('fresh.crl', revoked);

t.test('all is well beside a running gateway: a line each, and nothing is left behind', async t => {
  const gateway = await world.gateway({
    certificates: [{ name: 'workloads', ca: 'ca.pem', crl: 'fresh.crl' }],
  });
  const host = await world.host();
  await world.expose(gateway, { to: host.address });
  const path = variant(gateway.config, 'well.json', config => {
    config.listeners = [
      { ...config.listeners[0], bind: `127.0.0.1:${gateway.port}` },
      { ...config.listeners[0], name: 'second' },
    ];
    config.identity.issuers.push(
      { ...issuer, name: 'remote', issuer: 'https://remote.example', jwks: `${origin}/keys` },
      { ...issuer, name: 'discovered', issuer: origin },
    );
    config.targets.push({
      ...dialled,
      name: 'api',
      dial: `tls://127.0.0.1:${upstream.port}`,
      serverNames: ['any.legacy.example', '*.legacy.example'],
    });
  });
  const { code, out, err } = await run(['check', '--live', path]);
  t.equal(code, 0, `${out}\n${err}`);
  const lines = out.split('\n');
  t.equal(lines[0], `${path}: ok`);
  for (const [what, seen] of [
    ['clock', /\d{4}-\d\d-\d\dT/],
    [
      'certificate of public',
      /DNS:gateway\.example.*, issued by Scratch CA, chain of 1, expires in \d+ days/,
    ],
    [
      'listener public',
      new RegExp(`127\\.0\\.0\\.1:${gateway.port} is in use, and the gateway of this config is running`),
    ],
    ['listener second', /127\.0\.0\.1:0 is free/],
    ['issuer corp', /1 key from .*issuer\.jwks\.json/],
    ['issuer remote', new RegExp(`1 key from ${origin}/keys`)],
    ['issuer discovered', new RegExp(`1 key from ${origin}/keys`)],
    ['authority workloads', /list of "CN=Scratch CA" until /],
    ['target autogen', /served by 1 expose$/],
    ['target plain', /no expose serves it now/],
    ['target api', /TLSv1\.3, .*issued by Scratch CA, verified/],
    ['store', /is writable, 0700, \d+ MiB are left/],
  ] as const) {
    const line = lines.find(text => text.startsWith(`  ${what} `));
    t.match(line, /^ {2}.* {2}ok {6}/, what);
    t.match(line, seen, what);
  }
  t.ok(gateway.program.alive);
});

t.test(
  'each thing that is wrong has its line, none hides another, and the right ones stay right',
  async t => {
    const stranger = await makeAuthority({ name: 'Somebody Else' });
    world.file('stranger.pem', stranger.certPem);
    world.file(
      'stale.crl',
      await world.authority.crl({
        serials: [],
        thisUpdate: new Date(Date.now() - 2 * day),
        nextUpdate: new Date(Date.now() - day),
      }),
    );
    const busy = await world.host();
    const leafOnly = await world.authority.issue({ dns: ['gateway.example'] });
    world.file('disordered.pem', `${leafOnly.certPem}${stranger.certPem}`);
    world.file('disordered.key', leafOnly.keyPem);
    answers.set(
      '/elsewhere/.well-known/openid-configuration',
      JSON.stringify({ issuer: origin, jwks_uri: `${origin}/keys` }),
    );
    const path = variant(world.config(), 'ill.json', config => {
      const [listener] = config.listeners;
      config.listeners = [
        { ...listener, bind: busy.address },
        { ...listener, name: 'foreign', bind: '192.0.2.1:8443' },
        {
          ...listener,
          name: 'disordered',
          tls: { cert: 'disordered.pem', key: 'disordered.key', clientCertificates: 'optional' },
        },
      ];
      config.identity.issuers = [
        { ...config.identity.issuers[0], algorithms: ['RS256'] },
        { ...issuer, name: 'missing', issuer: 'https://remote.example', jwks: `${origin}/nothing` },
        { ...issuer, name: 'other', issuer: `${origin}/elsewhere` },
        { ...issuer, name: 'fine', issuer: 'https://fine.example', jwks: `${origin}/keys` },
      ];
      config.identity.certificates = [{ name: 'workloads', ca: 'ca.pem', crl: 'stale.crl' }];
      config.targets.push(
        {
          ...dialled,
          name: 'untrusted',
          ca: 'stranger.pem',
          dial: `tls://127.0.0.1:${upstream.port}`,
          serverNames: ['a.legacy.example'],
        },
        { ...dialled, name: 'closed', dial: 'tls://127.0.0.1:1', serverNames: ['b.legacy.example'] },
        {
          ...dialled,
          name: 'strict',
          dial: `tls://127.0.0.1:${portOf(strict)}`,
          serverNames: ['uncovered.example'],
        },
        {
          ...dialled,
          name: 'api',
          dial: `tls://127.0.0.1:${upstream.port}`,
          serverNames: ['c.legacy.example'],
        },
      );
      const store = join(world.directory, 'open.data');
      mkdirSync(store);
      chmodSync(store, 0o755);
      config.store.path = 'open.data';
      config.admin = {};
      const tomorrow = new Date(Date.now() + day);
      utimesSync(join(world.directory, config.policy.files[0] ?? ''), tomorrow, tomorrow);
    });
    const { code, out, err } = await run(['check', '--live', path]);
    t.equal(code, 1, `${out}\n${err}`);
    const lines = out.split('\n');
    for (const [what, seen] of [
      ['clock', /\.cedar was written later: set it \(NTP\)/],
      [
        'certificate of public',
        /does not hold uncovered\.example of "serverNames", only DNS:gateway\.example/,
      ],
      [
        'listener public',
        new RegExp(`${busy.address} is in use by another program: no gateway of this config runs`),
      ],
      [
        'listener foreign',
        /192\.0\.2\.1:8443 cannot be had \(EADDRNOTAVAIL\): this machine has no such address/,
      ],
      ['certificate of disordered', /certificate 1 of the chain is not issued by the one after it/],
      ['issuer corp', /1 keys, none of them for RS256/],
      ['issuer missing', /answered 404, 200 wanted/],
      ['issuer other', /is not of issuer/],
      ['authority workloads', /"CN=Scratch CA" is not in force .* all its certificates are refused/],
      ['target untrusted', /no authority that is trusted here.*issued by CN=Scratch CA/],
      ['target closed', /127\.0\.0\.1:1 cannot be reached: ECONNREFUSED/],
      ['target strict', /closed the connection after the handshake.*client certificate/],
      ['store', /others can read .*open\.data \(mode 0755\): chmod 700/],
    ] as const) {
      const line = lines.find(text => text.startsWith(`  ${what} `));
      t.match(line, /^ {2}.* {2}FAILED {2}/, what);
      t.match(line, seen, what);
    }
    for (const what of ['issuer fine', 'target api', 'listener disordered'])
      t.match(
        lines.find(text => text.startsWith(`  ${what} `)),
        / {2}ok {6}/,
        what,
      );
    t.equal(busy.sockets.length, 0, 'who has the port was not spoken to');
  },
);

t.test('a config that is wrong by itself is not tried live', async t => {
  const path = variant(world.config(), 'broken.json', config => {
    config.listeners[0] = { ...config.listeners[0], bind: 'nowhere' };
  });
  const { code, out } = await run(['check', '--live', path]);
  t.equal(code, 2);
  t.equal(out, '');
});
