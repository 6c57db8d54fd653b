const minuteMs = 60_000;

/** At most so many looks in any minute: the next waits until an earlier one is a minute old. */
export class LookBudget {
  /** Monotonic: of the latest, when each was or will be; rising. */
  #atMs: number[] = [];

  /** Plans a look, `delayMs` from now or later; gives how long it must wait. */
  plan(nowMs: number, delayMs: number, perMinute: number): number {
    const earliest = this.#atMs[this.#atMs.length - perMinute] ?? Number.NEGATIVE_INFINITY;
    const atMs = Math.max(nowMs + delayMs, earliest + minuteMs);
    // One that was planned later and given up still counts: it errs on the quiet side.
    this.#atMs = [...this.#atMs, atMs].sort((a, b) => a - b).slice(-perMinute);
    return atMs - nowMs;
  }
}
