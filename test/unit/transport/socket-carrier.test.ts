import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import t from 'tap';
import { SocketCarrier } from '../../../lib/transport/socket-carrier.ts';
import { CarrierProbe, tcpPair } from '../../support/transport-sockets.ts';

t.test('carries bytes both ways, 1 B and 300 chunks of 7 kB in one write', async t => {
  const { near, far, close } = await tcpPair();
  t.teardown(close);
  const a = new CarrierProbe(new SocketCarrier(near));
  const b = new CarrierProbe(new SocketCarrier(far));
  await a.write('x');
  await b.received(1);
  t.equal(b.text(), 'x');
  const chunks = Array.from({ length: 300 }, () => randomBytes(7000));
  const done = new Promise<void>(resolve => b.carrier.write(chunks, resolve));
  await a.received(300 * 7000);
  await done;
  t.ok(Buffer.concat(a.chunks).equals(Buffer.concat(chunks)));
});

t.test(
  'an end is a half-close: the other direction still carries 100 kB, then both close in order',
  async t => {
    const { near, far, close } = await tcpPair();
    t.teardown(close);
    const a = new CarrierProbe(new SocketCarrier(near));
    const b = new CarrierProbe(new SocketCarrier(far));
    a.carrier.end();
    await b.ended;
    await b.write(Buffer.alloc(100_000, 'y'));
    b.carrier.end();
    await a.ended;
    t.equal(a.bytes, 100_000);
    t.equal(await a.closed, undefined);
    t.equal(await b.closed, undefined);
  },
);

t.test('bytes before start wait, and no more than two buffers of them are taken from the kernel', async t => {
  const { near, far, close } = await tcpPair();
  t.teardown(close);
  const carrier = new SocketCarrier(far);
  near.write(Buffer.alloc(300_000, 'z'));
  await once(far, 'readable');
  t.ok(far.readableLength <= 131_072, `${far.readableLength} bytes buffered`);
  const b = new CarrierProbe(carrier);
  await b.received(300_000);
  t.equal(b.bytes, 300_000);
});

t.test('a pause before start holds, and resume delivers', async t => {
  const { near, far, close } = await tcpPair();
  t.teardown(close);
  const carrier = new SocketCarrier(far);
  carrier.pause();
  const b = new CarrierProbe(carrier);
  await new Promise<void>(resolve => near.write('held', () => resolve()));
  await new Promise(resolve => setImmediate(resolve));
  t.equal(b.bytes, 0);
  carrier.resume();
  await b.received(4);
  t.equal(b.text(), 'held');
});

t.test('destroy with abort is a reset to the peer, and closes this end once without an error', async t => {
  const { near, far, close } = await tcpPair();
  t.teardown(close);
  const a = new CarrierProbe(new SocketCarrier(near));
  const b = new CarrierProbe(new SocketCarrier(far));
  a.carrier.destroy(true);
  a.carrier.destroy();
  t.equal(await a.closed, undefined);
  t.match(await b.closed, { code: 'ECONNRESET' });
  t.equal(a.closedCount, 1);
  t.equal(b.closedCount, 1);
});

t.test('an error and a close before start are not unhandled, and start still tells', async t => {
  const { near, far, close } = await tcpPair();
  t.teardown(close);
  const carrier = new SocketCarrier(far);
  far.destroy(Object.assign(new Error('gone'), { code: 'EPIPE' }));
  await new Promise(resolve => far.once('close', resolve));
  const b = new CarrierProbe(carrier);
  t.equal(b.closedCount, 0, 'not from inside start');
  t.match(await b.closed, { code: 'EPIPE' });
  t.equal(b.closedCount, 1);
  near.destroy();
});

t.test('a connection that goes before both ends were closed says so', async t => {
  const { near, far, close } = await tcpPair();
  t.teardown(close);
  const b = new CarrierProbe(new SocketCarrier(far));
  far.destroy();
  t.match(await b.closed, { message: 'connection closed before its end' });
  near.destroy();
});

t.test('done is never called for a write that the close overtook', async t => {
  const { near, far, close } = await tcpPair();
  t.teardown(close);
  const a = new CarrierProbe(new SocketCarrier(near));
  let done = 0;
  a.carrier.write([Buffer.alloc(8_000_000)], () => {
    done += 1;
  });
  a.carrier.destroy();
  await a.closed;
  await new Promise(resolve => setImmediate(resolve));
  t.equal(done, 0);
  far.destroy();
});

t.test('a limit of 10 B delivers 10, and calls out once at the 11th; lifted, it delivers 1 MB', async t => {
  const { near, far, close } = await tcpPair();
  t.teardown(close);
  const carrier = new SocketCarrier(far);
  const exceeded = Promise.withResolvers<void>();
  carrier.limit(10, exceeded.resolve);
  const b = new CarrierProbe(carrier);
  near.write(Buffer.alloc(10));
  await b.received(10);
  near.write(Buffer.alloc(1));
  await exceeded.promise;
  t.equal(b.bytes, 10);
  carrier.limit(Number.POSITIVE_INFINITY);
  near.write(Buffer.alloc(1_000_000));
  await b.received(1_000_010);
  t.equal(b.bytes, 1_000_010);
});

t.test('starting twice is our own bug and says so', async t => {
  const { far, close } = await tcpPair();
  t.teardown(close);
  const carrier = new SocketCarrier(far);
  const probe = new CarrierProbe(carrier);
  t.throws(() => new CarrierProbe(carrier), { message: /^internal error/ });
  carrier.destroy();
  await probe.closed;
});
