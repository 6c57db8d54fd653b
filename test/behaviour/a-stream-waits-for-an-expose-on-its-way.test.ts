import t from 'tap';
import { metricIs } from '../support/e2e-metrics.ts';
import { talk } from '../support/e2e-sockets.ts';
import { type Gateway, World } from '../support/e2e-world.ts';

const settings = { admin: { bind: '127.0.0.1:0' } };

/** The gateway holds so many streams, as it says itself. */
function holds(gateway: Gateway, count: number): Promise<void> {
  return metricIs(gateway, 'lockwire_streams_awaiting_expose', count);
}

t.test('a stream that comes to a successor before its expose does is served', async t => {
  const world = await World.make(t);
  const host = await world.host();
  const former = await world.gateway({ ...settings, store: 'shared' });
  const connect = await world.connect(former);
  const expose = await world.expose(former, { to: host.address });
  expose.program.signal('SIGSTOP');
  former.program.signal('SIGTERM');
  await connect.program.logged(({ msg }) => msg === 'gateway goes away; dialling again', 'the go-away');
  const gateway = await world.gateway({ ...settings, store: 'shared', bind: `127.0.0.1:${former.port}` });
  const client = talk(connect.address);
  client.write('early');
  await holds(gateway, 1);
  expose.program.signal('SIGCONT');
  await client.received(5);
  t.equal(client.text, 'early');
  client.socket.end();
  t.equal(await client.closed, 'end');
  await holds(gateway, 0);
});

t.test('where none comes it is refused after 3 s, with the reason; later ones at once', async t => {
  const world = await World.make(t);
  const gateway = await world.gateway(settings);
  const connect = await world.connect(gateway);
  const startedAt = performance.now();
  const client = talk(connect.address);
  client.write('early');
  t.equal(await client.closed, 'ECONNRESET');
  t.ok(performance.now() - startedAt < 3_500, `after ${Math.round(performance.now() - startedAt)} ms`);
  const why = /no expose serves target "autogen" now/;
  await connect.program.line(why);
  const laterAt = performance.now();
  t.equal(await talk(connect.address).closed, 'ECONNRESET');
  t.ok(performance.now() - laterAt < 1_000, `the next after ${Math.round(performance.now() - laterAt)} ms`);
});

t.test('a stream that comes when its expose has just gone waits for another', async t => {
  const world = await World.make(t);
  const host = await world.host();
  const gateway = await world.gateway(settings);
  const connect = await world.connect(gateway);
  const expose = await world.expose(gateway, { to: host.address });
  // Until nothing is waited for since the start any more.
  const nobody = talk((await world.connect(gateway, { target: 'plain' })).address);
  t.equal(await nobody.closed, 'ECONNRESET');
  const began = performance.now();
  expose.program.signal('SIGTERM');
  await gateway.program.logged(({ msg, role }) => msg === 'tunnel ended' && role === 'expose', 'its end');
  const client = talk(connect.address);
  await holds(gateway, 1);
  t.equal(await client.closed, 'ECONNRESET');
  t.ok(performance.now() - began >= 2_900, `refused after ${Math.round(performance.now() - began)} ms`);
});
