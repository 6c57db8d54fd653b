import type { Clock, Timer } from '../../lib/core/clock.ts';

/** A clock that stands until it is turned. */
export class TurnedClock implements Clock {
  #monotonicMs = 1000;
  #startedAt: number;
  #timers: { atMs: number; callback: () => void }[] = [];

  constructor(now: number = Date.now()) {
    this.#startedAt = now - this.#monotonicMs;
  }

  get timers(): number {
    return this.#timers.length;
  }

  now(): number {
    return this.#startedAt + this.#monotonicMs;
  }

  monotonic(): number {
    return this.#monotonicMs;
  }

  after(delayMs: number, callback: () => void): Timer {
    const timer = { atMs: this.#monotonicMs + delayMs, callback };
    this.#timers.push(timer);
    return {
      cancel: () => {
        this.#timers = this.#timers.filter(other => other !== timer);
      },
    };
  }

  /** Goes on by so much and calls what becomes due, in order. */
  turn(ms: number): void {
    const end = this.#monotonicMs + ms;
    for (;;) {
      const next = this.#timers.filter(timer => timer.atMs <= end).sort((a, b) => a.atMs - b.atMs)[0];
      if (!next) break;
      this.#timers = this.#timers.filter(timer => timer !== next);
      this.#monotonicMs = Math.max(this.#monotonicMs, next.atMs);
      next.callback();
    }
    this.#monotonicMs = end;
  }
}
