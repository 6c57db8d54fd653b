import { randomBytes } from 'node:crypto';
import t from 'tap';
import { ResumePair, rejection } from '../../support/resume-pair.ts';
import { ManualClock, quiet, readAll } from '../../support/tunnel-pair.ts';
import { againstRogue, settle } from '../../support/tunnel-rogue.ts';

for (const cut of ['plain', 'one-byte'] as const) {
  t.test(`a connection cut 20 times under 400 KiB each way costs no byte (${cut} carrier)`, async t => {
    const pair = new ResumePair({ cut });
    await pair.dial();
    const stream = pair.clientSession.open('autogen', 'loopback');
    const near = readAll(stream);
    await quiet();
    const far = readAll(pair.gateway.opened[0]!);
    const up = randomBytes(400 * 1024);
    const down = randomBytes(400 * 1024);
    for (let part = 0; part < 20; part += 1) {
      const [from, to] = [(part * up.byteLength) / 20, ((part + 1) * up.byteLength) / 20];
      stream.write(up.subarray(from, to));
      pair.gateway.opened[0]!.write(down.subarray(from, to));
      // From nothing under way to frames cut in their middle.
      await quiet(part % 5);
      pair.cut();
      await quiet(2);
      t.notOk(pair.clientSession.attached || pair.gatewaySession.attached);
      const [dialled] = await pair.resume();
      t.match(dialled, { status: 'fulfilled', value: { resumed: true } });
    }
    stream.end();
    pair.gateway.opened[0]!.end();
    await Promise.all([near.ended, far.ended]);
    t.ok(far.bytes().equals(up), 'up');
    t.ok(near.bytes().equals(down), 'down');
    t.match(await near.closed, { code: 'done' });
    t.equal(pair.gateway.opened.length, 1, 'one stream, opened once');
  });
}

t.test('a stream that is opened while there is no connection is opened by the next', async t => {
  const pair = new ResumePair();
  await pair.dial();
  pair.cut();
  await quiet();
  const near = readAll(pair.clientSession.open('autogen', 'loopback'));
  await pair.resume();
  await quiet();
  const far = readAll(pair.gateway.opened[0]!);
  pair.gateway.opened[0]!.write(Buffer.from('hello'));
  pair.gateway.opened[0]!.end();
  await near.ended;
  t.equal(near.bytes().toString(), 'hello');
  t.equal(far.bytes().byteLength, 0);
});

t.test('the newest connection wins, over one that looks alive at the gateway', async t => {
  const pair = new ResumePair();
  await pair.dial();
  const stream = pair.clientSession.open('autogen', 'loopback');
  readAll(stream);
  await quiet();
  const far = readAll(pair.gateway.opened[0]!);
  // A black hole: only the client has noticed.
  pair.carriers[0].breakOff();
  await quiet();
  t.ok(pair.gatewaySession.attached);
  stream.write(Buffer.from('after the hole'));
  t.match((await pair.resume())[0], { status: 'fulfilled', value: { resumed: true } });
  await quiet();
  t.equal(far.bytes().toString(), 'after the hole');
  t.equal(pair.gateway.closed, undefined);
});

t.test('a gateway that knows the session no more welcomes a fresh one on the same connection', async t => {
  const pair = new ResumePair();
  await pair.dial();
  const lost = pair.clientSession;
  pair.cut();
  await quiet();
  const [dialled, admitted] = await pair.dial({ session: lost, secret: pair.secret, attempt: 1 }, null);
  t.match(dialled, { value: { resumed: false } });
  t.match(admitted, { value: { resumed: false } });
  t.not(pair.clientSession, lost);
  const near = readAll(pair.clientSession.open('autogen', 'unix'));
  await quiet();
  pair.gateway.opened[0]!.reset({ code: 'denied', text: 'heard' });
  t.match(await near.closed, { code: 'denied', text: 'heard' });
});

