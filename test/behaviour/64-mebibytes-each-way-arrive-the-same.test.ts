// A gibibyte each way, the same: test/long/one-gibibyte-each-way-arrives-the-same.test.ts
import t from 'tap';
import { checkKeystream, sendKeystream } from '../support/relay-bulk.ts';
import { relayChild } from '../support/relay-child.ts';

const bytes = 64 * 1_048_576;

t.test('64 MiB each way at once through a relay between two TLS connections, each half-closed', async t => {
  const relay = await relayChild({ over: 'tcp' });
  t.teardown(() => relay.close());
  const { client, server } = await relay.open();
  const [up, down] = await Promise.all([
    checkKeystream(server, 1),
    checkKeystream(client, 2),
    sendKeystream(client, 1, bytes),
    sendKeystream(server, 2, bytes),
  ]);
  t.same(up, { bytes, firstWrong: undefined }, 'up');
  t.same(down, { bytes, firstWrong: undefined }, 'down');
});

t.test('one direction ends 64 MiB before the other: the rest arrives all the same', async t => {
  const relay = await relayChild({ over: 'tcp' });
  t.teardown(() => relay.close());
  const { client, server } = await relay.open();
  const down = checkKeystream(client, 4);
  const up = checkKeystream(server, 3);
  await sendKeystream(client, 3, 1000);
  t.same(await up, { bytes: 1000, firstWrong: undefined }, 'up');
  await sendKeystream(server, 4, bytes);
  t.same(await down, { bytes, firstWrong: undefined }, 'down');
  // The relay hears of the second close after we do.
  let report = await relay.report();
  while (report.closed.length === 0) report = await relay.report();
  t.same(report.closed, [{ code: 'done', text: '', bytesUp: 1000, bytesDown: bytes }]);
  t.equal(report.live, 0);
});
