import type { Clock } from '../core/clock.ts';
import type { Log, LogFields } from '../core/ports.ts';
import { Lru } from './lru.ts';

/** Refusals of one source that are logged at once, and how many a second from then on. */
const burstLines = 50;
const linesPerSecond = 10;
/** Sources whose rate is remembered. */
const maxSources = 1024;

interface Bucket {
  lines: number;
  countedAtMs: number;
  suppressed: number;
}

/**
 * Warnings at a bounded rate for each source: whoever can cause refusals must not be able to fill a disk with them,
 * nor to hide another's behind them. What was left out is counted in the source's next line.
 */
export class LimitedLog {
  readonly #log: Log;
  readonly #clock: Clock;
  readonly #buckets = new Lru<Bucket>(maxSources);

  constructor(log: Log, clock: Clock) {
    this.#log = log;
    this.#clock = clock;
  }

  warn(source: string, fields: LogFields, message: string): void {
    const bucket = this.#bucket(source);
    if (bucket.lines < 1) {
      bucket.suppressed += 1;
      return;
    }
    const { suppressed } = bucket;
    bucket.lines -= 1;
    bucket.suppressed = 0;
    this.#log.warn(suppressed > 0 ? { ...fields, suppressed } : fields, message);
  }

  #bucket(source: string): Bucket {
    const nowMs = this.#clock.monotonic();
    const bucket = this.#buckets.get(source) ?? { lines: burstLines, countedAtMs: nowMs, suppressed: 0 };
    const earned = ((nowMs - bucket.countedAtMs) / 1000) * linesPerSecond;
    bucket.lines = Math.min(burstLines, bucket.lines + earned);
    bucket.countedAtMs = nowMs;
    this.#buckets.set(source, bucket);
    return bucket;
  }
}
