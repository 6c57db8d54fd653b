import type { Readable, Writable } from 'node:stream';
import { Keystream } from './relay-keystream.ts';

const chunkBytes = 65_536;

/** Writes so many bytes of a keystream under back-pressure, then half-closes. */
export async function sendKeystream(to: Writable, seed: number, bytes: number): Promise<void> {
  const keystream = new Keystream(seed);
  for (let left = bytes; left > 0; left -= chunkBytes) {
    if (!to.write(keystream.next(Math.min(left, chunkBytes)))) {
      await new Promise<void>(resolve => to.once('drain', resolve));
    }
  }
  to.end();
}

/** Reads to the half-close. Says how many bytes came, and at which the first one differed. */
export function checkKeystream(
  from: Readable,
  seed: number,
): Promise<{ bytes: number; firstWrong: number | undefined }> {
  const keystream = new Keystream(seed);
  let bytes = 0;
  let firstWrong: number | undefined;
  return new Promise((resolve, reject) => {
    from.on('data', (chunk: Buffer) => {
      if (firstWrong === undefined) {
        const wanted = keystream.next(chunk.byteLength);
        if (!wanted.equals(chunk)) firstWrong = bytes + chunk.findIndex((byte, i) => byte !== wanted[i]);
      }
      bytes += chunk.byteLength;
    });
    from.once('end', () => resolve({ bytes, firstWrong }));
    from.once('error', reject);
  });
}
