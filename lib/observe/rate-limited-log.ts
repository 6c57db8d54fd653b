import type { Clock, Timer } from '../core/clock.ts';
import type { LogFields } from '../core/ports.ts';
import { linesPerMinute, maxRateKeys, totalLinesPerMinute } from './options.ts';

export interface RateLimitedLogOptions {
  readonly clock: Clock;
  /** Writes a line that passed. */
  readonly write: (fields: LogFields, message: string) => void;
  /** For each key. */
  readonly linesPerMinute?: number;
  /** For all keys together: a flood from ever new sources is no smaller for it. */
  readonly totalPerMinute?: number;
  readonly maxKeys?: number;
}

/** A key's current minute. */
interface Window {
  lines: number;
  suppressed: number;
  lastFields: LogFields;
  lastMessage: string;
  readonly timer: Timer;
}

const minuteMs = 60_000;

/** At most so many lines a minute and key (a source address), and in all; then one that says how many more there were. */
export class RateLimitedLog {
  readonly #options: Required<RateLimitedLogOptions>;
  readonly #windows = new Map<string, Window>();
  #total: { lines: number; suppressed: number; readonly timer: Timer } | undefined;

  constructor(options: RateLimitedLogOptions) {
    this.#options = {
      linesPerMinute,
      totalPerMinute: totalLinesPerMinute,
      maxKeys: maxRateKeys,
      ...options,
    };
  }

  line(key: string, fields: LogFields, message: string): void {
    const window = this.#windows.get(key) ?? this.#open(key);
    window.lastFields = fields;
    window.lastMessage = message;
    if (window.lines >= this.#options.linesPerMinute) {
      window.suppressed += 1;
      return;
    }
    window.lines += 1;
    this.#write(1, fields, message);
  }

  /** Says what was held back so far, and forgets all keys. */
  close(): void {
    for (const key of [...this.#windows.keys()]) this.#close(key);
    this.#closeTotal();
  }

  #open(key: string): Window {
    // At the cap the oldest window ends early: its count is said, not lost.
    const oldest = this.#windows.keys().next().value;
    if (this.#windows.size >= this.#options.maxKeys && oldest !== undefined) this.#close(oldest);
    const timer = this.#options.clock.after(minuteMs, () => this.#close(key));
    const window: Window = { lines: 0, suppressed: 0, lastFields: {}, lastMessage: '', timer };
    this.#windows.set(key, window);
    return window;
  }

  #close(key: string): void {
    const window = this.#windows.get(key);
    if (window === undefined) return;
    this.#windows.delete(key);
    window.timer.cancel();
    if (window.suppressed === 0) return;
    const { suppressed, lastFields, lastMessage } = window;
    this.#write(suppressed, { ...lastFields, suppressed }, `${lastMessage} (${suppressed} more like it)`);
  }

  /** `events`: how many the line stands for. */
  #write(events: number, fields: LogFields, message: string): void {
    this.#total ??= {
      lines: 0,
      suppressed: 0,
      timer: this.#options.clock.after(minuteMs, () => this.#closeTotal()),
    };
    if (this.#total.lines >= this.#options.totalPerMinute) {
      this.#total.suppressed += events;
      return;
    }
    this.#total.lines += 1;
    this.#options.write(fields, message);
  }

  #closeTotal(): void {
    if (this.#total === undefined) return;
    const { suppressed, timer } = this.#total;
    this.#total = undefined;
    timer.cancel();
    if (suppressed > 0)
      this.#options.write({ suppressed }, `${suppressed} more such lines from many sources`);
  }
}
