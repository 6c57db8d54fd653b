import type { Timer } from '../core/clock.ts';
import type { Outbox } from './outbox.ts';
import type { Party } from './pending-requests.ts';

/** The reading half of a worker's channel. */
export interface MessageSource {
  pause(): void;
  resume(): void;
}

/** One worker, known by its client-id. */
export class Worker implements Party {
  readonly clientId: string;
  pendingRequests = 0;
  /** Runs while something is registered and no channel is open. */
  orphanTimer: Timer | undefined;
  #channel: { readonly source: MessageSource; readonly outbox: Outbox } | undefined;
  /** Full queues that this worker filled and waits for. */
  #waiting = 0;

  constructor(clientId: string) {
    this.clientId = clientId;
  }

  get connected(): boolean {
    return this.#channel !== undefined;
  }

  attach(source: MessageSource, outbox: Outbox): void {
    this.#channel = { source, outbox };
  }

  detach(): void {
    this.#channel?.outbox.close();
    this.#channel = undefined;
  }

  /** Sends to this worker; where that fills its queue, the sender is read no further until there is room. */
  send(bytes: Buffer, sender?: Worker): void {
    const outbox = this.#channel?.outbox;
    if (!outbox) return;
    outbox.send(bytes);
    if (outbox.full) sender?.waitFor(outbox);
  }

  private waitFor(outbox: Outbox): void {
    this.#waiting += 1;
    if (this.#waiting === 1) this.#channel?.source.pause();
    outbox.whenRoom(() => {
      this.#waiting -= 1;
      if (this.#waiting === 0) this.#channel?.source.resume();
    });
  }
}
