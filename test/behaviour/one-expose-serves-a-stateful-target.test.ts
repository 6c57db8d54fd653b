import t from 'tap';
import { exchange, greet, talk } from '../support/e2e-sockets.ts';
import { World } from '../support/e2e-world.ts';

t.test(
  'a second expose never takes the traffic of a live one; it takes over when the first ends',
  async t => {
    const world = await World.make(t);
    const [first, second] = [await world.host(greet('first')), await world.host(greet('second'))];
    const gateway = await world.gateway();
    const one = await world.expose(gateway, { to: first.address });
    const connect = await world.connect(gateway);
    t.equal(await exchange(connect.address, ''), 'first');
    await world.expose(gateway, { to: second.address });
    for (let i = 0; i < 8; i += 1) t.equal(await exchange(connect.address, ''), 'first', `connection ${i}`);
    t.equal(second.sockets.length, 0, 'the second was asked for nothing');
    await one.program.kill();
    await gateway.program.logged(
      line => line.msg === 'tunnel ended' && line.role === 'expose',
      'the end of the first expose',
    );
    t.equal(await exchange(connect.address, ''), 'second', 'after the first was killed');
  },
);

t.test('connections to a target without state spread over its two exposes', async t => {
  const world = await World.make(t);
  const hosts = [await world.host(), await world.host()];
  const gateway = await world.gateway();
  for (const host of hosts) await world.expose(gateway, { target: 'plain', to: host.address });
  const connect = await world.connect(gateway, { target: 'plain' });
  const clients = [];
  for (let i = 0; i < 8; i += 1) {
    const client = talk(connect.address);
    client.write('x');
    await client.received(1);
    clients.push(client);
  }
  t.same(
    hosts.map(host => host.sockets.length),
    [4, 4],
    'of 8 live connections each has 4',
  );
  for (const client of clients) client.socket.end();
  for (const client of clients) t.equal(await client.closed, 'end');
});
