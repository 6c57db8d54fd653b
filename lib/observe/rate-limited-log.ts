import type { Clock, Timer } from '../core/clock.ts';
import type { LogFields } from '../core/ports.ts';
import { linesPerMinute, maxRateKeys } from './options.ts';

export interface RateLimitedLogOptions {
  readonly clock: Clock;
  /** Writes a line that passed. */
  readonly write: (fields: LogFields, message: string) => void;
  readonly linesPerMinute?: number;
  readonly maxKeys?: number;
}

interface Window {
  lines: number;
  suppressed: number;
  lastMessage: string;
  lastFields: LogFields;
  timer: Timer;
}

const minuteMs = 60_000;

/** At most so many lines a minute and key (a source address); then one that says how many more there were. */
export class RateLimitedLog {
  readonly #clock: Clock;
  readonly #write: (fields: LogFields, message: string) => void;
  readonly #perMinute: number;
  readonly #maxKeys: number;
  readonly #windows = new Map<string, Window>();

  constructor(options: RateLimitedLogOptions) {
    this.#clock = options.clock;
    this.#write = options.write;
    this.#perMinute = options.linesPerMinute ?? linesPerMinute;
    this.#maxKeys = options.maxKeys ?? maxRateKeys;
  }

  line(key: string, fields: LogFields, message: string): void {
    const window = this.#windows.get(key) ?? this.#open(key);
    window.lastFields = fields;
    window.lastMessage = message;
    if (window.lines >= this.#perMinute) {
      window.suppressed += 1;
      return;
    }
    window.lines += 1;
    this.#write(fields, message);
  }

  /** Says what was held back so far, and forgets all keys. */
  close(): void {
    for (const key of [...this.#windows.keys()]) this.#close(key);
  }

  #open(key: string): Window {
    // A flood from ever new keys ends the oldest window early: its count is said, not lost.
    const oldest = this.#windows.keys().next().value;
    if (this.#windows.size >= this.#maxKeys && oldest !== undefined) this.#close(oldest);
    const timer = this.#clock.after(minuteMs, () => this.#close(key));
    const window: Window = { lines: 0, suppressed: 0, lastMessage: '', lastFields: {}, timer };
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
    this.#write({ ...lastFields, suppressed }, `${lastMessage} (${suppressed} more like it)`);
  }
}
