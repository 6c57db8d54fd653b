import { compact, copyBelowBytes } from './bytes.ts';

const slabBytes = 8192;

/**
 * Bytes that wait to be written, in order. Small chunks are copied into slabs, so that a thousand of them cost one
 * write and pin nothing; large ones are kept by reference.
 */
export class OutputBuffer {
  #chunks: Uint8Array[] = [];
  #head = 0;
  #bytes = 0;
  /** The open slab: its bytes from `#slabStart` to `#slabEnd` are not yet in `#chunks`. */
  #slab: Uint8Array | undefined;
  #slabStart = 0;
  #slabEnd = 0;

  get byteLength(): number {
    return this.#bytes;
  }

  append(chunk: Uint8Array): void {
    const { byteLength } = chunk;
    if (byteLength === 0) return;
    this.#bytes += byteLength;
    if (byteLength >= copyBelowBytes) {
      this.#sealSlab();
      this.#chunks.push(compact(chunk));
      return;
    }
    if (this.#slab === undefined || this.#slabEnd + byteLength > slabBytes) this.#openSlab();
    this.#slab?.set(chunk, this.#slabEnd);
    this.#slabEnd += byteLength;
  }

  /** Takes at most `maxBytes`, in order. */
  take(maxBytes: number): Uint8Array[] {
    this.#sealSlab();
    const taken: Uint8Array[] = [];
    let room = Math.min(maxBytes, this.#bytes);
    this.#bytes -= room;
    while (room > 0) {
      const chunk = this.#chunks[this.#head] as Uint8Array;
      if (chunk.byteLength > room) {
        taken.push(chunk.subarray(0, room));
        this.#chunks[this.#head] = chunk.subarray(room);
        break;
      }
      taken.push(chunk);
      room -= chunk.byteLength;
      this.#head += 1;
    }
    this.#dropTaken();
    return taken;
  }

  clear(): void {
    this.#chunks = [];
    this.#head = 0;
    this.#bytes = 0;
    this.#slab = undefined;
    this.#slabStart = 0;
    this.#slabEnd = 0;
  }

  #dropTaken(): void {
    if (this.#head === this.#chunks.length) {
      this.#chunks = [];
      this.#head = 0;
    } else if (this.#head >= 64) {
      this.#chunks = this.#chunks.slice(this.#head);
      this.#head = 0;
    }
  }

  #sealSlab(): void {
    if (this.#slab === undefined || this.#slabEnd === this.#slabStart) return;
    this.#chunks.push(this.#slab.subarray(this.#slabStart, this.#slabEnd));
    this.#slabStart = this.#slabEnd;
  }

  #openSlab(): void {
    this.#sealSlab();
    this.#slab = Buffer.allocUnsafeSlow(slabBytes);
    this.#slabStart = 0;
    this.#slabEnd = 0;
  }
}
