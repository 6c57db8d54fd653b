import { compact, copyBelowBytes } from './bytes.ts';

/** Slab for small chunks while others wait before them: filled to the end under load. */
const slabBytes = 8192;
/** Slab of an empty buffer: it stays open while the stream idles, so it is small. */
const firstSlabBytes = 2048;
/** Stands where a chunk was taken: the array must not keep it alive. */
const nothing = new Uint8Array(0);

/**
 * Bytes that wait to be written, in order. Small chunks are copied into slabs, so that a thousand of them cost one
 * write and pin nothing; large ones are kept by reference.
 */
export class OutputBuffer {
  #chunks: Uint8Array[] = [];
  #head = 0;
  #bytes = 0;
  /** The open slab: its bytes from `#slabStart` to `#slabEnd` are not yet in `#chunks`. */
  #slab: Uint8Array = nothing;
  #slabStart = 0;
  #slabEnd = 0;

  get byteLength(): number {
    return this.#bytes;
  }

  append(chunk: Uint8Array): void {
    const { byteLength } = chunk;
    if (byteLength === 0) return;
    if (byteLength >= copyBelowBytes) {
      this.#sealSlab();
      this.#chunks.push(compact(chunk));
    } else {
      if (this.#slabEnd + byteLength > this.#slab.byteLength) this.#openSlab(byteLength);
      this.#slab.set(chunk, this.#slabEnd);
      this.#slabEnd += byteLength;
    }
    this.#bytes += byteLength;
  }

  /** Takes at most `maxBytes`, in order. What it gives is never written to again. */
  take(maxBytes: number): Uint8Array[] {
    this.#sealSlab();
    return maxBytes >= this.#bytes ? this.#takeAll() : this.#takeSome(maxBytes);
  }

  clear(): void {
    this.#chunks = [];
    this.#head = 0;
    this.#bytes = 0;
    this.#slab = nothing;
    this.#slabStart = 0;
    this.#slabEnd = 0;
  }

  #takeAll(): Uint8Array[] {
    const taken = this.#head === 0 ? this.#chunks : this.#chunks.slice(this.#head);
    this.#chunks = [];
    this.#head = 0;
    this.#bytes = 0;
    return taken;
  }

  #takeSome(maxBytes: number): Uint8Array[] {
    const taken: Uint8Array[] = [];
    let room = Math.max(0, maxBytes);
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
      this.#chunks[this.#head] = nothing;
      this.#head += 1;
    }
    this.#dropTaken();
    return taken;
  }

  /** Only once half of the array is taken: so a long queue is not copied again and again. */
  #dropTaken(): void {
    if (this.#head < 16 || this.#head * 2 < this.#chunks.length) return;
    this.#chunks = this.#chunks.slice(this.#head);
    this.#head = 0;
  }

  #sealSlab(): void {
    if (this.#slabEnd === this.#slabStart) return;
    this.#chunks.push(this.#slab.subarray(this.#slabStart, this.#slabEnd));
    this.#slabStart = this.#slabEnd;
  }

  #openSlab(firstChunkBytes: number): void {
    this.#sealSlab();
    const size = this.#bytes === 0 ? Math.max(firstSlabBytes, firstChunkBytes) : slabBytes;
    this.#slab = Buffer.allocUnsafeSlow(size);
    this.#slabStart = 0;
    this.#slabEnd = 0;
  }
}
