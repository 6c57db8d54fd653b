import { once } from 'node:events';
import { type AddressInfo, connect, type Socket } from 'node:net';
import { connect as connectTls, createSecureContext, createServer } from 'node:tls';
import t, { type Test } from 'tap';
import { makeAuthority } from '../support/transport-certificates.ts';
import { TurnedClock } from '../support/transport-clock.ts';
import { exchange, type Harness, startListener } from '../support/transport-listener.ts';

const cap = 512;
const attackers = 3 * cap;

/** Linux answers on all of 127.0.0.0/8, so a source of one's own costs nothing there. */
const sources = process.platform === 'linux' ? 24 : 1;

function attack(port: number, index: number): Promise<Socket> {
  const local = sources > 1 ? { localAddress: `127.9.0.${1 + (index % sources)}` } : {};
  const socket = connect({ port, host: '127.0.0.1', allowHalfOpen: true, ...local });
  socket.on('error', () => undefined);
  return new Promise(resolve => {
    socket.once('connect', () => resolve(socket));
    socket.once('close', () => resolve(socket));
  });
}

type Begin = (socket: Socket) => unknown;

/** Each stands where it is to stall before the next batch comes. */
async function crowd(port: number, count: number, begin: Begin): Promise<Socket[]> {
  const sockets: Socket[] = [];
  for (let i = 0; i < count; i += 64) {
    const batch = await Promise.all(
      Array.from({ length: Math.min(64, count - i) }, (_, j) => attack(port, i + j)),
    );
    await Promise.all(batch.filter(socket => !socket.destroyed).map(begin));
    sockets.push(...batch);
  }
  return sockets;
}

/** The good client comes when the room is full and more of the others keep coming. */
async function goodClient(t: Test, harness: Harness, begin: Begin): Promise<void> {
  const sockets = await crowd(harness.port, attackers, begin);
  t.ok(harness.listener.unfinished <= cap, `${harness.listener.unfinished} unfinished, at most ${cap}`);
  if (sources > 1) t.ok(harness.listener.unfinished > cap / 2, 'the room is full indeed');
  const start = performance.now();
  const more = crowd(harness.port, 32, begin);
  const served = await exchange(harness.dialer());
  const elapsed = performance.now() - start;
  t.equal(served.text, 'hello');
  t.comment(`good client served after ${elapsed.toFixed(0)} ms beside ${attackers} stalled connections`);
  for (const socket of [...sockets, ...(await more)]) socket.destroy();
}

/** Serves whoever says something; the others are never permitted. */
async function honestListener(): Promise<Harness> {
  const harness = await startListener();
  const serve = (): void => {
    void harness.next().then(({ carrier, permitted }) => {
      serve();
      carrier.start({
        data: chunk => {
          permitted();
          carrier.write([chunk], () => undefined);
        },
        end: () => carrier.end(),
        closed: () => undefined,
      });
    });
  };
  serve();
  return harness;
}

t.test(`${attackers} connections that say nothing keep nobody out`, async t => {
  const harness = await honestListener();
  t.teardown(() => harness.close());
  await goodClient(t, harness, () => undefined);
});

t.test(`${attackers} connections that dribble a ClientHello byte by byte keep nobody out`, async t => {
  const harness = await honestListener();
  const dribblers: NodeJS.Timeout[] = [];
  t.teardown(() => {
    for (const timer of dribblers) clearInterval(timer);
    harness.close();
  });
  const hello = Buffer.from('16030102000100', 'hex');
  await goodClient(t, harness, socket => {
    let at = 0;
    const timer = setInterval(() => {
      if (socket.destroyed) clearInterval(timer);
      else socket.write(Buffer.of(hello[at++] ?? 1));
    }, 100);
    dribblers.push(timer);
  });
});

t.test(`${attackers} connections that finish TLS and then say nothing keep nobody out`, async t => {
  const harness = await honestListener();
  t.teardown(() => harness.close());
  const secureContext = createSecureContext({ ca: [harness.authority.certPem] });
  await goodClient(t, harness, socket => {
    const tls = connectTls({
      socket,
      secureContext,
      servername: 'gateway.example',
      ALPNProtocols: ['lockwire/1'],
    });
    tls.on('error', () => undefined);
    return new Promise<void>(resolve => {
      tls.once('secureConnect', resolve);
      tls.once('close', () => resolve());
    });
  });
});

t.test('a server that only counts its connections is shut to everybody by 8 silent ones', async t => {
  const authority = await makeAuthority({ name: 'CA' });
  const { certPem: cert, keyPem: key } = await authority.issue({ dns: ['gateway.example'] });
  const server = createServer({ cert, key }, socket => socket.end('served'));
  server.maxConnections = 8;
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  const silent = await crowd(port, 8, () => undefined);
  t.teardown(() => {
    for (const socket of silent) socket.destroy();
    server.close();
  });
  const good = connectTls({
    port,
    host: '127.0.0.1',
    servername: 'gateway.example',
    ca: [authority.certPem],
  });
  await t.rejects(once(good, 'secureConnect'));
});

