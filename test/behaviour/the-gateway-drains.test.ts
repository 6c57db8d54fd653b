import t from 'tap';
import { exchange, talk } from '../support/e2e-sockets.ts';
import { World } from '../support/e2e-world.ts';

t.test(
  'SIGTERM: a live stream goes on to its end, new ones go elsewhere, and the gateway exits with 0',
  async t => {
    const world = await World.make(t);
    const host = await world.host();
    const first = await world.gateway({ store: 'drain' });
    await world.expose(first, { to: host.address });
    const connect = await world.connect(first);
    const stream = talk(connect.address);
    stream.write('before');
    await stream.received(6);

    first.program.signal('SIGTERM');
    await first.program.logged(line => line.msg === 'draining; once more to end at once', 'that it drains');
    await connect.program.logged(
      line => line.msg === 'gateway goes away; dialling again',
      'that connect knows',
    );
    stream.write(', during');
    await stream.received(14);

    // Address, key and admin socket are free already: its successor starts beside it, from the same store.
    const second = await world.gateway({ store: 'drain', bind: `127.0.0.1:${first.port}` });
    await second.program.logged(
      line => line.msg === 'tunnel up' && line.role === 'expose',
      'expose at the new one',
    );
    t.equal(await exchange(connect.address, 'new'), 'new', 'a new stream goes through the new gateway');
    t.ok(first.program.alive, 'the old one still carries its stream');

    stream.socket.end(', after');
    t.equal(await stream.closed, 'end');
    t.equal(stream.text, 'before, during, after');
    t.same(await first.program.ended, { code: 0, signal: null }, 'with its last stream it ends well');
    t.match(
      first.program.logs.filter(line => line.msg === 'session ended'),
      [{ reason: 'done', bytesUp: 21, bytesDown: 21 }],
    );
    t.equal(await exchange(connect.address, 'newer'), 'newer');
  },
);

t.test('a second SIGTERM ends a live stream at once, with shutdown at both ends', async t => {
  const world = await World.make(t);
  const host = await world.host();
  const gateway = await world.gateway();
  const expose = await world.expose(gateway, { to: host.address });
  const connect = await world.connect(gateway);
  const stream = talk(connect.address);
  stream.write('alive');
  await stream.received(5);
  gateway.program.signal('SIGTERM');
  await gateway.program.logged(line => line.msg === 'draining; once more to end at once', 'that it drains');
  stream.write(' still');
  await stream.received(11);
  gateway.program.signal('SIGTERM');
  t.match(await stream.closed, /ECONNRESET|closed/);
  t.same(await gateway.program.ended, { code: 0, signal: null });
  for (const { program } of [connect, expose]) {
    const line = await program.logged(({ msg }) => msg === 'stream ended', 'the end of the stream');
    t.match(line, { reason: 'shutdown' });
  }
  t.match(
    gateway.program.logs.filter(line => line.msg === 'session ended'),
    [{ reason: 'shutdown', bytesUp: 11, bytesDown: 11 }],
  );
});

t.test('connect and expose drain as well: a live stream ends by itself, then they exit with 0', async t => {
  const world = await World.make(t);
  const host = await world.host();
  const gateway = await world.gateway();
  const expose = await world.expose(gateway, { to: host.address });
  const connect = await world.connect(gateway);
  const stream = talk(connect.address);
  stream.write('before');
  await stream.received(6);
  for (const { program } of [connect, expose]) {
    program.signal('SIGTERM');
    await program.logged(line => line.msg === 'draining; once more to end at once', 'that it drains');
  }
  const refused = talk(connect.address);
  t.match(await refused.closed, /ECONN(REFUSED|RESET)/, 'nothing new is taken');
  stream.socket.end(' after');
  t.equal(await stream.closed, 'end');
  t.equal(stream.text, 'before after');
  for (const { program } of [connect, expose]) t.same(await program.ended, { code: 0, signal: null });
  t.ok(gateway.program.alive);
});
