import type { Clock } from '../core/clock.ts';
import type { Log, LogFields } from '../core/ports.ts';

/** Refusals that are logged at once, and how many a second from then on. */
const burstLines = 50;
const linesPerSecond = 10;

/**
 * Warnings at a bounded rate: whoever can cause refusals must not be able to fill a disk with them.
 * What was left out is counted in the next line that is written.
 */
export class LimitedLog {
  readonly #log: Log;
  readonly #clock: Clock;
  #lines = burstLines;
  #countedAtMs: number;
  #suppressed = 0;

  constructor(log: Log, clock: Clock) {
    this.#log = log;
    this.#clock = clock;
    this.#countedAtMs = clock.monotonic();
  }

  warn(fields: LogFields, message: string): void {
    const nowMs = this.#clock.monotonic();
    const earned = ((nowMs - this.#countedAtMs) / 1000) * linesPerSecond;
    this.#lines = Math.min(burstLines, this.#lines + earned);
    this.#countedAtMs = nowMs;
    if (this.#lines < 1) {
      this.#suppressed += 1;
      return;
    }
    this.#lines -= 1;
    const suppressed = this.#suppressed;
    this.#suppressed = 0;
    this.#log.warn(suppressed > 0 ? { ...fields, suppressed } : fields, message);
  }
}