t.test(
  'a forged proof, an old attempt and an impossible offset are refused; the honest one goes on',
  async t => {
    const pair = new ResumePair();
    await pair.dial();
    readAll(pair.clientSession.open('autogen', 'loopback'));
    await quiet();
    pair.cut();
    await quiet();
    const { clientSession: session, secret } = pair;
    const forged = await pair.dial({ session, secret: randomBytes(32), attempt: 1 });
    t.match(rejection(forged[0]), { reason: { code: 'denied', text: /proof/ } });
    t.equal(pair.gateway.closed, undefined, 'the session waits on');
    t.match((await pair.resume())[0], { status: 'fulfilled' });
    pair.cut();
    await quiet();
    const replayed = await pair.dial({ session, secret, attempt: 1 });
    t.match(rejection(replayed[0]), { reason: { code: 'denied', text: /attempt 1/ } });
    t.match((await pair.resume())[0], { status: 'fulfilled', value: { resumed: true } });
    t.equal(pair.gateway.closed, undefined);
  },
);

t.test(
  'patienceMs: after a silence the session and its streams wait 60 s, and end with a reason',
  async t => {
    const clock = new ManualClock();
    const pair = new ResumePair({ clock });
    await pair.dial();
    const near = readAll(pair.clientSession.open('autogen', 'loopback'));
    await quiet();
    const far = readAll(pair.gateway.opened[0]!);
    for (const carrier of pair.carriers)
      carrier.breakOff(Object.assign(new Error('gone'), { code: 'ETIMEDOUT' }));
    await quiet();
    clock.advance(59_999);
    t.equal(pair.client.closed, undefined);
    t.equal(pair.gateway.closed, undefined);
    clock.advance(1);
    t.match(await near.closed, { code: 'session-lost', text: /no connection for 60000 ms/ });
    t.match(await far.closed, { code: 'session-lost' });
  },
);

t.test('closedPatienceMs: what was closed or reset, as by a kill, the gateway keeps for 4.5 s', async t => {
  const clock = new ManualClock();
  const pair = new ResumePair({ clock });
  await pair.dial();
  readAll(pair.clientSession.open('autogen', 'loopback'));
  await quiet();
  const far = readAll(pair.gateway.opened[0]!);
  pair.cut();
  await quiet();
  clock.advance(4_499);
  t.equal(pair.gateway.closed, undefined);
  clock.advance(1);
  t.match(await far.closed, { code: 'session-lost', text: /4500 ms/ });
  t.equal(pair.client.closed, undefined, 'the client has not given up');
});

t.test(
  'while detached nothing is given back to the source, and a resume carries the window, not more',
  async t => {
    const pair = new ResumePair();
    await pair.dial();
    const stream = pair.clientSession.open('autogen', 'loopback');
    const near = readAll(stream);
    await quiet();
    const far = readAll(pair.gateway.opened[0]!, false);
    pair.cut();
    await quiet();
    stream.write(Buffer.alloc(1_000_000));
    await quiet();
    t.equal(near.flushed, 0);
    t.ok(pair.clientSession.heldBytes < 1_000_100);
    await pair.resume();
    await quiet(60);
    t.equal(far.bytes().byteLength, 65_536);
    t.equal(near.flushed, 65_536);
  },
);

t.test(
  'suspectMs, watchTickMs: a peer that acknowledges nothing is pinged after 2 s, and gone 10 s later to the second',
  async t => {
    const a = againstRogue({ side: 'dialler' });
    a.rogue.pongs = false;
    a.rogue.acks = false;
    // Until then the session looks every 5 s.
    a.session.open('autogen', 'unix');
    await settle();
    a.clock.advance(4_999);
    await settle();
    t.equal(a.rogue.frames('ping').length, 0);
    a.clock.advance(1);
    await settle();
    t.equal(a.rogue.frames('ping').length, 1, '10 s before its time');
    a.clock.advance(9_999);
    await settle();
    t.equal(a.closed(), undefined);
    a.clock.advance(1);
    await settle();
    t.match(a.closed(), { code: 'timeout' });
  },
);
