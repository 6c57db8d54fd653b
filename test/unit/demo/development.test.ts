import { createHash, X509Certificate } from 'node:crypto';
import { chmod, mkdtemp, readdir, readFile, rm, stat, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createLocalJWKSet, jwtVerify } from 'jose';
import t, { type Test } from 'tap';
import { createAuthenticator } from '../../../lib/access/identity/authenticator.ts';
import { createAuthorizer } from '../../../lib/access/policy/authorizer.ts';
import { loadGatewayConfig } from '../../../lib/config/load-gateway.ts';
import { developmentIssuerPrefix, hasDevelopmentMarker } from '../../../lib/core/development.ts';
import { noMetrics, silentLog } from '../../../lib/core/ports.ts';
import { callContext } from '../../../lib/core/request-path.ts';
import { type DevelopmentMaterial, prepareDevelopment } from '../../../lib/demo/development.ts';
import { identityOptions, policyOptions } from '../../../lib/gateway-options.ts';
import { TurnedClock } from '../../support/transport-clock.ts';

const dayMs = 24 * 60 * 60_000;

interface Scene {
  readonly directory: string;
  readonly clock: TurnedClock;
  prepare(): Promise<DevelopmentMaterial>;
}

async function scene(t: Test): Promise<Scene> {
  const parent = await mkdtemp(join(tmpdir(), 'lockwire-'));
  t.teardown(() => rm(parent, { recursive: true }));
  const directory = join(parent, '.lockwire');
  const clock = new TurnedClock();
  const prepare = () => prepareDevelopment({ directory, clock, listen: { host: '127.0.0.1', port: 8443 } });
  return { directory, clock, prepare };
}

const sha256 = async (path: string): Promise<string> =>
  createHash('sha256')
    .update(await readFile(path))
    .digest('hex');

t.test('is private, ignores itself in git, and leaves nothing half made', async t => {
  const { directory, prepare } = await scene(t);
  const { made } = await prepare();
  t.ok(made);
  const found: Record<string, string> = {};
  for (const name of ['.', ...(await readdir(directory, { recursive: true }))]) {
    const { mode } = await stat(join(directory, name));
    found[name] = (mode & 0o777).toString(8);
  }
  t.same(found, {
    '.': '700',
    '.gitignore': '600',
    'gateway.json': '600',
    'issuer.jwks.json': '600',
    keys: '700',
    'keys/ca.pem': '600',
    'keys/gateway.key': '600',
    'keys/gateway.pem': '600',
    'keys/issuer.key': '600',
    'policy.cedar': '600',
    tokens: '700',
  });
  t.equal(await readFile(join(directory, '.gitignore'), 'utf8'), '*\n');
});

t.test('the certificates are marked, live 30 days, and no key of the CA exists', async t => {
  const { directory, clock, prepare } = await scene(t);
  const material = await prepare();
  const ca = new X509Certificate(await readFile(material.ca));
  const leaf = new X509Certificate(await readFile(material.cert));
  for (const certificate of [ca, leaf]) {
    t.ok(hasDevelopmentMarker(certificate.raw));
    t.ok(Math.abs(certificate.validToDate.getTime() - clock.now() - 30 * dayMs) < 1_000);
  }
  t.ok(ca.ca && !leaf.ca && leaf.verify(ca.publicKey));
  t.equal(leaf.subjectAltName, 'DNS:localhost, IP Address:127.0.0.1, IP Address:0:0:0:0:0:0:0:1');
  const keys = (await readdir(join(directory, 'keys'))).filter(name => name.endsWith('.key'));
  t.same(keys, ['gateway.key', 'issuer.key']);
});

t.test('is kept until a fifth of its life is left, then made anew with another issuer', async t => {
  const { clock, prepare } = await scene(t);
  const first = await prepare();
  const before = await sha256(first.key);
  clock.turn(23 * dayMs);
  const second = await prepare();
  t.match([second.made, await sha256(second.key), second.issuer], [false, before, first.issuer]);
  clock.turn(dayMs + 60 * 60_000);
  const third = await prepare();
  t.equal(third.made, true);
  t.not(await sha256(third.key), before);
  t.not(third.issuer, first.issuer);
});

t.test('is made anew when the clock stands before its beginning', async t => {
  const { directory, clock, prepare } = await scene(t);
  await prepare();
  const earlier = new TurnedClock(clock.now() - 3 * 60 * 60_000);
  const listen = { host: '127.0.0.1', port: 8443 };
  t.equal((await prepareDevelopment({ directory, clock: earlier, listen })).made, true);
});

t.test(
  'a key that is readable by all, missing, broken, foreign or a link is refused by name, with what to do',
  async t => {
    const { directory, prepare } = await scene(t);
    const keys = join(directory, 'keys');
    const { key } = await prepare();
    const good = await readFile(key);
    await chmod(key, 0o644);
    await t.rejects(prepare(), {
      code: 'config',
      message: `${key} can be read by other users (0644): chmod 600 ${key}`,
    });
    await chmod(key, 0o600);
    t.equal((await prepare()).made, false, 'after the chmod it is taken');

    await rm(key);
    await t.rejects(prepare(), {
      code: 'config',
      message: `${key} is missing: remove ${keys} and it is made anew`,
    });
    await symlink('/dev/null', key);
    await t.rejects(prepare(), { code: 'config', message: new RegExp(`^cannot read ${key}`) });
    await rm(key);
    const secret = 'A'.repeat(60);
    await writeFile(key, `-----BEGIN PRIVATE KEY-----\n${secret}\n-----END PRIVATE KEY-----\n`, {
      mode: 0o600,
    });
    const error: unknown = await prepare().catch((caught: unknown) => caught);
    t.match(error, { code: 'config', message: new RegExp(`^${key} is broken .*remove ${keys}`) });
    t.notOk(String(error).includes(secret.slice(0, 8)), 'nothing of the key is told');
    await writeFile(key, await readFile(join(keys, 'issuer.key')), { mode: 0o600 });
    await t.rejects(prepare(), { message: new RegExp(`^${key} does not fit gateway.pem`) });
    await writeFile(key, Buffer.alloc(65_537), { mode: 0o600 });
    await t.rejects(prepare(), { message: `${key} is 65537 bytes long, the most is 65536` });
    await writeFile(key, good, { mode: 0o600 });
    await writeFile(join(keys, 'issuer.key'), 'x', { mode: 0o600 });
    await t.rejects(prepare(), { message: new RegExp(`^${join(keys, 'issuer.key')} is broken`) });
    await rm(keys, { recursive: true });
    t.equal((await prepare()).made, true, 'the advice helps');
  },
);

