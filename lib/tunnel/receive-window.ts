import { invariant } from '../core/errors.ts';
import type { TunnelLimits } from './options.ts';
import type { WindowSource } from './window-pool.ts';

type WindowLimits = Pick<TunnelLimits, 'earlyWindowBytes' | 'windowBytes' | 'maxWindowBytes' | 'stallMs'>;

/**
 * What a peer may send on one stream. All numbers are absolute stream offsets: `consumed ≤ received ≤ limit`.
 * A limit once announced is never taken back; a window that shrinks just announces nothing for a while.
 *
 *     early ──open──▶ base ──fast──▶ grown ──fast──▶ … maxWindowBytes
 *                      ▲───nothing taken for stallMs───┘
 */
export class ReceiveWindow {
  readonly #limits: WindowLimits;
  readonly #pool: WindowSource;
  #base = 0;
  #size: number;
  /** Growth that this stream holds from the pool. */
  #growth = 0;
  #limit: number;
  #received = 0;
  #consumed = 0;
  #ended = false;
  /** Where and when the current measurement of the rate began. */
  #epochConsumed = 0;
  #epochMs = 0;
  #lastConsumedMs = 0;

  constructor(limits: WindowLimits, pool: WindowSource) {
    this.#limits = limits;
    this.#pool = pool;
    this.#size = limits.earlyWindowBytes;
    this.#limit = limits.earlyWindowBytes;
  }

  /** Absolute: what the peer may have sent in all. */
  get limit(): number {
    return this.#limit;
  }

  /** Bytes that came and were not given back. */
  get outstanding(): number {
    return this.#received - this.#consumed;
  }

  /** Bytes that the peer may still send. */
  get unused(): number {
    return this.#ended ? 0 : this.#limit - this.#received;
  }

  get size(): number {
    return this.#size;
  }

  /** The stream is taken up: the window is raised from the early one to the base. Returns the limit to announce. */
  open(nowMs: number): number {
    // A peer that has ended needs none; what it is told must still not go back.
    if (this.#ended) return this.#limit;
    this.#base = this.#pool.takeBase(this.#limits.windowBytes);
    this.#size = this.#base;
    this.#epochMs = nowMs;
    this.#lastConsumedMs = nowMs;
    this.#limit = Math.max(this.#limit, this.#consumed + this.#size);
    return this.#limit;
  }

  /** False where the peer went beyond its credit. */
  receive(bytes: number): boolean {
    this.#received += bytes;
    return this.#received <= this.#limit;
  }

  /** Bytes went onward. Returns the new limit where it is worth announcing. */
  consume(bytes: number, nowMs: number, roundTripMs: number): number | undefined {
    invariant(bytes <= this.outstanding, `${bytes} bytes given back of ${this.outstanding} that came`);
    this.#consumed += bytes;
    this.#lastConsumedMs = nowMs;
    this.#returnGrowth();
    // Before the stream is open the early window is all there is; after its end the peer needs none.
    if (this.#base === 0 || this.#ended) return undefined;
    // Half a window: fewer announcements, and the peer still never waits for one that is on its way.
    if (this.#consumed + this.#size - this.#limit < this.#size / 2) return undefined;
    this.#grow(nowMs, roundTripMs);
    this.#limit = this.#consumed + this.#size;
    return this.#limit;
  }

  /** The peer ended its side: of what it was promised only what it used counts. */
  end(): void {
    this.#ended = true;
    this.#returnGrowth();
  }

  /** Looks whether the stream stalls or idles; a grown window then goes back to its base. */
  tick(nowMs: number): void {
    if (this.#base === 0 || nowMs - this.#lastConsumedMs < this.#limits.stallMs) return;
    this.#size = this.#base;
    this.#returnGrowth();
  }

  /** The stream is gone. */
  release(): void {
    this.#pool.returnBase(this.#base);
    this.#pool.returnGrowth(this.#growth);
    this.#base = 0;
    this.#growth = 0;
  }

  /**
   * Doubles the window where half of it was taken within two round trips: the peer then waits for credit, so the
   * window is smaller than the bandwidth-delay product.
   */
  #grow(nowMs: number, roundTripMs: number): void {
    const took = this.#consumed - this.#epochConsumed;
    const fast = took >= this.#size / 2 && nowMs - this.#epochMs <= 2 * roundTripMs;
    this.#epochConsumed = this.#consumed;
    this.#epochMs = nowMs;
    if (!fast) return;
    const wanted = Math.min(this.#size * 2, this.#limits.maxWindowBytes);
    const more = wanted - this.#size;
    if (more <= 0 || !this.#pool.takeGrowth(more)) return;
    this.#growth += more;
    this.#size = wanted;
  }

  /** What was promised stays promised until it is used up; only then does a shrunk window's growth go back. */
  #returnGrowth(): void {
    const promised = this.#ended ? this.outstanding : Math.max(this.#size, this.#limit - this.#consumed);
    const surplus = this.#growth - Math.max(0, promised - this.#base);
    if (surplus <= 0) return;
    this.#growth -= surplus;
    this.#pool.returnGrowth(surplus);
  }
}
