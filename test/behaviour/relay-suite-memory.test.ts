import t from 'tap';
import { BufferedStream } from '../../lib/core/buffered-stream.ts';
import { fixedWindow } from '../../lib/core/read-budget.ts';
import { carrierPair, deliveryModes } from '../support/relay-pipes.ts';
import { relaySuite } from '../support/relay-suite.ts';

const windowBytes = 16_384;
const bufferBytes = 32_768;
const readBytes = 16_384;
// The relay's window and the server's, each passed by one read; what each of two pipes holds; one read in the hands
// of each mode's carrier.
const stalledBytes = 2 * (windowBytes + readBytes) + 2 * bufferBytes + 2 * readBytes;

for (const mode of deliveryModes) {
  relaySuite(t, {
    name: `pipe in memory, ${mode}`,
    open: async () => {
      const { left, right } = carrierPair({ mode, bufferBytes, readBytes });
      return {
        left: new BufferedStream(left, fixedWindow(windowBytes)),
        right: new BufferedStream(right, fixedWindow(windowBytes)),
        close() {
          left.destroy();
          right.destroy();
        },
      };
    },
    largestBytes: mode === 'one-byte' ? 65_537 : 2_097_152,
    carriesCodes: false,
    stalledBytes,
    ...(mode === 'plain' && { coalescedChunks: 4 }),
  });
}
