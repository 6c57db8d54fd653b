import t from 'tap';
import { BufferedStream } from '../../lib/core/buffered-stream.ts';
import { deliveryModes, inMode } from '../support/relay-pipes.ts';
import { relaySuite } from '../support/relay-suite.ts';
import { tlsPairs } from '../support/relay-tls.ts';

const openPair = await tlsPairs();

for (const mode of deliveryModes) {
  relaySuite(t, {
    name: `TLS socket, ${mode}`,
    open: async () => {
      const pair = await openPair();
      return {
        left: new BufferedStream(inMode(pair.left, mode)),
        right: new BufferedStream(inMode(pair.right, mode)),
        close: pair.close,
      };
    },
    largestBytes: mode === 'one-byte' ? 65_537 : 2_097_152,
    carriesCodes: false,
    // Linux lets a socket's buffers on loopback grow to 4 MiB (tcp_wmem) and 6 MiB (tcp_rmem), on each of two legs.
    stalledBytes: 20 * 1_048_576,
    ...(mode === 'plain' && { coalescedChunks: 4 }),
  });
}
