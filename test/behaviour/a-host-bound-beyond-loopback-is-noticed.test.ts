import { once } from 'node:events';
import { type AddressInfo, createServer } from 'node:net';
import t from 'tap';
import { exchange } from '../support/e2e-sockets.ts';
import { World } from '../support/e2e-world.ts';

const world = await World.make(t);
const gateway = await world.gateway();
const connect = await world.connect(gateway);
// A host that was started carelessly: everybody on the network reaches it past the gateway.
const careless = createServer({ allowHalfOpen: true }, socket => socket.pipe(socket)).listen(0, '0.0.0.0');
await once(careless, 'listening');
const to = `127.0.0.1:${(careless.address() as AddressInfo).port}`;
t.teardown(() => careless.close());

t.test('expose says so in its ready line and its log, and serves', async t => {
  const expose = await world.expose(gateway, { to });
  const [line] = await expose.program.line(/expose ready for .*/);
  t.match(line, /; WARNING: the host is bound to 0\.0\.0\.0 as well, past lockwire$/);
  t.match(
    expose.program.logs.filter(({ level }) => level === 'warn'),
    [{ msg: /can be reached past lockwire/, bound: ['0.0.0.0'] }],
  );
  t.equal(await exchange(connect.address, 'served'), 'served');
  expose.program.signal('SIGTERM');
  t.equal((await expose.program.ended).code, 0);
});

t.test('--require-no-bypass refuses to serve it, and serves a host on loopback', async t => {
  const args = ['--require-no-bypass'];
  const refused = await world.startExpose(gateway, { to, args });
  t.equal((await refused.ended).code, 1);
  t.equal(refused.out.length, 0);
  t.match(refused.text, /is bound beyond loopback \(0\.0\.0\.0\), and --require-no-bypass refuses that/);
  const host = await world.host();
  const expose = await world.expose(gateway, { to: host.address, args });
  t.notMatch(expose.program.text, /WARNING/);
  t.equal(await exchange(connect.address, 'honest'), 'honest');
});
