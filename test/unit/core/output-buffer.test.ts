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
