import type { Clock, Timer } from '../../core/clock.ts';
import type { LiveChannel } from './client.ts';
import type { StreamWriter } from './stream-writer.ts';

export interface CongestionLimits {
  /** Bytes that wait from which senders are to wait too; below half of it they go on. */
  readonly congestedBytes: number;
  readonly stallTimeoutMs: number;
}

export interface CongestionEvents {
  /** It took nothing for too long. */
  stalled(): void;
  /** From here on, or no more. */
  changed(): void;
  eased(senders: readonly LiveChannel[]): void;
}

/**
 * Whether a client takes what it is sent. AutoGen's host reads its workers however slow the others are, and keeps
 * without bound what they don't take: so it is the gateway that slows the senders.
 */
export class Congestion {
  readonly #limits: CongestionLimits;
  readonly #clock: Clock;
  readonly #writer: StreamWriter;
  readonly #events: CongestionEvents;
  readonly #senders = new Set<LiveChannel>();
  #now = false;
  #timer: Timer | undefined;

  constructor(limits: CongestionLimits, clock: Clock, writer: StreamWriter, events: CongestionEvents) {
    this.#limits = limits;
    this.#clock = clock;
    this.#writer = writer;
    this.#events = events;
  }

  get now(): boolean {
    return this.#now;
  }

  tell(sender: LiveChannel): void {
    this.#senders.add(sender);
  }

  /** It is gone: it may be long until there is something to tell. */
  forget(sender: LiveChannel): void {
    this.#senders.delete(sender);
  }

  /** After something was written. */
  look(): void {
    if (this.#now || this.#writer.unsentBytes < this.#limits.congestedBytes) return;
    this.#now = true;
    this.#events.changed();
    this.#arm();
  }

  /** After something was taken. */
  took(): void {
    if (!this.#now) return;
    if (this.#writer.unsentBytes * 2 < this.#limits.congestedBytes) this.close();
    else this.#arm();
  }

  /** It waits no more, or is gone. */
  close(): void {
    this.#timer?.cancel();
    this.#timer = undefined;
    this.#now = false;
    this.#events.changed();
    const senders = [...this.#senders];
    this.#senders.clear();
    if (senders.length > 0) this.#events.eased(senders);
  }

  #arm(): void {
    this.#timer?.cancel();
    this.#timer = this.#clock.after(this.#limits.stallTimeoutMs, () => this.#events.stalled());
  }
}
