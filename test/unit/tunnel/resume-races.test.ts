import { randomBytes } from 'node:crypto';
import t from 'tap';
import { Exposers } from '../../../lib/tunnel/exposers.ts';
import { RefusedResume } from '../../../lib/tunnel/handshake-accept.ts';
import type { TunnelStream } from '../../../lib/tunnel/stream.ts';
import { ResumePair, rejection } from '../../support/resume-pair.ts';
import { ManualClock, quiet, readAll } from '../../support/tunnel-pair.ts';

async function resumable(...options: ConstructorParameters<typeof ResumePair>) {
  const pair = new ResumePair(...options);
  await pair.dial();
  const stream = pair.clientSession.open('autogen', 'loopback');
  const near = readAll(stream);
  await quiet();
  return { pair, stream, near, far: pair.gateway.opened[0] as TunnelStream };
}

t.test('what is sent between the end of a connection and its close is carried by the next', async t => {
  const { pair, stream, far } = await resumable();
  const read = readAll(far);
  // The peer's half-close: the connection is over, and its close comes a moment later.
  pair.carriers[0].events?.end();
  t.ok(pair.clientSession.attached, 'the moment between');
  const second = readAll(pair.clientSession.open('autogen', 'unix'));
  stream.reset({ code: 'cancelled', text: 'changed my mind' });
  await quiet();
  t.notOk(pair.clientSession.attached);
  await pair.resume();
  await quiet();
  t.match(await read.closed, { code: 'cancelled', text: 'changed my mind' });
  t.equal(pair.gateway.opened.length, 2, 'the Open came');
  pair.gateway.opened[1]?.reset({ code: 'denied', text: 'seen' });
  t.match(await second.closed, { code: 'denied', text: 'seen' });
});

t.test('a stream that ends the session while its bytes count as sent leaves nothing that waits', async t => {
  const { pair, stream } = await resumable();
  const { clientSession } = pair;
  const other = clientSession.open('autogen', 'unix');
  other.start({
    data() {},
    end() {},
    flushed: () => clientSession.close({ code: 'shutdown', text: 'enough' }),
    closed() {},
  });
  await quiet();
  pair.carriers[0].stuck = true;
  other.write(Buffer.alloc(100));
  await quiet(2);
  pair.cut();
  await quiet();
  t.equal(clientSession.state, 'closed');
  t.match(pair.client.closed, { code: 'shutdown' });
  t.equal(pair.client.detached.length, 0, 'nobody is told to dial again');
  t.equal(stream.state, 'closed');
});

t.test('the same over a connection that looks alive: no resume of what has ended', async t => {
  const { pair, far } = await resumable();
  const { gatewaySession } = pair;
  far.start({
    data() {},
    end() {},
    flushed: () => gatewaySession.close({ code: 'revoked', text: 'enough' }),
    closed() {},
  });
  pair.carriers[1].stuck = true;
  far.write(Buffer.alloc(100));
  await quiet(2);
  pair.carriers[0].breakOff();
  await quiet();
  await pair.resume();
  await quiet();
  t.equal(gatewaySession.state, 'closed');
  t.match(pair.gateway.closed, { code: 'revoked' });
});

t.test('a gateway that drains ends what has no connection, and takes no resume any more', async t => {
  const detached = await resumable();
  detached.pair.cut();
  await quiet();
  detached.pair.gatewaySession.drain({ code: 'shutdown', text: 'draining' });
  t.match(detached.pair.gateway.closed, { code: 'shutdown' }, 'at once');

  const attached = await resumable();
  attached.pair.gatewaySession.drain({ code: 'shutdown', text: 'draining' });
  await quiet();
  attached.pair.cut();
  await quiet();
  t.match(attached.pair.gateway.closed, { code: 'io' }, 'nobody waits');
  t.match(await attached.near.closed, { code: 'shutdown' }, 'and the client knows why');
});

t.test('a session that ended while its Hello was judged is not welcomed in its place', async t => {
  const { pair } = await resumable();
  pair.cut();
  await quiet();
  pair.gatewaySession.close({ code: 'revoked', text: 'meanwhile' });
  const [dialled, admitted] = await pair.resume();
  t.match(rejection(dialled), { reason: { code: 'unavailable', text: 'the session ended meanwhile' } });
  t.equal(admitted.status, 'rejected');
});

t.test(
  'a forged proof and an old attempt are told apart from other refusals: they count as failures',
  async t => {
    const { pair } = await resumable();
    pair.cut();
    await quiet();
    const { clientSession: session, secret } = pair;
    const [, forged] = await pair.dial({ session, secret: randomBytes(32), attempt: 1 });
    t.type(rejection(forged), RefusedResume);
    await pair.resume();
    pair.cut();
    await quiet();
    const [, replayed] = await pair.dial({ session, secret, attempt: 1 });
    t.type(rejection(replayed), RefusedResume);
  },
);

t.test('two resumes at once: the newer stays, whichever was admitted first', async t => {
  for (const newestFirst of [true, false]) {
    const { pair, stream, far } = await resumable();
    const read = readAll(far);
    pair.cut();
    await quiet();
    const { clientSession: session, secret } = pair;
    const attempts = newestFirst ? [2, 1] : [1, 2];
    const results = await Promise.all(attempts.map(attempt => pair.dial({ session, secret, attempt })));
    await quiet();
    stream.write(Buffer.from('once'));
    await quiet();
    t.equal(read.bytes().toString(), 'once', `${attempts}`);
    const refused = results.filter(([, admitted]) => rejection(admitted) instanceof RefusedResume).length;
    t.equal(refused, newestFirst ? 1 : 0, 'the older one came too late');
    t.equal(pair.gateway.closed, undefined);
  }
});

t.test('a stream reset while a frame of it was cut: the rest of the frame is let pass', async t => {
  const { pair, stream, near, far } = await resumable();
  readAll(far);
  stream.write(Buffer.alloc(60_000, 1));
  // In the middle of the frame: the carrier brings the first half only.
  const { events } = pair.carriers[1];
  const whole = events?.data.bind(events);
  if (events) events.data = chunk => whole?.(chunk.subarray(0, 30_000));
  await quiet(3);
  pair.cut();
  await quiet();
  far.reset({ code: 'denied', text: 'no more' });
  await pair.resume();
  await quiet();
  t.match(await near.closed, { code: 'denied' });
  t.equal(pair.gateway.closed, undefined);
  t.equal(pair.client.closed, undefined);
});

t.test(
  'a session that went on over a second connection while it had one says that it was not away',
  async t => {
    const clock = new ManualClock();
    const { pair } = await resumable({ clock });
    clock.advance(10_000);
    pair.carriers[0].breakOff();
    await quiet();
    await pair.resume();
    t.equal(pair.gatewaySession.detachedAtMs, 10_000);
  },
);

t.test('of several exposes of a stateless target one that has a connection is rather taken', async t => {
  const [a, b] = [await resumable(), await resumable()];
  const exposers = new Exposers(new ManualClock());
  exposers.add('plain', a.pair.gatewaySession);
  exposers.add('plain', b.pair.gatewaySession);
  a.pair.cut();
  await quiet();
  t.equal(exposers.pick('plain', false), b.pair.gatewaySession);
  t.equal(exposers.pick('plain', true), a.pair.gatewaySession, 'of a stateful one never the newcomer');
  b.pair.cut();
  await quiet();
  t.ok(exposers.pick('plain', false), 'and rather one that waits than none');
});
