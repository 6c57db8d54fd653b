/**
 * Bytes that were sent and may have to be sent again, oldest first, as the chunks that were written. Bounded by its
 * owner: data stops at `maxUnackedBytes`.
 */
export class SentBytes {
  #chunks: Uint8Array[] = [];
  #head = 0;
  #bytes = 0;

  get byteLength(): number {
    return this.#bytes;
  }

  add(chunks: readonly Uint8Array[]): void {
    for (const chunk of chunks) {
      this.#chunks.push(chunk);
      this.#bytes += chunk.byteLength;
    }
  }

  /** The oldest so many are acknowledged: at most all. */
  drop(bytes: number): void {
    this.#bytes -= bytes;
    let left = bytes;
    while (left > 0) {
      const chunk = this.#chunks[this.#head] as Uint8Array;
      if (chunk.byteLength > left) {
        this.#chunks[this.#head] = chunk.subarray(left);
        break;
      }
      left -= chunk.byteLength;
      this.#head += 1;
    }
    this.#forget();
  }

  /** All of them, in order. */
  chunks(): readonly Uint8Array[] {
    return this.#chunks.slice(this.#head);
  }

  #forget(): void {
    if (this.#head < this.#chunks.length && this.#head < 64) return;
    this.#chunks = this.#chunks.slice(this.#head);
    this.#head = 0;
  }
}
