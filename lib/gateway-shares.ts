import type { Clock } from './core/clock.ts';
import { LockwireError } from './core/errors.ts';
import { TokenBucket } from './core/token-bucket.ts';

export interface ShareLimits {
  /** Opens a second of one principal to one expose, and at once. */
  readonly opensPerSecond: number;
  readonly opensBurst: number;
  /** Principals without a stream that are remembered for their rate. */
  readonly maxIdle: number;
}

export const defaultShareLimits: ShareLimits = { opensPerSecond: 128, opensBurst: 256, maxIdle: 1_024 };

/** What shares need to know of an expose. */
export interface Shared {
  readonly streamCount: number;
  readonly limits: { readonly maxStreams: number };
}

interface Share {
  streams: number;
  readonly opens: TokenBucket;
}

/**
 * All clients of a target meet in the session of its expose. So that none crowds out the others there, a principal gets
 * at most half of what is free, however many sessions it has, and opens at a rate of its own.
 */
export class Shares {
  readonly #clock: Clock;
  readonly #limits: ShareLimits;
  readonly #byExpose = new WeakMap<Shared, Map<string, Share>>();

  constructor(clock: Clock, limits: ShareLimits = defaultShareLimits) {
    this.#clock = clock;
    this.#limits = limits;
  }

  /** Takes a place for one stream and gives what frees it, once. Throws `limit`. */
  take(expose: Shared, principal: string): () => void {
    const shares = this.#byExpose.get(expose) ?? new Map<string, Share>();
    this.#byExpose.set(expose, shares);
    const share = shares.get(principal) ?? this.#make(shares, principal);
    const free = expose.limits.maxStreams - expose.streamCount;
    if (share.streams >= free) {
      const text = `${share.streams} streams of this principal are open and ${free} are free, at most half is for one`;
      throw new LockwireError('limit', text);
    }
    if (!share.opens.take(this.#clock.monotonic())) {
      const text = `more than ${this.#limits.opensPerSecond} opens a second by this principal, the limit`;
      throw new LockwireError('limit', text);
    }
    share.streams += 1;
    let held = true;
    return () => {
      if (held) share.streams -= 1;
      held = false;
    };
  }

  #make(shares: Map<string, Share>, principal: string): Share {
    const { opensPerSecond, opensBurst, maxIdle } = this.#limits;
    // Those with streams are bounded by the streams.
    if (shares.size >= maxIdle)
      for (const [name, { streams }] of shares) if (streams === 0) shares.delete(name);
    const made = { streams: 0, opens: new TokenBucket(opensPerSecond, opensBurst, this.#clock.monotonic()) };
    shares.set(principal, made);
    return made;
  }
}
