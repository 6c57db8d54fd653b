import type { Clock, Timer } from '../../lib/core/clock.ts';

/** Time of a model: it stands until it is run, and tells the timers of what is tested from the model's own steps. */
export class ModelClock implements Clock {
  #nowMs = 0;
  readonly #due = new Map<number, (() => void)[]>();
  readonly #timers = new Set<object>();

  /** Timers that wait, of those asked for with `after`. */
  get timers(): number {
    return this.#timers.size;
  }

  now(): number {
    return 1_800_000_000_000 + this.#nowMs;
  }

  monotonic(): number {
    return this.#nowMs;
  }

  after(delayMs: number, callback: () => void): Timer {
    const timer = {};
    this.#timers.add(timer);
    this.step(delayMs, () => {
      if (this.#timers.delete(timer)) callback();
    });
    return { cancel: () => void this.#timers.delete(timer) };
  }

  /** A step of the world around what is tested. */
  step(delayMs: number, callback: () => void): void {
    const atMs = this.#nowMs + Math.max(0, Math.ceil(delayMs));
    const due = this.#due.get(atMs);
    if (due) due.push(callback);
    else this.#due.set(atMs, [callback]);
  }

  /** Runs for so long, or until `enough` holds. */
  async run(ms: number, enough: () => boolean = () => false): Promise<void> {
    const until = this.#nowMs + ms;
    await breath();
    while (!enough()) {
      const next = this.#next();
      if (next === undefined || next > until) {
        this.#nowMs = until;
        return;
      }
      this.#nowMs = next;
      const due = this.#due.get(next) ?? [];
      this.#due.delete(next);
      for (const callback of due) callback();
      await breath();
    }
  }

  #next(): number | undefined {
    let next: number | undefined;
    for (const atMs of this.#due.keys()) if (next === undefined || atMs < next) next = atMs;
    return next;
  }
}

/** Until promises have been heard, and writes that wait for the end of a round of reads are out. */
async function breath(): Promise<void> {
  await new Promise<void>(resolve => void setImmediate(resolve));
  await new Promise<void>(resolve => void setImmediate(resolve));
}
