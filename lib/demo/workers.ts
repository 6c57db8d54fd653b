import type { Clock } from '../core/clock.ts';
import { LockwireError } from '../core/errors.ts';
import type { HostLimits } from './options.ts';
import { Worker } from './worker.ts';

/**
 * Workers by client-id. A worker is known from its first call; with no channel open it is forgotten after
 * `orphanTimeoutMs`, so that calls without a channel leave nothing behind.
 */
export class Workers {
  readonly #limits: HostLimits;
  readonly #clock: Clock;
  readonly #forget: (worker: Worker) => void;
  readonly #byId = new Map<string, Worker>();

  /** `forget` drops what the worker registered and asked. */
  constructor(limits: HostLimits, clock: Clock, forget: (worker: Worker) => void) {
    this.#limits = limits;
    this.#clock = clock;
    this.#forget = forget;
  }

  get size(): number {
    return this.#byId.size;
  }

  find(clientId: string): Worker | undefined {
    return this.#byId.get(clientId);
  }

  /** Finds or makes it. */
  known(clientId: string): Worker {
    const found = this.#byId.get(clientId);
    if (found) return found;
    const { maxClients, orphanTimeoutMs } = this.#limits;
    if (this.#byId.size >= maxClients)
      throw new LockwireError('limit', `${maxClients} workers are connected, the most there can be`);
    const worker = new Worker(clientId);
    worker.orphanTimer = this.#clock.after(orphanTimeoutMs, () => this.remove(worker));
    this.#byId.set(clientId, worker);
    return worker;
  }

  remove(worker: Worker): void {
    if (this.#byId.get(worker.clientId) !== worker) return;
    this.#byId.delete(worker.clientId);
    worker.orphanTimer?.cancel();
    worker.detach();
    this.#forget(worker);
  }
}
