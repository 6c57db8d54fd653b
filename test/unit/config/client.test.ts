import { join } from 'node:path';
import t from 'tap';
import { loadClientConfig } from '../../../lib/config/client.ts';
import type { ClientFlags } from '../../../lib/config/client-schema.ts';
import { ConfigError } from '../../../lib/config/problem.ts';
import { makeConfigFiles } from '../../support/config-files.ts';

const files = await makeConfigFiles();
t.teardown(() => files.remove());
const tokenFile = files.write('token', '  header.payload.signature\n');
const env = { HOME: '/home/alice' };
const base = { gateway: 'gateway.example:8443', target: 'autogen', tokenFile };
const connect = (flags: ClientFlags, more: Record<string, string> = {}) =>
  loadClientConfig(
    'connect',
    { ...base, listen: '127.0.0.1:50051', ...flags },
    { env: { ...env, ...more }, nowMs: Date.now() },
  );
const expose = (flags: ClientFlags) =>
  loadClientConfig('expose', { ...base, to: '127.0.0.1:50052', ...flags }, { env, nowMs: Date.now() });

t.test('flags alone make a config', async t => {
  const loaded = await connect({});
  t.match(loaded, {
    role: 'connect',
    gateway: { host: 'gateway.example', port: 8443 },
    serverName: 'gateway.example',
    target: 'autogen',
    local: { kind: 'tcp', host: '127.0.0.1', port: 50051 },
    token: { path: tokenFile },
    logLevel: 'info',
    drainTimeoutMs: 600_000,
    warnings: [],
  });
  t.equal(loaded.ca, undefined);
  t.equal(loaded.certificate, undefined);
  t.match(
    loaded.instanceKeyFile,
    /^\/home\/alice\/\.local\/state\/lockwire\/instances\/connect-autogen-[0-9a-f]{12}\.key$/,
  );
  t.match(await expose({ to: 'unix:/run/host.sock' }), {
    role: 'expose',
    local: { kind: 'unix', path: '/run/host.sock' },
  });
});

t.test(
  'two connects with different ports have keys of their own; XDG_STATE_HOME moves them unless it is relative',
  async t => {
    const one = await connect({});
    const two = await connect({ listen: '127.0.0.1:50053' });
    t.not(one.instanceKeyFile, two.instanceKeyFile);
    t.match(
      (await connect({}, { XDG_STATE_HOME: '/state' })).instanceKeyFile,
      /^\/state\/lockwire\/instances\//,
    );
    t.match(
      (await connect({}, { XDG_STATE_HOME: 'state' })).instanceKeyFile,
      /^\/home\/alice\/\.local\/state\//,
    );
  },
);

t.test('a config file gives what flags do not, its paths are relative to it, and flags win', async t => {
  const config = files.write(
    'connect.json',
    `{ // with comments
      "gateway": "other.example:1", "target": "legacy", "listen": "unix:agents.sock", "serverName": "sni.example",
      "ca": "ca.pem", "tokenFile": "token", "instanceKeyFile": "instance.key", "logLevel": "warn", "drainTimeout": "5s",
    }`,
  );
  const flags = { config, gateway: 'gateway.example:8443' };
  t.match(await loadClientConfig('connect', flags, { env, nowMs: Date.now() }), {
    gateway: { host: 'gateway.example', port: 8443 },
    serverName: 'sni.example',
    target: 'legacy',
    local: { kind: 'unix', path: join(files.directory, 'agents.sock') },
    ca: files.authority.certPem,
    token: { path: tokenFile },
    instanceKeyFile: join(files.directory, 'instance.key'),
    logLevel: 'warn',
    drainTimeoutMs: 5000,
  });
});

t.test('a mistake in the file has its line, as has a setting of the other command', async t => {
  const config = files.write('bad.json', '{\n  "gatewya": "a",\n  "hosts": [],\n  "to": "127.0.0.1:1"\n}');
  await t.rejects(connect({ config }), {
    message: [
      `${config}:2:3 gatewya: unknown key; did you mean "gateway"?`,
      `${config}:3:12 hosts: wrong value: an empty list; expected at least one entry`,
      `${config}:4:3 to: belongs to lockwire expose`,
    ].join('\n'),
  });
  await t.rejects(connect({ config }), ConfigError);
});

