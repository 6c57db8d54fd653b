import type { Http2Limits } from './options.ts';

/** Where windows have their growth from: a pool that the whole process shares. */
export interface GrowthPool {
  /** Takes so much, or nothing. */
  takeGrowth(bytes: number): boolean;
  returnGrowth(bytes: number): void;
}

export const noGrowth: GrowthPool = { takeGrowth: () => false, returnGrowth() {} };

/**
 * What a peer may still send on one stream (RFC 9113 section 6.9). Bytes are given back when they went onward, and
 * announced by halves of a window. One whose halves are taken within two round trips each is smaller than what the
 * path carries, and doubles while the pool has room; one that goes slowly, or whose bytes had to wait for the other
 * side, gives its growth back: a larger one would only have more of them wait.
 */
export class ReceiveWindow {
  #size: number;
  /** What the peer may send before it hears from us; below 0 it went too far. */
  #left: number;
  /** Given back and not announced. */
  #unannounced = 0;
  #waited = false;
  #growth = 0;
  #announcedAtMs = 0;

  constructor(sizeBytes: number) {
    this.#size = sizeBytes;
    this.#left = sizeBytes;
  }

  get size(): number {
    return this.#size;
  }

  /** False where the peer sent more than it may. */
  receive(bytes: number): boolean {
    this.#left -= bytes;
    return this.#left >= 0;
  }

  /** Whether `bytes` more given back are worth an announcement. `waited`: they could not go onward at once. */
  consume(bytes: number, waited: boolean): boolean {
    this.#waited ||= waited;
    this.#unannounced += bytes;
    return this.#unannounced * 2 >= this.#size;
  }

  /** The increment to announce now. */
  announce(limits: Http2Limits, pool: GrowthPool, nowMs: number, roundTripMs: number): number {
    const fast = !this.#waited && nowMs - this.#announcedAtMs <= 2 * roundTripMs;
    this.#waited = false;
    this.#announcedAtMs = nowMs;
    let increment = this.#unannounced;
    this.#unannounced = 0;
    if (fast) increment += this.#grow(limits, pool);
    else increment -= this.#shrink(increment, limits, pool);
    this.#left += increment;
    return increment;
  }

  /** The stream is gone. */
  release(pool: GrowthPool): void {
    if (this.#growth > 0) pool.returnGrowth(this.#growth);
    this.#growth = 0;
  }

  #grow({ maxStreamWindowBytes }: Http2Limits, pool: GrowthPool): number {
    const more = Math.min(this.#size * 2, maxStreamWindowBytes) - this.#size;
    if (more <= 0 || !pool.takeGrowth(more)) return 0;
    this.#growth += more;
    this.#size += more;
    return more;
  }

  /** Takes growth back by announcing less than was given back; at least one byte is announced. */
  #shrink(increment: number, { streamWindowBytes }: Http2Limits, pool: GrowthPool): number {
    const less = Math.min(this.#size - streamWindowBytes, this.#growth, increment - 1);
    if (less <= 0) return 0;
    this.#growth -= less;
    this.#size -= less;
    pool.returnGrowth(less);
    return less;
  }
}
