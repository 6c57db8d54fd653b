import { Http2Error } from './errors.ts';
import { ErrorCode } from './frames.ts';

/** A buffer up to this is kept for the next block; a larger one goes with its block. */
const keptBytes = 4_096;
const firstBytes = 512;
const none = new Uint8Array(0);

/**
 * A header block in the making: a HEADERS and the CONTINUATIONs behind it. What a frame announces is checked and not
 * allocated; the buffer grows with the bytes that came.
 */
export class HeaderBlock {
  readonly #maxBytes: number;
  readonly #maxContinuations: number;
  #buffer: Uint8Array = none;
  #bytes = 0;
  #continuations = 0;

  constructor(maxBytes: number, maxContinuations: number) {
    this.#maxBytes = maxBytes;
    this.#maxContinuations = maxContinuations;
  }

  /** Whether nothing was added yet. */
  get empty(): boolean {
    return this.#bytes === 0;
  }

  /** A CONTINUATION begins: empty ones count too, they are free for the peer and not for us (CVE-2024-27316). */
  countContinuation(): void {
    this.#continuations += 1;
    if (this.#continuations <= this.#maxContinuations) return;
    throw new Http2Error(
      ErrorCode.enhanceYourCalm,
      `header block of ${this.#continuations} CONTINUATIONs, limit ${this.#maxContinuations}`,
    );
  }

  /** `bytes` more are announced. */
  expect(bytes: number): void {
    const total = this.#bytes + bytes;
    if (total <= this.#maxBytes) return;
    // Undecoded it would leave the two header tables apart, so the connection ends (RFC 9113 section 10.5.1).
    throw new Http2Error(
      ErrorCode.enhanceYourCalm,
      `header block of ${total} bytes, limit ${this.#maxBytes}`,
    );
  }

  add(part: Uint8Array): void {
    const total = this.#bytes + part.byteLength;
    if (total > this.#buffer.byteLength) this.#grow(total);
    this.#buffer.set(part, this.#bytes);
    this.#bytes = total;
  }

  /** The whole block, good until the next one begins. */
  take(): Uint8Array {
    const block = this.#buffer.subarray(0, this.#bytes);
    this.reset();
    return block;
  }

  /** A block that is over, or that needed no buffer. */
  reset(): void {
    this.#bytes = 0;
    this.#continuations = 0;
    if (this.#buffer.byteLength > keptBytes) this.#buffer = none;
  }

  #grow(total: number): void {
    const size = Math.min(this.#maxBytes, Math.max(firstBytes, total, this.#buffer.byteLength * 2));
    const larger = new Uint8Array(size);
    larger.set(this.#buffer.subarray(0, this.#bytes));
    this.#buffer = larger;
  }
}
