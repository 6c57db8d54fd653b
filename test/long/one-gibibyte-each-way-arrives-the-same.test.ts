import t from 'tap';
import { checkKeystream, sendKeystream } from '../support/relay-bulk.ts';
import { relayChild } from '../support/relay-child.ts';

const gibibyte = 1_073_741_824;

t.test('1 GiB each way at once through a relay between two TLS connections, each half-closed', async t => {
  const relay = await relayChild({ over: 'tcp' });
  t.teardown(() => relay.close());
  const { client, server } = await relay.open();
  const [up, down] = await Promise.all([
    checkKeystream(server, 1),
    checkKeystream(client, 2),
    sendKeystream(client, 1, gibibyte),
    sendKeystream(server, 2, gibibyte),
  ]);
  t.same(up, { bytes: gibibyte, firstWrong: undefined }, 'up');
  t.same(down, { bytes: gibibyte, firstWrong: undefined }, 'down');
});
