import fc from 'fast-check';
import t from 'tap';
import { SlabQueue } from '../../../lib/core/slab-queue.ts';

const bytesOf = (length: number, seed: number): Uint8Array =>
  Uint8Array.from({ length }, (_, i) => (i * 31 + seed) & 0xff);

t.test('any mix of appends, takes and releases gives the bytes back in order', t => {
  const step = fc.oneof(
    fc.record({ append: fc.oneof(fc.nat(300), fc.nat(70_000)) }),
    fc.record({ take: fc.oneof(fc.nat(500), fc.nat(200_000)) }),
    fc.constant({ release: true }),
  );
  fc.assert(
    fc.property(fc.array(step, { maxLength: 40 }), steps => {
      const queue = new SlabQueue();
      let expected = Buffer.alloc(0);
      let held: { readonly piece: Uint8Array; readonly copy: Buffer }[] = [];
      for (const [at, one] of steps.entries()) {
        if ('append' in one) {
          const chunk = bytesOf(one.append, at);
          queue.append(chunk);
          // Copied: the caller's memory may change at once.
          expected = Buffer.concat([expected, chunk]);
          chunk.fill(0);
        } else if ('take' in one) {
          if (one.take === 0) continue;
          const piece = queue.take(one.take);
          const bytes = piece?.byteLength ?? 0;
          if ((bytes === 0) !== (expected.byteLength === 0) || bytes > one.take) return false;
          if (piece === undefined) continue;
          if (!expected.subarray(0, bytes).equals(piece)) return false;
          held.push({ piece, copy: Buffer.from(piece) });
          expected = expected.subarray(bytes);
        } else {
          // Until now nothing wrote into what was taken.
          if (held.some(({ piece, copy }) => !copy.equals(piece))) return false;
          held = [];
          queue.release();
        }
        if (queue.byteLength !== expected.byteLength) return false;
      }
      return held.every(({ piece, copy }) => copy.equals(piece));
    }),
    { numRuns: 500 },
  );
  t.end();
});

t.test('messages of 200 B leave in one piece, be it 2 KB, 7 KB or 60 KB that wait', t => {
  for (const count of [10, 35, 300]) {
    const queue = new SlabQueue();
    for (const round of [1, 2, 3]) {
      for (let i = 0; i < count; i += 1) queue.append(bytesOf(200, i));
      t.equal(queue.take(131_072)?.byteLength, count * 200, `${count} messages, round ${round}`);
      queue.release();
    }
  }
  t.end();
});

t.test('what comes while a piece is in flight leaves in one piece behind it', t => {
  const queue = new SlabQueue();
  for (let i = 0; i < 300; i += 1) {
    queue.append(bytesOf(200, i));
    if (i === 4) t.equal(queue.take(131_072)?.byteLength, 1_000);
  }
  queue.release();
  t.equal(queue.take(131_072)?.byteLength, 59_000);
  t.end();
});

t.test('what is in flight when a queue is cleared is never written to again', t => {
  const first = new SlabQueue();
  first.append(bytesOf(40_000, 7));
  const taken = first.take(10_000);
  first.clear();
  const copy = Buffer.from(taken ?? []);
  const others = Array.from({ length: 20 }, () => new SlabQueue());
  for (const queue of others) queue.append(new Uint8Array(60_000).fill(0xee));
  t.ok(copy.equals(taken ?? new Uint8Array(1)));
  t.end();
});
