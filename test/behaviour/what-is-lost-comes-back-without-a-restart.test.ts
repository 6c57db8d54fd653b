import t from 'tap';
import { exchange, type Talk, talk } from '../support/e2e-sockets.ts';
import { World } from '../support/e2e-world.ts';

const world = await World.make(t);

async function live(address: string): Promise<Talk> {
  const client = talk(address);
  client.write('alive');
  await client.received(5);
  return client;
}

t.test('connect and expose start before their gateway, and survive its kill -9', async t => {
  const host = await world.host();
  // A port for all gateways of this test: found by one that is then killed.
  const first = await world.gateway({ store: 'loss-a' });
  await first.program.kill();
  const gateway = { port: first.port };
  const bind = `127.0.0.1:${first.port}`;
  const [expose, connect] = await Promise.all([
    world.startExpose(gateway, { to: host.address }),
    world.startConnect(gateway),
  ]);
  const waiting = await connect.logged(line => line.msg === 'no gateway yet; trying again', 'that it waits');
  t.match(waiting, { reason: 'unavailable', detail: /cannot be reached: ECONNREFUSED/ });

  const second = await world.gateway({ store: 'loss-a', bind });
  await expose.line(/expose ready/);
  const address = (await connect.line(/connect ready on (\S+), target/))[1] ?? '';
  t.equal(
    connect.logs.filter(line => line.msg === 'no gateway yet; trying again').length,
    1,
    'one line, however often it tried',
  );
  const streams = [await live(address), await live(address)];

  const killedAt = performance.now();
  await second.program.kill();
  for (const stream of streams) t.match(await stream.closed, /ECONNRESET|closed/, 'a live stream is reset');
  const tookMs = performance.now() - killedAt;
  t.comment(`its streams ended within ${Math.round(tookMs)} ms`);
  await connect.logged(line => line.msg === 'tunnel down; trying again', 'that the tunnel is down');
  t.match(await connect.logged(line => line.msg === 'stream ended', 'the reason of the stream'), {
    reason: 'session-lost',
  });
  t.match(await expose.logged(line => line.msg === 'stream ended', 'the reason at the other end'), {
    reason: 'session-lost',
  });

  const third = await world.gateway({ store: 'loss-a', bind });
  await third.program.logged(line => line.msg === 'tunnel up' && line.role === 'expose', 'expose again');
  t.equal(await exchange(address, 'back'), 'back', 'the same processes carry new streams');
  t.ok(connect.alive && expose.alive);
  for (const { program } of [third]) await program.kill();
  for (const program of [connect, expose]) await program.kill();
});

t.test('kill -9 of expose ends its streams; new ones are refused until it is back', async t => {
  const host = await world.host();
  const gateway = await world.gateway();
  const expose = await world.expose(gateway, { to: host.address });
  const connect = await world.connect(gateway);
  const stream = await live(connect.address);
  await expose.program.kill();
  t.match(await stream.closed, /ECONNRESET|closed/);
  await gateway.program.logged(
    line => line.msg === 'tunnel ended' && line.role === 'expose',
    'the end of expose',
  );
  t.match(await gateway.program.logged(line => line.msg === 'session ended', 'why the stream ended'), {
    reason: 'session-lost',
    bytesUp: 5,
    bytesDown: 5,
  });
  const refused = talk(connect.address);
  refused.write('anyone?');
  t.match(await refused.closed, /ECONNRESET|closed/);
  await connect.program.line(/no expose serves target "autogen" now/);
  await world.expose(gateway, { to: host.address });
  t.equal(await exchange(connect.address, 'served again'), 'served again');
});

t.test(
  'a host that goes away resets its streams with a reason; started again, it is served again',
  async t => {
    const host = await world.host();
    const gateway = await world.gateway();
    const expose = await world.expose(gateway, { to: host.address });
    const connect = await world.connect(gateway);
    const stream = await live(connect.address);
    await host.crash();
    t.match(await stream.closed, /ECONNRESET|closed/);
    t.match(await expose.program.logged(line => line.msg === 'stream ended', 'why the stream ended'), {
      reason: 'io',
    });
    const refused = talk(connect.address);
    refused.write('anyone?');
    t.match(await refused.closed, /ECONNRESET|closed/);
    t.match(await expose.program.logged(line => line.msg === 'host cannot be reached', 'why'), {
      detail: /nothing listens there/,
    });
    t.match(
      await connect.program.logged(
        line => line.msg === 'stream ended' && line.reason === 'unavailable',
        'that the reason reached the other end',
      ),
      { detail: /expose cannot reach its host/ },
    );
    await world.host(undefined, host.port);
    t.equal(await exchange(connect.address, 'as before'), 'as before');
  },
);
