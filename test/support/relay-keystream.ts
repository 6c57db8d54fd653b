import { type Cipheriv, createCipheriv } from 'node:crypto';

const zeros = Buffer.alloc(65_536);

/** Endless bytes that look random and are the same for the same seed: sender and checker each make their own. */
export class Keystream {
  readonly #cipher: Cipheriv;

  constructor(seed: number) {
    const key = Buffer.alloc(16);
    key.writeUInt32BE(seed);
    this.#cipher = createCipheriv('aes-128-ctr', key, Buffer.alloc(16));
  }

  next(bytes: number): Buffer {
    if (bytes <= zeros.byteLength) return this.#cipher.update(zeros.subarray(0, bytes));
    const parts: Buffer[] = [];
    for (let left = bytes; left > 0; left -= zeros.byteLength) {
      parts.push(this.#cipher.update(zeros.subarray(0, Math.min(left, zeros.byteLength))));
    }
    return Buffer.concat(parts);
  }
}
