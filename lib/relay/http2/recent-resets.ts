/**
 * Streams that we reset: frames that were on their way then are ignored for a while (RFC 9113 section 5.1). The oldest
 * is forgotten first.
 */
export class RecentResets {
  readonly #maximum: number;
  readonly #ids = new Set<number>();

  constructor(maximum: number) {
    this.#maximum = maximum;
  }

  has(streamId: number): boolean {
    return this.#ids.has(streamId);
  }

  add(streamId: number): void {
    if (this.#ids.size >= this.#maximum) {
      const [oldest] = this.#ids;
      if (oldest !== undefined) this.#ids.delete(oldest);
    }
    this.#ids.add(streamId);
  }
}
