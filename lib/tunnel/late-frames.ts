/**
 * Streams that we reset, whose frames may still be on their way: the peer had not heard of it. Such frames are let
 * pass, data up to the credit that the stream still had; so a reset opens no way to send for free.
 */
export class LateFrames {
  readonly #maxStreams: number;
  /** Stream → credit left, the oldest first. */
  readonly #credit = new Map<number, number>();

  constructor(maxStreams: number) {
    this.#maxStreams = maxStreams;
  }

  get size(): number {
    return this.#credit.size;
  }

  /** More than the limit: the oldest is forgotten. Its peer has known for long, or breaks the open rate. */
  remember(stream: number, credit: number): void {
    this.#credit.set(stream, credit);
    if (this.#credit.size <= this.#maxStreams) return;
    const [oldest] = this.#credit.keys();
    if (oldest !== undefined) this.#credit.delete(oldest);
  }

  /** False where no such data may come. */
  data(stream: number, bytes: number): boolean {
    const credit = this.#credit.get(stream);
    if (credit === undefined || bytes > credit) return false;
    this.#credit.set(stream, credit - bytes);
    return true;
  }

  /** The peer's last frame with bytes behind it, End or Reset. False where the stream is not remembered. */
  last(stream: number): boolean {
    return this.#credit.delete(stream);
  }
}
