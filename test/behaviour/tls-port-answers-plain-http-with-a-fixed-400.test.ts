import { once } from 'node:events';
import type { Socket } from 'node:net';
import t from 'tap';
import { TurnedClock } from '../support/transport-clock.ts';
import { exchange, startListener } from '../support/transport-listener.ts';

const expected =
  'HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: 21\r\nConnection: close\r\n\r\nthis port speaks TLS\n';

async function everything(socket: Socket): Promise<string> {
  const chunks: Buffer[] = [];
  socket.on('data', (chunk: Buffer) => chunks.push(chunk));
  socket.once('end', () => socket.end());
  await once(socket, 'close');
  return Buffer.concat(chunks).toString();
}

t.test(
  'a request in plain gets the fixed 400, whole, dribbled, with a body or as an HTTP/2 preface',
  async t => {
    const harness = await startListener({ serve: true });
    t.teardown(() => harness.close());
    const requests = {
      'a GET': ['GET / HTTP/1.1\r\nHost: <script>x\r\n\r\n'],
      'a dribbled OPTIONS': [...'OPTIONS * HTTP/1.1\r\n\r\n'],
      'a POST with 20 kB of body': [`POST /x HTTP/1.1\r\nContent-Length: 20000\r\n\r\n${'x'.repeat(20_000)}`],
      'an HTTP/2 preface': ['PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n'],
    };
    for (const [name, pieces] of Object.entries(requests)) {
      const socket = await harness.tcp();
      const answer = everything(socket);
      socket.setNoDelay(true);
      for (const piece of pieces) {
        if (!socket.destroyed) await new Promise(resolve => socket.write(piece, resolve));
      }
      // The answer ends the connection; a client that keeps its own half open is let go when it ends.
      socket.end();
      t.equal(await answer, expected, name);
    }
    t.equal((await exchange(harness.dialer())).text, 'hello', 'a TLS client on the same port is served');
    t.equal(harness.connections.length, 1, 'and it alone was handed over');
  },
);

t.test('rubbish is closed without a word', async t => {
  const harness = await startListener({ serve: true });
  t.teardown(() => harness.close());
  for (const rubbish of [
    '\0',
    '\x16\x02',
    'get / HTTP/1.1\r\n',
    'SSH-2.0-x\r\n',
    '\x16\x02\x00\x00\x05hello',
    '\x16\x03\x01\x00\x05hello',
  ]) {
    const socket = await harness.tcp();
    const answer = everything(socket);
    socket.write(Buffer.from(rubbish, 'latin1'));
    t.equal(await answer, '', JSON.stringify(rubbish));
  }
  t.equal((await exchange(harness.dialer())).text, 'hello');
});

t.test(
  'a client that never hangs up after its 400 is closed by the deadline, and at 64 KiB of body',
  async t => {
    const clock = new TurnedClock();
    const harness = await startListener({ clock });
    t.teardown(() => harness.close());
    const silent = await harness.tcp();
    const answered = once(silent, 'data');
    silent.write('GET / HTTP/1.1\r\n\r\n');
    await answered;
    t.equal(harness.listener.unfinished, 1);
    const closed = new Promise(resolve => silent.once('close', resolve));
    clock.turn(10_000);
    silent.end();
    await closed;
    const talker = await harness.tcp();
    const cut = new Promise(resolve => talker.once('close', resolve));
    talker.write('POST / HTTP/1.1\r\n\r\n');
    talker.write(Buffer.alloc(1_000_000));
    talker.resume();
    await cut;
    t.equal(harness.listener.unfinished, 0);
  },
);

t.test('a thousand requests in plain from one source write 6 lines a minute and no more', async t => {
  const clock = new TurnedClock();
  const harness = await startListener({ clock, serve: true });
  t.teardown(() => harness.close());
  for (let batch = 0; batch < 20; batch += 1) {
    await Promise.all(
      Array.from({ length: 50 }, async () => {
        const socket = await harness.tcp();
        const answer = everything(socket);
        socket.end('GET / HTTP/1.1\r\n\r\n');
        await answer;
      }),
    );
  }
  t.equal(harness.logged.length, 6);
  t.match(harness.logged[0]?.fields, { source: '127.0.0.1', reason: 'plain-http' });
  clock.turn(60_000);
  const socket = await harness.tcp();
  const answer = everything(socket);
  socket.end('GET / HTTP/1.1\r\n\r\n');
  await answer;
  t.match(harness.logged[6]?.fields, { unlogged: 994 });
});
