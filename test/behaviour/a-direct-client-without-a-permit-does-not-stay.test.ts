import { once } from 'node:events';
import { type ClientHttp2Session, connect } from 'node:http2';
import t from 'tap';
import { callOf, DirectWorld } from '../support/direct-world.ts';
import { World } from '../support/e2e-world.ts';

/** However it comes about. */
function closeOf(client: ClientHttp2Session): Promise<void> {
  return new Promise(resolve => client.on('close', resolve));
}

t.test('who never sends a permitted request is cut at handshakeTimeout, busy or silent', async t => {
  const direct = await DirectWorld.make(t, { listener: { handshakeTimeout: '2s' } });
  const alice = await direct.agent('alice');
  const nobody = await direct.world.token({ sub: 'nobody', groups: [] });
  const good = await direct.live(await direct.client(), alice);
  for (const [name, token] of [
    ['silent', undefined],
    ['denied', nobody],
    ['unknown', 'not.a.token'],
  ] as const) {
    const client = await direct.client();
    const began = performance.now();
    const closed = closeOf(client);
    let refused = 0;
    for (let i = 0; i < 50 && name !== 'silent'; i += 1) {
      const { status } = await callOf(client, token, 'dialled.example').ended;
      if (status === '7' || status === '16') refused += 1;
    }
    await closed;
    const tookMs = Math.round(performance.now() - began);
    t.ok(tookMs > 1_000 && tookMs < 3_500, `${name}: ${tookMs} ms, ${refused} requests refused`);
    t.equal(refused, name === 'silent' ? 0 : 50);
  }
  t.ok(await good.echoes('stays'), 'one with a permit stays');
});

t.test('nor may it send without end: after some 128 KiB it is cut before its time', async t => {
  const direct = await DirectWorld.make(t);
  const nobody = await direct.world.token({ sub: 'nobody', groups: [] });
  const good = await direct.live(await direct.client(), await direct.agent('alice'));
  const client = await direct.client();
  const closed = closeOf(client);
  const before = direct.gateway.program.logs.length;
  while (!client.closed && !client.destroyed) await callOf(client, nobody, 'dialled.example').ended;
  await closed;
  const line = await direct.gateway.program.logged(
    ({ msg }) => msg === 'HTTP/2 connection ended',
    'its end',
    before,
  );
  t.ok(Number(line.bytesUp) <= 2 * 65_536 + 16_384, `${line.bytesUp} B in ${line.durationMs} ms`);
  t.ok(await good.echoes('stays'), 'one with a permit stays');
});

t.test('maxConnections holds for them; a place that comes free is taken', async t => {
  const direct = await DirectWorld.make(t, { listener: { maxConnections: 3 } });
  const alice = await direct.agent('alice');
  const clients = [await direct.client(), await direct.client(), await direct.client()];
  const lives = await Promise.all(clients.map(client => direct.live(client, alice)));
  await t.rejects(direct.client(), 'the fourth finds no place');
  for (const live of lives) t.ok(await live.echoes('stays'));
  const ended = direct.gateway.program.logs.length;
  clients[0]?.destroy();
  await direct.gateway.program.logged(({ msg }) => msg === 'HTTP/2 connection ended', 'its end', ended);
  t.ok(await direct.live(await direct.client(), alice));
});

t.test('at maxUnfinishedPerSource the oldest without a permit goes, and none with one', async t => {
  const direct = await DirectWorld.make(t, { listener: { maxUnfinishedPerSource: 4 } });
  const alice = await direct.agent('alice');
  const good = await direct.live(await direct.client(), alice);
  const idle = [];
  for (let i = 0; i < 4; i += 1) idle.push(await direct.client());
  const [oldest, ...others] = idle;
  const closed = closeOf(oldest as NonNullable<typeof oldest>);
  const newest = await direct.live(await direct.client(), alice);
  await closed;
  t.notOk(others.some(({ closed }) => closed));
  t.ok((await good.echoes('stays')) && (await newest.echoes('stays')));
});

t.test('with HTTP/2 to no target the port speaks none of it', async t => {
  const world = await World.make(t);
  const gateway = await world.gateway({ targets: [{ name: 'autogen', protocol: 'tcp', via: 'tunnel' }] });
  const session = connect(`https://127.0.0.1:${gateway.port}`, {
    servername: 'gateway.example',
    ca: world.authority.certPem,
  });
  t.teardown(() => session.destroy());
  await t.rejects(once(session, 'connect'));
});
