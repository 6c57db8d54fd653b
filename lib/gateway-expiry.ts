import type { Clock, Timer } from './core/clock.ts';

/** Calls back when a credential runs out by the wall clock; each `watch` takes the place of the one before. */
export class Expiry {
  readonly #clock: Clock;
  readonly #onExpired: () => void;
  #timer: Timer | undefined;

  constructor(clock: Clock, onExpired: () => void) {
    this.#clock = clock;
    this.#onExpired = onExpired;
  }

  watch(expiresAtMs: number): void {
    this.#timer?.cancel();
    const leftMs = Math.max(0, expiresAtMs - this.#clock.now());
    this.#timer = this.#clock.after(leftMs, () => {
      // A timer holds 24.8 days at most, and the wall clock may have been set back: then it looks again.
      if (this.#clock.now() < expiresAtMs) this.watch(expiresAtMs);
      else this.#onExpired();
    });
  }

  /** What ended must not be held in memory until its credential would have run out. */
  cancel(): void {
    this.#timer?.cancel();
    this.#timer = undefined;
  }
}
