// Queue and take: OutputBuffer beside an array that is concatenated.
import { bench, do_not_optimize, group } from 'mitata';
import { OutputBuffer } from '../../lib/core/output-buffer.ts';

class ConcatBuffer {
  #chunks: Uint8Array[] = [];

  append(chunk: Uint8Array): void {
    // A copy, as small chunks need: a view would pin the 64 KiB read that it was cut from.
    this.#chunks.push(Buffer.from(chunk));
  }

  take(): Uint8Array {
    const all = Buffer.concat(this.#chunks);
    this.#chunks = [];
    return all;
  }
}

const ours = new OutputBuffer();
const naive = new ConcatBuffer();

for (const { count, bytes } of [
  { count: 1, bytes: 200 },
  { count: 32, bytes: 200 },
  { count: 8, bytes: 16_384 },
]) {
  const chunk = Buffer.alloc(bytes, 1);
  group(`${count} × ${bytes} B queued, then taken`, () => {
    bench(`OutputBuffer, ${count} × ${bytes} B`, () => {
      for (let i = 0; i < count; i += 1) ours.append(chunk);
      do_not_optimize(ours.take(131_072));
    });
    bench(`array and Buffer.concat, ${count} × ${bytes} B`, () => {
      for (let i = 0; i < count; i += 1) naive.append(chunk);
      do_not_optimize(naive.take());
    });
  });
}
