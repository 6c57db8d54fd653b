import pino from 'pino';
import { type Clock, systemClock } from '../core/clock.ts';
import type { Log, LogFields } from '../core/ports.ts';
import { type LogDestination, openLogDestination } from './log-destination.ts';
import type { LogLevel } from './log-level.ts';
import { type LogValue, safeFields, safeLogText } from './log-value.ts';
import { maxLogMessageChars } from './options.ts';
import { textLine } from './text-line.ts';

export interface LogOptions {
  readonly level: LogLevel;
  /** `json` for programs, a line an object; `text` for people. */
  readonly format: 'json' | 'text';
  /** A file descriptor, or who takes each line with its newline; standard error without it. */
  readonly write?: number | ((line: string) => void);
  readonly clock?: Clock;
}

export interface FlushableLog extends Log {
  /** Waits until all is written, or half a second; before the process ends. */
  flush(): Promise<void>;
}

const severity: Readonly<Record<LogLevel, number>> = { debug: 20, info: 30, warn: 40, error: 50 };

/** The log of a process. Every value passes `safeFields`: controls escaped, lengths capped, secrets by name redacted. */
export function createLog(options: LogOptions): FlushableLog {
  const clock = options.clock ?? systemClock;
  const destination = destinationOf(options, clock);
  const write = options.format === 'json' ? jsonWriter(destination, clock) : textWriter(destination, clock);
  return new LeveledLog(severity[options.level], write, () => destination.flush(), {});
}

type Write = (level: LogLevel, message: string, fields: Readonly<Record<string, LogValue>>) => void;

class LeveledLog implements FlushableLog {
  readonly #threshold: number;
  readonly #write: Write;
  readonly #flush: () => Promise<void>;
  readonly #base: Readonly<Record<string, LogValue>>;

  constructor(
    threshold: number,
    write: Write,
    flush: () => Promise<void>,
    base: Readonly<Record<string, LogValue>>,
  ) {
    this.#threshold = threshold;
    this.#write = write;
    this.#flush = flush;
    this.#base = base;
  }

  debug(fields: LogFields, message: string): void {
    this.#line('debug', fields, message);
  }

  info(fields: LogFields, message: string): void {
    this.#line('info', fields, message);
  }

  warn(fields: LogFields, message: string): void {
    this.#line('warn', fields, message);
  }

  error(fields: LogFields, message: string): void {
    this.#line('error', fields, message);
  }

  child(fields: LogFields): Log {
    // Made safe once, not with each line.
    const base = { ...this.#base, ...safeFields(fields) };
    return new LeveledLog(this.#threshold, this.#write, this.#flush, base);
  }

  flush(): Promise<void> {
    return this.#flush();
  }

  #line(level: LogLevel, fields: LogFields, message: string): void {
    if (severity[level] < this.#threshold) return;
    this.#write(level, safeLogText(message, maxLogMessageChars), { ...this.#base, ...safeFields(fields) });
  }
}

function destinationOf({ write = 2, format }: LogOptions, clock: Clock): LogDestination {
  if (typeof write === 'function') return { write, flush: () => Promise.resolve() };
  const message = 'log lines were dropped: their reader is too slow';
  const describeDrop = (dropped: number): string =>
    format === 'text'
      ? `${textLine(clock.now(), 'warn', message, { dropped })}\n`
      : `${JSON.stringify({ level: 'warn', time: new Date(clock.now()).toISOString(), dropped, msg: message })}\n`;
  return openLogDestination(write, { describeDrop });
}

// Names that pino itself writes: a field of that name would make a second key of it, and readers differ on which counts.
const reserved = new Set(['level', 'time', 'msg']);

function jsonWriter(destination: LogDestination, clock: Clock): Write {
  const logger = pino(
    {
      base: null,
      level: 'debug',
      formatters: { level: label => ({ level: label }) },
      timestamp: () => `,"time":"${new Date(clock.now()).toISOString()}"`,
    },
    { write: line => destination.write(line) },
  );
  return (level, message, fields) => logger[level](withoutReserved(fields), message);
}

function withoutReserved(fields: Readonly<Record<string, LogValue>>): Readonly<Record<string, LogValue>> {
  if (!Object.keys(fields).some(key => reserved.has(key))) return fields;
  return Object.fromEntries(
    Object.entries(fields).map(([key, value]) => [reserved.has(key) ? `${key}_` : key, value]),
  );
}

function textWriter(destination: LogDestination, clock: Clock): Write {
  return (level, message, fields) => destination.write(`${textLine(clock.now(), level, message, fields)}\n`);
}
