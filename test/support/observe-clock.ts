import type { Clock, Timer } from '../../lib/core/clock.ts';

/** A clock that a test turns by hand. */
export interface ManualClock extends Clock {
  /** Moves time on and calls back what falls due, in order. */
  advance(ms: number): void;
  readonly timers: number;
}

export function manualClock(startMs: number = Date.UTC(2026, 0, 2, 3, 4, 5)): ManualClock {
  let elapsed = 0;
  const waiting = new Set<{ readonly due: number; readonly callback: () => void }>();
  return {
    now: () => startMs + elapsed,
    monotonic: () => elapsed,
    after(delayMs, callback): Timer {
      const entry = { due: elapsed + delayMs, callback };
      waiting.add(entry);
      return { cancel: () => waiting.delete(entry) };
    },
    advance(ms) {
      const until = elapsed + ms;
      for (;;) {
        const next = [...waiting].filter(({ due }) => due <= until).sort((a, b) => a.due - b.due)[0];
        if (next === undefined) break;
        elapsed = next.due;
        waiting.delete(next);
        next.callback();
      }
      elapsed = until;
    },
    get timers() {
      return waiting.size;
    },
  };
}
