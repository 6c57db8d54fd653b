import t from 'tap';
import { relayChild } from '../support/relay-child.ts';
import { growth, stall, warmConnections } from '../support/relay-stall.ts';

const mebibyte = 1_048_576;

t.test('one reader that reads nothing costs the relay at most 8 MiB, and then gets every byte', async t => {
  const relay = await relayChild({ over: 'tcp' });
  t.teardown(() => relay.close());
  const connections = await warmConnections(relay, 1);
  const before = await relay.report();
  const { sentBytes, report } = await stall(relay, connections, 64 * mebibyte);
  t.ok(sentBytes < 64 * mebibyte, `the writer stopped after ${sentBytes} B, most of it in the kernel`);
  const grown = growth(before, report);
  t.ok(grown.rss <= 8, `${grown.rss.toFixed(1)} MiB`);
  t.ok(grown.alive <= 2, `${grown.alive.toFixed(1)} MiB alive`);

  const server = connections[0]?.server;
  let received = 0;
  await new Promise<void>(resolve => {
    server?.on('data', (chunk: Buffer) => {
      received += chunk.byteLength;
      if (received === 64 * mebibyte) resolve();
    });
    server?.resume();
  });
  t.equal(received, 64 * mebibyte);
});

t.test('without credit the same reader costs as much as is sent', async t => {
  const relay = await relayChild({ over: 'tcp', withoutCredit: true });
  t.teardown(() => relay.close());
  const connections = await warmConnections(relay, 1);
  const before = await relay.report();
  const { sentBytes, report } = await stall(relay, connections, 64 * mebibyte);
  t.equal(sentBytes, 64 * mebibyte);
  const { rss } = growth(before, report);
  t.ok(rss > 32, `${rss.toFixed(1)} MiB`);
});

// Over unix sockets, as the thousand of test/long: so many of TCP would fill the kernel before the relay holds a byte.
t.test('a hundred streams at work, and then no reader reads: the relay grows by at most 16 MiB', async t => {
  const relay = await relayChild({ over: 'unix' });
  t.teardown(() => relay.close());
  const connections = await warmConnections(relay, 100);
  const before = await relay.report();
  const { report } = await stall(relay, connections);
  const grown = growth(before, report);
  t.ok(grown.rss <= 16, `${grown.rss.toFixed(1)} MiB`);
  // For each its window of 42 KiB, one record more, and at most two of the 64 KiB that libuv reads at once.
  t.ok(grown.alive <= 18, `${grown.alive.toFixed(1)} MiB alive`);
  t.equal(report.live, 100);
});
