import t from 'tap';
import { echo, exchange, ignore, talk } from '../support/e2e-sockets.ts';
import { dialRaw, type Raw } from '../support/e2e-tunnel.ts';
import { World } from '../support/e2e-world.ts';
import type { Endpoint } from '../support/relay-endpoint.ts';

const world = await World.make(t);
const host = await world.host();
const limits = { sessionsPerPrincipal: 3, streamsPerSession: 8, pendingOpens: 4 };
const gateway = await world.gateway({ limits });
await world.expose(gateway, { to: host.address });
const victim = await world.connect(gateway, {
  token: await world.token({ sub: 'victim', groups: ['agents'] }),
});
const token = await world.token({ sub: 'greedy', groups: ['agents'] });
const dial = { port: gateway.port, ca: world.authority.certPem, role: 'connect', token } as const;
const bye = { code: 'done', text: '' } as const;

t.test('of 12 sessions of one principal at once 3 are let in; another principal is', async t => {
  const tried = await Promise.allSettled(Array.from({ length: 12 }, () => dialRaw(dial)));
  const let_in = tried.flatMap(result => (result.status === 'fulfilled' ? [result.value] : []));
  const refused = tried.flatMap(result => (result.status === 'rejected' ? [String(result.reason)] : []));
  t.equal(let_in.length, 3);
  t.equal(refused.length, 9);
  for (const reason of refused) t.match(reason, /3 sessions of this principal are open, the limit/);
  t.equal(await exchange(victim.address, 'unhurt'), 'unhurt');
  const before = gateway.program.logs.length;
  for (const raw of let_in) raw.session.close(bye);
  await gateway.program.until(
    () => gateway.program.logs.slice(before).filter(line => line.msg === 'tunnel ended').length >= 3,
    'their ends',
  );
  const again = await dialRaw(dial);
  t.ok(again, 'when they have ended there is room again');
  again.session.close(bye);
  await again.closed;
});

t.test('of 10 streams of a session 8 live; the others are refused and the session lives on', async t => {
  const raw = await dialRaw({ ...dial, limits: { maxStreams: 64 } });
  const streams = [];
  for (let i = 0; i < 8; i += 1) {
    const stream = raw.open('autogen');
    stream.write(Buffer.from('x'));
    await stream.untilReceived(1);
    streams.push(stream);
  }
  for (let i = 0; i < 2; i += 1)
    t.match(await raw.open('autogen').untilClosed(), {
      code: 'limit',
      text: '8 streams are open, the limit',
    });
  const [first] = streams;
  first?.stream.end();
  t.match(await first?.untilClosed(), { code: 'done' });
  const next = raw.open('autogen');
  next.write(Buffer.from('x'));
  await next.untilReceived(1);
  t.pass('when one has ended there is room for the next');
  raw.session.close(bye);
  await raw.closed;
});

t.test('opens that nobody takes up are bounded, and hurt nobody else', async t => {
  const server = await world.token({ sub: 'server', groups: ['hosts'] });
  // An expose that never answers.
  const silent = await dialRaw({ ...dial, token: server, role: 'expose', target: 'plain', onOpen() {} });
  const raw = await dialRaw(dial);
  const pending = Array.from({ length: 4 }, () => raw.open('plain'));
  t.match(await raw.open('plain').untilClosed(), { code: 'limit', text: '4 opens are pending, the limit' });
  t.same(
    pending.map(({ reason }) => reason),
    [undefined, undefined, undefined, undefined],
  );
  t.equal(await exchange(victim.address, 'unhurt'), 'unhurt');
  raw.session.close(bye);
  silent.session.close(bye);
  await Promise.all([raw.closed, silent.closed]);
});

t.test(
  'a flood of 3,000 opens ends the session that sends it; another principal’s streams go on',
  async t => {
    const stream = talk(victim.address);
    stream.write('before');
    await stream.received(6);
    // All that an honest end holds itself to is lifted here.
    const much = 1_000_000;
    const raw = await dialRaw({
      ...dial,
      limits: {
        maxStreams: much,
        opensPerSecond: much,
        opensBurst: much,
        maxControlQueueBytes: 64 * much,
        maxUnackedControlBytes: 64 * much,
      },
    });
    for (let i = 0; i < 3_000; i += 1) raw.open('autogen');
    t.match(await raw.closed, { code: 'limit', text: /refused opens a second/ });
    t.equal(await exchange(victim.address, 'a new one'), 'a new one');
    stream.socket.end(' and after');
    t.equal(await stream.closed, 'end');
    t.equal(stream.text, 'before and after');
    t.ok(gateway.program.alive);
  },
);

/** So many live streams, not more of them pending at a time than may be. */
async function openMany(raw: Raw, target: string, count: number): Promise<Endpoint[]> {
  const streams: Endpoint[] = [];
  while (streams.length < count) {
    const batch = Array.from({ length: Math.min(50, count - streams.length) }, () => raw.open(target));
    for (const stream of batch) stream.write(Buffer.from('x'));
    await Promise.all(
      batch.map(stream => stream.until(() => stream.receivedBytes > 0 || stream.reason !== undefined)),
    );
    streams.push(...batch);
  }
  return streams;
}

t.test('300 streams of three principals live at one expose, and a fourth still gets in', async t => {
  const wide = await world.gateway();
  const served = await world.host();
  await world.expose(wide, { to: served.address });
  const raws = await Promise.all(
    ['one', 'two', 'three'].map(async sub => {
      const token = await world.token({ sub, groups: ['agents'] });
      return dialRaw({ ...dial, port: wide.port, token });
    }),
  );
  const streams = (await Promise.all(raws.map(raw => openMany(raw, 'autogen', 100)))).flat();
  t.same(new Set(streams.map(({ reason }) => reason)), new Set([undefined]), 'all live');
  const token = await world.token({ sub: 'four', groups: ['agents'] });
  const fourth = await dialRaw({ ...dial, port: wide.port, token });
  const [late] = await openMany(fourth, 'autogen', 1);
  t.equal(late?.receivedBytes, 1);
  for (const { session } of [...raws, fourth]) session.close(bye);
  await Promise.all([...raws, fourth].map(({ closed }) => closed));
});

t.test('one stream that is stuck among a hundred slows no other: all others move 256 KiB', async t => {
  const wide = await world.gateway();
  let first = true;
  const server = await world.host(socket => {
    if (first) ignore(socket);
    else echo(socket);
    first = false;
  });
  await world.expose(wide, { target: 'plain', to: server.address });
  const raw = await dialRaw({ ...dial, port: wide.port });
  const stuck = raw.open('plain');
  await server.next();
  void stuck.send(Buffer.alloc(16 * 1024 * 1024, 1));
  const block = Buffer.alloc(262_144, 7);
  const others = await openMany(raw, 'plain', 99);
  await Promise.all(others.map(other => other.sendAndEnd(block)));
  const ends = await Promise.all(others.map(other => other.untilClosed()));
  t.same(new Set(ends.map(({ code }) => code)), new Set(['done']));
  t.equal(
    others.reduce((sum, { receivedBytes }) => sum + receivedBytes, 0),
    99 * (block.byteLength + 1),
  );
  t.equal(stuck.reason, undefined, 'the stuck one lives');
  t.ok(stuck.flushedBytes < 16 * 1024 * 1024, `it is held: ${stuck.flushedBytes} B went`);
  raw.session.close(bye);
  await raw.closed;
});
