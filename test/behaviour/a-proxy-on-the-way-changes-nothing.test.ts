import t from 'tap';
import { startBox } from '../support/e2e-inspection-box.ts';
import { exchange } from '../support/e2e-sockets.ts';
import { World } from '../support/e2e-world.ts';
import {
  type ForwardProxySettings,
  type RunningProxy,
  startForwardProxy,
} from '../support/loopback-forward-proxy.ts';

const world = await World.make(t);
const host = await world.host();
const gateway = await world.gateway();

// A name that only the proxy can resolve: who reaches the gateway by it has gone through the proxy.
const authority = `gateway.example:${gateway.port}`;
const args = ['--gateway', authority];

async function proxy(settings: Partial<ForwardProxySettings> = {}): Promise<RunningProxy> {
  const route = (asked: string) => (asked === authority ? gateway.port : undefined);
  const running = await startForwardProxy({ route, ...settings });
  t.teardown(() => running.close());
  return running;
}

const secret = 'alice:hunter2:hunter2';
const guarded = await proxy({ credential: secret });
const url = (password: string) => `http://alice:${encodeURIComponent(password)}@127.0.0.1:${guarded.port}`;

t.test(
  'connect and expose reach the gateway through HTTPS_PROXY with a password that is not logged',
  async t => {
    const env = { HTTPS_PROXY: url('hunter2:hunter2') };
    const expose = await world.expose(gateway, { to: host.address, args, env });
    const connect = await world.connect(gateway, { args, env });
    t.equal(await exchange(connect.address, 'through'), 'through');
    t.equal(guarded.heads.length, 2);
    t.match(guarded.heads[0], new RegExp(`^CONNECT ${authority} HTTP/1.1\r\nHost: ${authority}\r\n`));
    for (const { program } of [expose, connect]) {
      t.match(program.text, /the gateway is reached through a proxy \(HTTPS_PROXY\)/);
      t.notMatch(program.text, /hunter2|aHVudGVyM|YWxpY2U6/);
    }
    const direct = await world.connect(gateway, { env });
    t.equal(await exchange(direct.address, 'direct'), 'direct', 'an address of this machine needs no proxy');
    t.equal(guarded.heads.length, 2);
  },
);

t.test('a proxy that refuses, by its status: final where asking again would not help', async t => {
  const elsewhere = await proxy({ route: () => undefined });
  const cases: [string, string, RegExp][] = [
    ['no user', `http://127.0.0.1:${guarded.port}`, /refused gateway\.example:\d+: 407 .*; it wants a user/],
    [
      'a wrong password',
      url('wrong'),
      /refused .*: 407 .*; the user or password in HTTPS_PROXY is not accepted/,
    ],
    ['forbidden', `http://127.0.0.1:${elsewhere.port}`, /refused gateway\.example:\d+: 403 Forbidden/],
  ];
  for (const [name, HTTPS_PROXY, why] of cases) {
    const program = await world.startConnect(gateway, { args, env: { HTTPS_PROXY } });
    t.equal((await program.ended).code, 1, name);
    t.match(program.text, why, name);
    t.match(program.text, /proxy 127\.0\.0\.1:\d+/, name);
  }
});

t.test(
  'a proxy that is TLS itself is verified against the system’s roots, and refused without them',
  async t => {
    const leaf = await world.authority.issue({ dns: ['localhost'] });
    const running = await proxy({ tls: { cert: leaf.certPem, key: leaf.keyPem } });
    const HTTPS_PROXY = `https://localhost:${running.port}`;
    const trusting = { HTTPS_PROXY, SSL_CERT_FILE: `${world.directory}/ca.pem` };
    const connect = await world.connect(gateway, { args, env: trusting });
    t.equal(await exchange(connect.address, 'tls in tls'), 'tls in tls');
    const big = 'x'.repeat(1024 * 1024);
    t.equal(await exchange(connect.address, big), big);
    const program = await world.startConnect(gateway, { args, env: { HTTPS_PROXY } });
    t.equal((await program.ended).code, 1);
    t.match(program.text, /proxy localhost: its certificate comes from no authority that is trusted here/);
    t.equal(running.heads.length, 1, 'nothing was asked of it');
  },
);

t.test('a proxy that inspects TLS is refused all the same, before a credential is sent', async t => {
  const box = await startBox(world, gateway.port);
  t.teardown(() => box.close());
  const inspecting = await proxy({ route: () => box.port });
  const env = { HTTPS_PROXY: `http://127.0.0.1:${inspecting.port}` };
  const program = await world.startConnect(gateway, { args, env, ca: box.caFile });
  t.equal((await program.ended).code, 1);
  t.match(
    program.text,
    /TLS to the gateway is intercepted; the certificate seen was issued by Corporate Inspection CA/,
  );
  t.equal(box.seen().byteLength, 0, 'not one byte came to the box');
});
