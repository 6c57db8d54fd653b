import type { Clock } from '../core/clock.ts';

/**
 * Counts by key that drain with time. At most `maxKeys` of them: the one longest untouched is forgotten, so a flood
 * of new keys costs memory no more than that.
 */
export class LeakyBuckets {
  readonly #clock: Clock;
  readonly #size: number;
  readonly #drainPerMs: number;
  readonly #maxKeys: number;
  /** In the order last touched. */
  readonly #buckets = new Map<string, { level: number; atMs: number }>();

  constructor(clock: Clock, options: { size: number; periodMs: number; maxKeys: number }) {
    this.#clock = clock;
    this.#size = options.size;
    this.#drainPerMs = options.size / options.periodMs;
    this.#maxKeys = options.maxKeys;
  }

  get keys(): number {
    return this.#buckets.size;
  }

  /** Adds one. False where the bucket was full and nothing was added. */
  add(key: string): boolean {
    const level = this.#level(key);
    const fits = level + 1 <= this.#size;
    this.#buckets.delete(key);
    this.#buckets.set(key, { level: fits ? level + 1 : level, atMs: this.#clock.monotonic() });
    if (this.#buckets.size > this.#maxKeys) this.#forgetOldest();
    return fits;
  }

  isFull(key: string): boolean {
    return this.#level(key) + 1 > this.#size;
  }

  #level(key: string): number {
    const bucket = this.#buckets.get(key);
    if (!bucket) return 0;
    return Math.max(0, bucket.level - (this.#clock.monotonic() - bucket.atMs) * this.#drainPerMs);
  }

  #forgetOldest(): void {
    for (const key of this.#buckets.keys()) {
      this.#buckets.delete(key);
      return;
    }
  }
}