t.test('a flag that is missing or wrong is said with what was expected', async t => {
  const flags = { ...base, listen: '127.0.0.1:1' };
  const cases: [ClientFlags, RegExp][] = [
    [{ ...flags, gateway: undefined }, /^missing --gateway HOST:PORT$/],
    [{ ...flags, gateway: 'gateway.example' }, /^--gateway "gateway.example": expected HOST:PORT$/],
    [{ ...flags, target: undefined }, /^missing --target NAME$/],
    [{ ...flags, target: 'a/b' }, /^--target "a\/b": expected 1 to 128 letters/],
    [{ ...flags, listen: undefined }, /^missing --listen ADDR/],
    [{ ...flags, listen: '0.0.0.0:1' }, /is not loopback: plaintext never leaves this machine/],
    [
      { ...flags, tokenFile: undefined },
      /^no credential: give --token-file FILE, or --cert FILE and --key FILE$/,
    ],
    [{ ...flags, tokenFile: join(files.directory, 'absent') }, /^--token-file: no such file: .*absent$/],
    [
      { ...flags, cert: join(files.directory, 'gateway.pem') },
      /^--cert and --key go together: --key is missing$/,
    ],
    [{ ...flags, ca: join(files.directory, 'token') }, /^--ca .*token: holds no certificate/],
    [{ ...flags, serverName: 'a b' }, /^--server-name "a b": expected a DNS name or an IP address$/],
    [
      { ...flags, logLevel: 'wran' },
      /^--log-level "wran": expected debug, info, warn, error; did you mean "warn"\?$/,
    ],
  ];
  for (const [given, message] of cases)
    await t.rejects(loadClientConfig('connect', given, { env, nowMs: Date.now() }), {
      code: 'usage',
      message,
    });
  await t.rejects(expose({ to: '127.0.0.1:0' }), { code: 'usage', message: /port 0 cannot be dialled/ });
});

t.test('a client certificate is read, checked and given beside or in place of a token', async t => {
  const cert = join(files.directory, 'gateway.pem');
  const key = join(files.directory, 'gateway.key');
  const alone = await connect({ tokenFile: undefined, cert, key });
  t.strictSame(alone.certificate, { cert: files.leaf.certPem, key: files.leaf.keyPem });
  t.equal(alone.token, undefined);
  t.ok((await connect({ cert, key })).token);
  const open = files.write('open.key', files.leaf.keyPem, 0o644);
  await t.rejects(connect({ cert, key: open }), {
    code: 'usage',
    message: /^--key: others can read it \(mode 0644\): chmod 600/,
  });
});

t.test(
  'a credential flag replaces the file’s credential; LOCKWIRE_TOKEN_FILE is the last resort',
  async t => {
    const config = files.write('cert.json', '{ "cert": "gateway.pem", "key": "gateway.key" }');
    const flagged = await connect({ config });
    t.ok(flagged.token);
    t.equal(flagged.certificate, undefined);
    const filed = await connect({ config, tokenFile: undefined }, { LOCKWIRE_TOKEN_FILE: '/absent' });
    t.ok(filed.certificate);
    t.equal(filed.token, undefined);
    const last = await connect({ tokenFile: undefined }, { LOCKWIRE_TOKEN_FILE: tokenFile });
    t.equal(last.token?.path, tokenFile);
  },
);

t.test('a token is read anew each time, trimmed, and never comes back in an error', async t => {
  const path = files.write('renewed', 'first.token.x\n');
  const { token } = await connect({ tokenFile: path });
  t.equal(await token?.read(), 'first.token.x');
  files.write('renewed', 'second.token.y');
  t.equal(await token?.read(), 'second.token.y');
  const refused: [string, number, RegExp][] = [
    ['', 0o600, /^holds no token: /],
    [' \n', 0o600, /^holds no token: /],
    ['hunter2 hunter2', 0o600, /^holds something else than one token: /],
    ['hunter2\r\nx-injected: 1', 0o600, /^holds something else than one token: /],
    ['hunter2', 0o644, /^others can read it \(mode 0644\): chmod 600 /],
    ['h'.repeat(16_385), 0o600, /^file of 16385 bytes, at most 16384 are read: /],
  ];
  for (const [text, mode, message] of refused) {
    files.write('renewed', text, mode);
    const error = (await token?.read().catch((error: unknown) => error)) as Error;
    t.match(error.message, message);
    t.notMatch(error.message, 'hunter2');
  }
  files.write('renewed', 'h'.repeat(16_384));
  t.equal((await token?.read())?.length, 16_384);
});

t.test('a token or key pasted in place of its path does not come back', async t => {
  for (const flags of [
    { tokenFile: 'eyJhbGciOiJFUzI1NiJ9.e30.hunter2' },
    { key: '-----BEGIN PRIVATE KEY-----\nhunter2', cert: 'x' },
  ]) {
    const error = (await connect(flags).catch((error: unknown) => error)) as Error;
    t.match(error.message, /^--(token-file|key): expected the path of a file, not its content$/);
  }
});

