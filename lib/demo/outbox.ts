import type { Clock, Timer } from '../core/clock.ts';
import type { HostLimits } from './options.ts';

/** The writing half of a worker's channel. `done` is called when the message left, or can't any more. */
export interface MessageSink {
  write(bytes: Buffer, done: () => void): void;
}

/** Handed to the sink at a time: enough to keep it busy, little enough that `close` drops nearly all that waits. */
const maxHandedBytes = 65_536;

/**
 * Messages on their way to one worker, counted. Over `maxQueuedBytes` it is full: whoever sent is told to wait until
 * half of it has left. So it holds at most the bound and one message of each sender. A worker that takes nothing
 * while it is full is stalled after `stallTimeoutMs`.
 */
export class Outbox {
  readonly #sink: MessageSink;
  readonly #limits: HostLimits;
  readonly #clock: Clock;
  readonly #stalled: () => void;
  readonly #waiters = new Set<() => void>();
  #messages: Buffer[] = [];
  #head = 0;
  /** All that has not left, and of it what the sink has. */
  #queuedBytes = 0;
  #handedBytes = 0;
  #timer: Timer | undefined;
  #closed = false;

  constructor(sink: MessageSink, limits: HostLimits, clock: Clock, stalled: () => void) {
    this.#sink = sink;
    this.#limits = limits;
    this.#clock = clock;
    this.#stalled = stalled;
  }

  get queuedBytes(): number {
    return this.#queuedBytes;
  }

  get full(): boolean {
    return this.#timer !== undefined;
  }

  send(bytes: Buffer): void {
    if (this.#closed) return;
    this.#queuedBytes += bytes.byteLength;
    this.#messages.push(bytes);
    this.#hand();
    if (!this.#timer && this.#queuedBytes > this.#limits.maxQueuedBytes) this.#watch();
  }

  /** Calls back once when it is full no more, or closed. */
  whenRoom(callback: () => void): void {
    this.#waiters.add(callback);
  }

  /** Drops what waits and lets the waiting go. */
  close(): void {
    this.#closed = true;
    this.#messages = [];
    this.#head = 0;
    this.#queuedBytes = this.#handedBytes;
    this.#release();
  }

  #hand(): void {
    for (;;) {
      const bytes = this.#messages[this.#head];
      if (!bytes) return;
      if (this.#handedBytes > 0 && this.#handedBytes + bytes.byteLength > maxHandedBytes) return;
      this.#head += 1;
      if (this.#head === this.#messages.length || this.#head === 1_024) {
        this.#messages = this.#messages.slice(this.#head);
        this.#head = 0;
      }
      this.#handedBytes += bytes.byteLength;
      this.#sink.write(bytes, () => this.#left(bytes.byteLength));
    }
  }

  #left(bytes: number): void {
    this.#queuedBytes -= bytes;
    this.#handedBytes -= bytes;
    if (this.#closed) return;
    this.#hand();
    if (!this.#timer) return;
    if (this.#queuedBytes <= this.#limits.maxQueuedBytes / 2) this.#release();
    else this.#watch();
  }

  /** Each message that leaves is a sign of life and starts the wait anew. */
  #watch(): void {
    this.#timer?.cancel();
    this.#timer = this.#clock.after(this.#limits.stallTimeoutMs, this.#stalled);
  }

  #release(): void {
    this.#timer?.cancel();
    this.#timer = undefined;
    const waiting = [...this.#waiters];
    this.#waiters.clear();
    for (const callback of waiting) callback();
  }
}
