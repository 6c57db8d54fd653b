import t from 'tap';
import { relayChild } from '../support/relay-child.ts';
import { growth, stall, warmConnections } from '../support/relay-stall.ts';

// Over unix sockets: a thousand of TCP would fill 8 GiB of the kernel before the relay holds a byte.
t.test('a thousand streams at work, and then no reader reads: the relay grows by at most 64 MiB', async t => {
  const relay = await relayChild({ over: 'unix' });
  t.teardown(() => relay.close());
  const connections = await warmConnections(relay, 1000);
  const before = await relay.report();
  const { report } = await stall(relay, connections);
  const grown = growth(before, report);
  t.ok(grown.rss <= 64, `${grown.rss.toFixed(1)} MiB`);
  // What is alive, for each: the 64 KiB that libuv reads at once from a socket, and a window passed by one record.
  // The windows of few streams, 256 KiB, would make 312 MiB of it.
  t.ok(grown.alive <= 96, `${grown.alive.toFixed(1)} MiB alive`);
  t.equal(report.live, 1000);
});
