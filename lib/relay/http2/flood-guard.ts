import type { Clock } from '../../core/clock.ts';
import type { Allowance, FloodLimits } from './options.ts';

/**
 * Counts what a peer has us do for nothing. Each kind has a burst and a rate, and what moves something pays for one
 * more (gRPC measures a path by a PING for each few DATA frames); beyond that the connection is closed
 * with ENHANCE_YOUR_CALM (RFC 9113 section 10.5). The clock is read only when a burst is used up.
 */
export class FloodGuard {
  readonly #clock: Clock;
  readonly #limits: FloodLimits;
  readonly #left: Record<keyof FloodLimits, number>;
  #sinceMs: number;
  readonly #useful: () => Readonly<Record<keyof FloodLimits, number>>;
  #usefulBefore: Readonly<Record<keyof FloodLimits, number>> = { resets: 0, idleFrames: 0 };

  /** `useful` counts, from the connection's start, what pays for one of the kind each. */
  constructor(clock: Clock, limits: FloodLimits, useful: () => Readonly<Record<keyof FloodLimits, number>>) {
    this.#clock = clock;
    this.#limits = limits;
    this.#useful = useful;
    this.#left = { resets: limits.resets.burst, idleFrames: limits.idleFrames.burst };
    this.#sinceMs = clock.monotonic();
  }

  /** False where this one is one too many. */
  allows(kind: keyof FloodLimits): boolean {
    this.#left[kind] -= 1;
    if (this.#left[kind] >= 0) return true;
    this.#refill();
    return this.#left[kind] >= 0;
  }

  #refill(): void {
    const nowMs = this.#clock.monotonic();
    const seconds = (nowMs - this.#sinceMs) / 1_000;
    this.#sinceMs = nowMs;
    const useful = this.#useful();
    const before = this.#usefulBefore;
    this.#usefulBefore = useful;
    for (const kind of ['resets', 'idleFrames'] as const) {
      const { burst, perSecond }: Allowance = this.#limits[kind];
      this.#left[kind] = Math.min(
        burst,
        this.#left[kind] + seconds * perSecond + useful[kind] - before[kind],
      );
    }
  }
}