t.test(
  'HTTPS_PROXY is the way to the gateway, unless NO_PROXY covers it or it is on this machine',
  async t => {
    const proxied = { HTTPS_PROXY: 'http://proxy.example:3128' };
    const used = async (more: Record<string, string>, gateway = base.gateway): Promise<boolean> =>
      (await connect({ gateway }, more)).forwardProxy !== undefined;
    t.same((await connect({}, proxied)).forwardProxy, { host: 'proxy.example', port: 3128, tls: false });
    t.ok(await used({ https_proxy: 'http://p:1' }));
    t.notOk(await used({}));
    t.notOk(await used({ HTTPS_PROXY: '' }));
    t.notOk(await used({ ...proxied, https_proxy: '' }), 'lower case wins, also where it says none');
    for (const covering of [
      ...['*', 'gateway.example', 'GATEWAY.example', '.example', 'example', '*.example'],
      ...['x, gateway.example', 'x gateway.example', 'gateway.example:8443'],
    ])
      t.notOk(await used({ ...proxied, NO_PROXY: covering }), covering);
    for (const other of [
      '',
      'ateway.example',
      'gateway.example:443',
      'gateway.example.org',
      'x',
      '10.0.0.0/8',
      '.',
    ])
      t.ok(await used({ ...proxied, NO_PROXY: other }), other);
    for (const local of ['127.0.0.1:8443', 'localhost:8443', '[::1]:8443'])
      t.notOk(await used(proxied, local), local);
    const addresses: [string, string, boolean][] = [
      ['10.1.2.3:8443', '10.0.0.0/8', false],
      ['10.1.2.3:8443', '10.1.2.3', false],
      ['10.1.2.3:8443', '11.0.0.0/8', true],
      ['10.1.2.3:8443', '10.0.0.0/33', true],
      ['10.1.2.3:8443', '2.3', true],
      ['10.1.2.3:8443', '0.0.0.0/0', false],
      ['[2001:db8::1]:8443', '2001:db8::/32', false],
      ['[2001:db8::1]:8443', '2001:db8:0::1', false],
      ['[2001:db8::1]:8443', '2001:db9::/32', true],
      ['[2001:db8::1]:8443', '10.0.0.0/8', true],
    ];
    for (const [gateway, exception, through] of addresses)
      t.equal(
        await used({ ...proxied, NO_PROXY: exception }, gateway),
        through,
        `${gateway} NO_PROXY=${exception}`,
      );
  },
);

t.test('the proxy’s URL: a default port, a user with a password, and no word of it in an error', async t => {
  const at = async (url: string) => (await connect({}, { HTTPS_PROXY: url })).forwardProxy;
  t.same(await at('proxy.example'), { host: 'proxy.example', port: 80, tls: false });
  t.same(await at('proxy.example:3128/'), { host: 'proxy.example', port: 3128, tls: false });
  t.same(await at('https://proxy.example'), { host: 'proxy.example', port: 443, tls: true });
  t.same(await at('http://[2001:db8::1]:8080'), { host: '2001:db8::1', port: 8080, tls: false });
  t.equal(
    (await at('http://al%40ice:hunter%3A2@p:1'))?.authorization,
    `Basic ${Buffer.from('al@ice:hunter:2').toString('base64')}`,
  );
  const bad = [
    'socks5://alice:hunter2@p:1',
    'http://alice:hunter2@',
    'http://alice:hunter2%@p:1',
    'http://p:0',
  ];
  for (const url of [...bad, 'http://alice:hunter2@p:1/path', 'http://alice:hunter2@p:99999']) {
    const error = (await at(url).catch((error: unknown) => error)) as Error;
    t.match(error, { code: 'usage', message: /^HTTPS_PROXY: expected http:\/\// }, url);
    t.notMatch(error.message, 'hunter2');
  }
});

t.test('a proxy beside the listener or in its place; the target and the hosts lead to it', async t => {
  t.equal((await connect({})).connectProxy, undefined);
  const hosts = ['Agents.internal', 'studio.internal:443', '10.0.0.1'];
  const beside = await connect({ proxy: '127.0.0.1:3128', hosts, target: 'AutoGen' });
  t.match(beside.local, { port: 50051 });
  t.same(beside.connectProxy, {
    address: { kind: 'tcp', host: '127.0.0.1', port: 3128 },
    alone: false,
    hosts: [
      { host: 'autogen' },
      { host: 'agents.internal' },
      { host: 'studio.internal', port: 443 },
      { host: '10.0.0.1' },
    ],
  });
  const alone = await connect({ listen: undefined, proxy: 'unix:/run/proxy.sock' });
  t.match(alone, { local: { path: '/run/proxy.sock' }, connectProxy: { alone: true } });
  const wrong: [ClientFlags, RegExp][] = [
    [{ hosts }, /^--hosts names what a proxy leads to: give --proxy ADDR as well$/],
    [{ proxy: '0.0.0.0:3128' }, /^--proxy "0\.0\.0\.0:3128" is not loopback/],
    [{ proxy: '127.0.0.1:1', hosts: ['http://a/'] }, /^--hosts "http:\/\/a\/": expected HOST or HOST:PORT$/],
  ];
  for (const [flags, message] of wrong) await t.rejects(connect(flags), { code: 'usage', message });
});

t.test('users by name or number; a name that the machine does not know is an error', async t => {
  t.same((await connect({ allowUser: ['root', '1000', '0'] })).allowUsers, [0, 1000, 0]);
  for (const user of ['nosuch-user', '-1', '4294967295', '01', ''])
    await t.rejects(connect({ allowUser: [user] }), {
      code: 'usage',
      message: /no such user in \/etc\/passwd/,
    });
});