t.test('a public certificate may be read by all, an open directory may not', async t => {
  const { directory, prepare } = await scene(t);
  const { ca, cert } = await prepare();
  await chmod(ca, 0o644);
  await chmod(cert, 0o644);
  t.equal((await prepare()).made, false);
  await chmod(directory, 0o755);
  await t.rejects(prepare(), {
    code: 'config',
    message: `${directory} is open to other users (0755): chmod 700 ${directory}`,
  });
});

t.test('four starts at once in an empty directory agree on one set of keys', async t => {
  const { prepare } = await scene(t);
  const made = await Promise.all([prepare(), prepare(), prepare(), prepare()]);
  t.equal(new Set(made.map(({ issuer }) => issuer)).size, 1);
  const again = await prepare();
  t.match([again.made, again.issuer], [false, made[0]?.issuer]);
});

t.test('an address beyond loopback is refused before anything is made', async t => {
  const { directory, clock } = await scene(t);
  for (const host of ['0.0.0.0', '::', '192.0.2.1'])
    await t.rejects(prepareDevelopment({ directory, clock, listen: { host, port: 8443 } }), {
      code: 'usage',
    });
  await t.rejects(stat(directory), { code: 'ENOENT' });
});

t.test(
  'a token is an access token of this issuer, and its key is in the JWKS without its private half',
  async t => {
    const { clock, prepare } = await scene(t);
    const material = await prepare();
    const jwks = JSON.parse(await readFile(material.jwks, 'utf8')) as { keys: object[] };
    t.same(Object.keys(jwks.keys[0] ?? {}).sort(), ['alg', 'crv', 'kid', 'kty', 'use', 'x', 'y']);
    const token = await material.mintToken({ subject: 'alice', lifetimeMs: 60_000 });
    const verified = await jwtVerify(
      token,
      createLocalJWKSet(jwks as Parameters<typeof createLocalJWKSet>[0]),
      {
        issuer: material.issuer,
        audience: 'lockwire',
        typ: 'at+jwt',
        algorithms: ['ES256'],
        currentDate: new Date(clock.now()),
      },
    );
    const { sub, iat = 0, exp = 0, jti = '' } = verified.payload;
    t.match([sub, exp - iat], ['alice', 60]);
    t.ok(material.issuer.startsWith(developmentIssuerPrefix));
    const other = await jwtVerify(
      await material.mintToken({ subject: 'alice' }),
      createLocalJWKSet(jwks as never),
    );
    t.not(other.payload.jti, jti);
    for (const lifetimeMs of [0, 999, 24 * 60 * 60_000 + 1, Number.NaN])
      await t.rejects(material.mintToken({ subject: 'alice', lifetimeMs }), { code: 'usage' });
  },
);

t.test(
  'the config is one that `up` may load and a gateway refuses; its issuer and policy admit a minted token',
  async t => {
    const { clock, prepare } = await scene(t);
    const material = await prepare();
    const nowMs = clock.now();
    await t.rejects(loadGatewayConfig(material.config, { nowMs }), {
      message: /for development: a gateway refuses it/,
    });
    const config = await loadGatewayConfig(material.config, { nowMs, development: true });
    t.match(config.listeners, [{ bind: { host: '127.0.0.1', port: 8443 } }]);
    t.match(config.targets, [
      {
        ...{ name: material.target, kind: 'autogen-rpc', upstream: { kind: 'tunnel' } },
        services: ['agents.AgentRpc'],
      },
    ]);
    const ports = { clock, log: silentLog, metrics: noMetrics };
    const authenticator = createAuthenticator(identityOptions(config), ports);
    const { principal } = await authenticator.token(await material.mintToken({ subject: 'alice' }), {});
    t.match(principal, { kind: 'user', issuer: 'dev', subject: 'alice' });
    const authorizer = await createAuthorizer(policyOptions(config), ports);
    const path = '/agents.AgentRpc/OpenChannel';
    const allows = (action: 'connect' | 'call' | 'expose' | 'admin', id: string): boolean =>
      authorizer.decide({
        principal,
        action,
        resource: { type: action === 'admin' ? 'Admin' : 'Target', id },
        context: action === 'call' ? callContext('POST', '127.0.0.1:50051', path) : {},
      }).allow;
    const registers = (id: string): boolean =>
      authorizer.decide({
        ...{ principal, action: 'message', resource: { type: 'AgentType', id } },
        context: { operation: 'register', agentType: 'writer' },
      }).allow;
    t.same([registers('autogen/writer'), registers('other/writer')], [true, false]);
    t.match(
      [
        allows('connect', 'autogen'),
        allows('call', 'autogen'),
        allows('expose', 'autogen'),
        allows('connect', 'other'),
        allows('call', 'other'),
        allows('admin', 'sessions'),
      ],
      [true, true, true, false, false, false],
    );
  },
);
