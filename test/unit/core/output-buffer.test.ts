import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import t from 'tap';
import { OutputBuffer } from '../../../lib/core/output-buffer.ts';

t.test(
  'gives back what was appended, in order, for chunks of 1 B to 20 KB taken in steps of 1 B to 64 KiB',
  t => {
    let seed = 7;
    const random = (below: number) => {
      seed = (seed * 1103515245 + 12345) & 0x7fffffff;
      return seed % below;
    };
    for (let round = 0; round < 50; round += 1) {
      const buffer = new OutputBuffer();
      const given: Uint8Array[] = [];
      const taken: Uint8Array[] = [];
      for (let step = 0; step < 60; step += 1) {
        const chunk = Buffer.alloc(random(3) === 0 ? random(20_000) : random(300), step);
        given.push(chunk);
        buffer.append(chunk);
        if (random(2) === 0) {
          const max = 1 + random(65_536);
          const got = buffer.take(max);
          if (got.reduce((sum, c) => sum + c.byteLength, 0) > max) t.fail('took more than asked');
          taken.push(...got);
        }
      }
      taken.push(...buffer.take(buffer.byteLength));
      if (buffer.byteLength !== 0) t.fail('bytes left');
      if (!Buffer.concat(given).equals(Buffer.concat(taken))) t.fail('bytes differ');
    }
    t.pass('50 rounds');
    t.end();
  },
);

t.test('pins at most twice its bytes and a slab: a 4 KiB view of a 1 MiB buffer is copied', t => {
  const buffer = new OutputBuffer();
  buffer.append(Buffer.alloc(1_048_576).subarray(10, 10 + 4096));
  const [chunk] = buffer.take(4096);
  t.equal(chunk?.byteLength, 4096);
  t.ok((chunk?.buffer.byteLength ?? 0) <= 8192);
  t.end();
});

t.test('an empty buffer of small messages keeps a slab of 2 KiB, a full one slabs of 8 KiB', t => {
  const buffer = new OutputBuffer();
  buffer.append(Buffer.alloc(10));
  t.equal(buffer.take(10)[0]?.buffer.byteLength, 2048);
  for (let i = 0; i < 300; i += 1) buffer.append(Buffer.alloc(10));
  const sizes = buffer.take(3000).map(chunk => chunk.buffer.byteLength);
  t.same(sizes, [2048, 8192]);
  t.end();
});

t.test('what was taken is not written to again: 20 B stay as they were while 8 KiB follow', t => {
  const buffer = new OutputBuffer();
  buffer.append(Buffer.alloc(20, 1));
  const [first] = buffer.take(20);
  for (let i = 0; i < 800; i += 1) buffer.append(Buffer.alloc(10, 2));
  t.same(first, new Uint8Array(20).fill(1));
  t.end();
});

t.test(
  'what was taken is not kept alive: of 64 chunks of 64 KiB none is, once all but one are taken',
  async t => {
    setFlagsFromString('--expose-gc');
    const gc = runInNewContext('gc') as () => void;
    const buffer = new OutputBuffer();
    const before = process.memoryUsage().arrayBuffers;
    for (let i = 0; i < 64; i += 1) buffer.append(Buffer.allocUnsafeSlow(65_536));
    for (let i = 0; i < 63; i += 1) buffer.take(65_536);
    // Buffers are freed by a later task than the collection that finds them dead.
    const kept = (): number => process.memoryUsage().arrayBuffers - before;
    for (let round = 0; round < 50 && kept() >= 4 * 65_536; round += 1) {
      gc();
      await new Promise<void>(resolve => setImmediate(resolve));
    }
    t.ok(kept() < 4 * 65_536);
    t.equal(buffer.byteLength, 65_536);
  },
);