t.test('a connection that stalls is closed 10 s after it was accepted, wherever it stalls', async t => {
  const clock = new TurnedClock();
  const harness = await startListener({ clock });
  t.teardown(() => harness.close());
  const silent = await harness.tcp();
  const partial = await harness.tcp();
  partial.write(Buffer.from('1603010200', 'hex'));
  const handed = harness.next();
  const finished = await harness.dialer().dial();
  finished.carrier.start({ data: () => undefined, end: () => undefined, closed: () => undefined });
  await handed;
  t.equal(harness.listener.unfinished, 3);
  const closed = [silent, partial].map(socket => {
    socket.resume();
    return new Promise(resolve => socket.once('close', resolve));
  });
  for (const socket of [silent, partial]) socket.once('end', () => socket.end());
  clock.turn(9_999);
  t.equal(harness.listener.unfinished, 3);
  clock.turn(1);
  t.equal(harness.listener.unfinished, 0);
  await Promise.all(closed);
  t.same(
    harness.logged.map(({ fields }) => fields.reason),
    ['deadline', 'deadline', 'deadline'],
  );
});

t.test('a permitted connection has no deadline and cannot be crowded out', async t => {
  const clock = new TurnedClock();
  const harness = await startListener({ clock, serve: true, limits: { maxUnfinished: 4 } });
  t.teardown(() => harness.close());
  const { carrier } = await harness.dialer().dial();
  const heard = new Promise<Uint8Array>(resolve =>
    carrier.start({ data: resolve, end: () => undefined, closed: () => undefined }),
  );
  while (harness.connections.length === 0) await harness.next();
  await crowd(harness.port, 12, () => undefined);
  clock.turn(3_600_000);
  carrier.write([Buffer.from('still here')], () => undefined);
  t.equal(Buffer.from(await heard).toString(), 'still here');
  carrier.destroy();
});

t.test(
  'an HTTP/2 connection without a permitted request is ended after 10 s, one with such a request is not',
  async t => {
    const clock = new TurnedClock();
    const harness = await startListener({ clock, routes: { http2: true } });
    t.teardown(() => harness.close());
    const ends: Promise<void>[] = [];
    for (const permitted of [false, true]) {
      const handed = harness.next();
      const { carrier } = await harness.dialer({ alpn: ['h2'] }).dial();
      ends.push(
        new Promise(resolve =>
          carrier.start({ data: () => undefined, end: () => resolve(), closed: () => resolve() }),
        ),
      );
      const accepted = await handed;
      // One that was refused counts against its source, and is no reason to end the connection.
      accepted.failed();
      if (permitted) for (let i = 0; i < 3; i += 1) accepted.permitted();
    }
    t.equal(harness.listener.unfinished, 1);
    clock.turn(9_999);
    t.equal(harness.listener.connections, 2);
    clock.turn(1);
    await ends[0];
    t.equal(harness.listener.unfinished, 0);
    clock.turn(3_600_000);
    t.equal(harness.listener.connections, 1);
    t.match(harness.logged, [{ fields: { reason: 'deadline' } }]);
  },
);

t.test(
  'more than 64 KiB before identity end the connection, of HTTP/2 64 KiB and a first window',
  async t => {
    const harness = await startListener({ routes: { http2: true } });
    t.teardown(() => harness.close());
    for (const [alpn, bytes, survives] of [
      ['lockwire/1', 65_536, true],
      ['lockwire/1', 65_537, false],
      ['h2', 131_071, true],
      ['h2', 131_072, false],
    ] as const) {
      const handed = harness.next();
      const { carrier } = await harness.dialer({ alpn: [alpn] }).dial();
      const lost = new Promise<'closed'>(resolve =>
        carrier.start({
          data: () => undefined,
          end: () => resolve('closed'),
          closed: () => resolve('closed'),
        }),
      );
      let received = 0;
      const accepted = await handed;
      const arrived = new Promise<'arrived'>(resolve =>
        accepted.carrier.start({
          data: chunk => {
            received += chunk.byteLength;
            if (received === bytes) resolve('arrived');
          },
          end: () => undefined,
          closed: () => undefined,
        }),
      );
      carrier.write([Buffer.alloc(bytes)], () => undefined);
      t.equal(await Promise.race([arrived, lost]), survives ? 'arrived' : 'closed', `${bytes} B`);
      t.ok(received <= (alpn === 'h2' ? 131_071 : 65_536), `${received} B were delivered`);
      carrier.destroy();
    }
    t.match(harness.logged, [
      { fields: { reason: 'too-many-bytes' } },
      { fields: { reason: 'too-many-bytes' } },
    ]);
  },
);

t.test('20 refused credentials in a minute shut a source out, and it comes back as they drain', async t => {
  const clock = new TurnedClock();
  const harness = await startListener({ clock, serve: true });
  t.teardown(() => harness.close());
  await exchange(harness.dialer());
  for (let i = 0; i < 20; i += 1) harness.connections[0]?.failed();
  await t.rejects(exchange(harness.dialer()), { code: 'unavailable' });
  t.match(harness.logged, [{ fields: { reason: 'too-many-failures', source: '127.0.0.1' } }]);
  clock.turn(3_000);
  t.equal((await exchange(harness.dialer())).text, 'hello', 'one drains in 3 s');
});

t.test('connections in all are capped, and a stalled one makes room for a newcomer', async t => {
  const harness = await startListener({ serve: true, limits: { maxConnections: 2 } });
  t.teardown(() => harness.close());
  const [first] = await Promise.all([harness.dialer().dial(), harness.next()]);
  const silent = await harness.tcp();
  const dropped = new Promise(resolve => silent.once('close', resolve)).then(() => undefined);
  silent.resume();
  silent.once('end', () => silent.end());
  const [second] = await Promise.all([harness.dialer().dial(), harness.next()]);
  await dropped;
  await t.rejects(harness.dialer().dial(), { code: 'unavailable' }, 'two permitted ones fill it');
  first.carrier.destroy();
  second.carrier.destroy();
});
