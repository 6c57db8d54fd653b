import t from 'tap';
import { carrierPair, deliveryModes } from '../support/relay-pipes.ts';
import { relaySuite } from '../support/relay-suite.ts';
import { tunnelOver } from '../support/relay-tunnel.ts';

const windowBytes = 65_536;

for (const mode of deliveryModes) {
  relaySuite(t, {
    name: `tunnel stream, ${mode}`,
    open: async () => {
      const { left, right } = carrierPair({ mode });
      const open = await tunnelOver({ left, right }, { windowBytes, maxWindowBytes: windowBytes });
      return {
        ...(await open()),
        close() {
          left.destroy();
          right.destroy();
        },
      };
    },
    largestBytes: mode === 'one-byte' ? 65_537 : 2_097_152,
    carriesCodes: true,
    // Nothing leaves a tunnel without credit: the relay's window and the server's.
    stalledBytes: 2 * windowBytes,
    ...(mode === 'plain' && { coalescedChunks: 4 }),
  });
}
