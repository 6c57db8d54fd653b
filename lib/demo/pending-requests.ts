import { LockwireError } from '../core/errors.ts';
import type { HostLimits } from './options.ts';

/** A worker that asks and answers. */
export interface Party {
  /** How many of its requests are unanswered. */
  pendingRequests: number;
}

export interface Pending<P extends Party> {
  readonly caller: P;
  /** The caller's own id: a counter, so only unique together with the caller. */
  readonly requestId: string;
  readonly target: P;
}

/**
 * Requests that wait for an answer, under ids of the host's own. With the callers' ids, two callers that ask the same
 * worker at once would get each other's answers, as they do with AutoGen's host.
 */
export class PendingRequests<P extends Party> {
  readonly #limits: HostLimits;
  readonly #pending = new Map<string, Pending<P>>();
  #last = 0;

  constructor(limits: HostLimits) {
    this.#limits = limits;
  }

  get size(): number {
    return this.#pending.size;
  }

  /** The id under which the target is asked. */
  open(caller: P, requestId: string, target: P): string {
    const { maxPendingRequests, maxPendingRequestsInAll } = this.#limits;
    if (caller.pendingRequests >= maxPendingRequests)
      throw new LockwireError(
        'limit',
        `${maxPendingRequests} requests of this worker wait for their answers`,
      );
    if (this.#pending.size >= maxPendingRequestsInAll)
      throw new LockwireError('limit', `${maxPendingRequestsInAll} requests in all wait for their answers`);
    caller.pendingRequests += 1;
    this.#last += 1;
    const id = this.#last.toString(36);
    this.#pending.set(id, { caller, requestId, target });
    return id;
  }

  /** Takes out the request that `target` answers; undefined where it was not asked that. */
  close(id: string, target: P): Pending<P> | undefined {
    const pending = this.#pending.get(id);
    if (pending?.target !== target) return undefined;
    this.#remove(id, pending);
    return pending;
  }

  /** Takes out all that a worker which is gone asked or was asked; gives what others asked of it. */
  drop(party: P): Pending<P>[] {
    const orphans: Pending<P>[] = [];
    for (const [id, pending] of this.#pending) {
      if (pending.caller !== party && pending.target !== party) continue;
      this.#remove(id, pending);
      if (pending.caller !== party) orphans.push(pending);
    }
    return orphans;
  }

  #remove(id: string, pending: Pending<P>): void {
    this.#pending.delete(id);
    pending.caller.pendingRequests -= 1;
  }
}
