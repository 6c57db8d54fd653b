import t from 'tap';
import type { ByteStream } from '../../../../lib/core/ports.ts';
import { SlabQueue } from '../../../../lib/core/slab-queue.ts';
import { FrameWriter } from '../../../../lib/relay/http2/frame-writer.ts';

/** A stream that keeps what it is given by reference, as a tunnel's does from 4 KiB on. */
function keepingStream(): { stream: ByteStream; kept: Uint8Array[] } {
  const kept: Uint8Array[] = [];
  const stream: ByteStream = {
    start: () => {},
    write: chunk => kept.push(chunk),
    end: () => {},
    consume: () => {},
    reset: () => {},
  };
  return { stream, kept };
}

t.test('8 KiB that waited in a slab stay as they are when the slab is filled again', async t => {
  const { stream, kept } = keepingStream();
  const writer = new FrameWriter(stream, 65_536);
  const queue = new SlabQueue();
  queue.append(new Uint8Array(8_192).fill(1));
  const piece = queue.take(8_192) as Uint8Array;
  writer.data(1, piece, false, false, true);
  queue.release();
  // Whoever needs a slab next gets the same one.
  new SlabQueue().append(new Uint8Array(8_192).fill(2));
  const payload = kept.find(chunk => chunk.byteLength === 8_192);
  t.ok(payload?.every(byte => byte === 1));
});
