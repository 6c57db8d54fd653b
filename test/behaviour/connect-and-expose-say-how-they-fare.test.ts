import { once } from 'node:events';
import { type AddressInfo, createServer } from 'node:net';
import t from 'tap';
import { adminAddressOf, adminGet } from '../support/e2e-admin.ts';
import { run } from '../support/e2e-program.ts';
import { exchange, talk } from '../support/e2e-sockets.ts';
import { World } from '../support/e2e-world.ts';

const world = await World.make(t);
// A host that was started carelessly: everybody on the network reaches it past the gateway.
const careless = createServer({ allowHalfOpen: true }, socket => socket.pipe(socket)).listen(0, '0.0.0.0');
await once(careless, 'listening');
t.teardown(() => careless.close());
const to = `127.0.0.1:${(careless.address() as AddressInfo).port}`;
const first = await world.gateway({ store: 'fare' });
const args = ['--admin', '127.0.0.1:0'];
const [connect, expose] = await Promise.all([
  world.connect(first, { args }),
  world.expose(first, { to, args }),
]);
const [atConnect, atExpose] = await Promise.all([
  adminAddressOf(connect.program),
  adminAddressOf(expose.program),
]);

async function metric(address: string, name: string): Promise<number> {
  const { body } = await adminGet(address, '/metrics');
  return Number(new RegExp(`^${name}(?:\\{.*\\})? (\\S+)$`, 'm').exec(body)?.[1]);
}

t.test('health, readiness and metrics of both, with a tunnel up and one stream open', async t => {
  const stream = talk(connect.address);
  stream.write('alive');
  await stream.received(5);
  for (const address of [atConnect, atExpose]) {
    t.match(await adminGet(address, '/healthz'), { status: 200, body: /ok/ });
    t.match(await adminGet(address, '/readyz'), { status: 200, body: /"ready"/ });
    t.equal(await metric(address, 'lockwire_tunnels_up'), 1);
    t.equal(await metric(address, 'lockwire_tunnel_streams'), 1);
    t.equal(await metric(address, 'lockwire_tunnel_dials_total'), 1);
  }
  stream.socket.end();
  await stream.closed;
});

t.test('a web page, a foreign Host and the paths of the admin socket get nothing', async t => {
  for (const address of [atConnect, atExpose]) {
    t.equal((await adminGet(address, '/metrics', { host: 'evil.example' })).status, 421);
    t.equal((await adminGet(address, '/metrics', { origin: 'https://evil.example' })).status, 403);
    t.equal((await adminGet(address, '/sessions')).status, 404);
    t.equal((await adminGet(address, '/metrics', {}, 'POST')).status, 405);
  }
});

t.test('the way past the gateway is a metric of expose, with the time of the last look', async t => {
  t.equal(await metric(atExpose, 'lockwire_expose_bypass'), 1);
  const lookedAt = await metric(atExpose, 'lockwire_expose_bypass_look_timestamp_seconds');
  t.ok(Math.abs(lookedAt - Date.now() / 1_000) < 300, `looked at ${lookedAt}`);
  const host = await world.host();
  const honest = await world.expose(first, { to: host.address, args });
  t.equal(await metric(await adminAddressOf(honest.program), 'lockwire_expose_bypass'), 0);
  honest.program.signal('SIGTERM');
  t.equal((await honest.program.ended).code, 0);
});

t.test('without a gateway they are alive and not ready, and say why; ready again with the next', async t => {
  await first.program.kill();
  await Promise.all(
    [connect, expose].map(({ program }) =>
      program.logged(line => line.msg === 'tunnel down; trying again', 'that the tunnel is down'),
    ),
  );
  for (const address of [atConnect, atExpose]) {
    t.match(await adminGet(address, '/readyz'), { status: 503, body: /"not ready","reasons":\["[^"]+"\]/ });
    t.equal((await adminGet(address, '/healthz')).status, 200);
    t.equal(await metric(address, 'lockwire_tunnels_up'), 0);
    t.ok((await metric(address, 'lockwire_tunnel_failures_total')) >= 1);
  }
  const second = await world.gateway({ store: 'fare', bind: `127.0.0.1:${first.port}` });
  await second.program.until(
    () => second.program.logs.filter(({ msg }) => msg === 'tunnel up').length === 2,
    'both tunnels',
  );
  t.equal(await exchange(connect.address, 'served'), 'served');
  for (const address of [atConnect, atExpose]) {
    t.equal((await adminGet(address, '/readyz')).status, 200);
    t.ok((await metric(address, 'lockwire_tunnel_dials_total')) >= 2, 'redials count');
    t.equal(await metric(address, 'lockwire_tunnel_sessions_total'), 2);
  }
});

t.test('an address beyond loopback is refused, as a flag and in the file', async t => {
  const token = world.file('a-token', await world.token({ groups: ['agents'] }));
  const common = ['--gateway', 'gw.example:8443', '--target', 'autogen', '--token-file', token];
  const flag = await run(['connect', ...common, '--listen', '127.0.0.1:0', '--admin', '0.0.0.0:9100']);
  t.match(flag, { code: 2, err: /--admin "0\.0\.0\.0:9100": expected 127\.0\.0\.1:PORT or \[::1\]:PORT/ });
  const config = world.file('expose.json', JSON.stringify({ to: '127.0.0.1:1', admin: '10.0.0.5:9100' }));
  const file = await run(['expose', ...common, '--config', config]);
  t.match(file, { code: 2, err: /--admin "10\.0\.0\.5:9100": expected/ });
});
