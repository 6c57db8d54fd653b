/** Time, handed in: tests turn it by hand. */
export interface Clock {
  /** Wall time, milliseconds since 1970. */
  now(): number;
  /** Monotonic milliseconds, from an arbitrary start. */
  monotonic(): number;
  /** Calls back once after `delayMs`, unless cancelled. Never keeps the process alive. */
  after(delayMs: number, callback: () => void): Timer;
}

export interface Timer {
  cancel(): void;
}

export const systemClock: Clock = {
  now: () => Date.now(),
  monotonic: () => performance.now(),
  after(delayMs, callback) {
    // setTimeout fires at once for delays over 2^31 - 1 ms; no wait of ours is that long.
    const timer = setTimeout(callback, Math.min(delayMs, 0x7fffffff));
    timer.unref();
    return { cancel: () => clearTimeout(timer) };
  },
};
