import { randomBytes } from 'node:crypto';
import type { Clock, Timer } from '../../core/clock.ts';
import { LockwireError } from '../../core/errors.ts';

/** An RPC on its way: whoever waits for it, and what they call it. */
export interface Pending<Client extends object> {
  /** 128 random bits, hex: on the host's side. */
  readonly id: string;
  readonly caller: Client;
  /** The caller's own. */
  readonly requestId: string;
  readonly agentType: string;
  /** Went to the host: it is never sent again. */
  written: boolean;
  /** Who was handed it. */
  callee: Client | undefined;
  readonly dueAtMs: number;
}

export interface PendingLimits {
  /** Of one caller, and of all. */
  readonly perCaller: number;
  readonly inAll: number;
  readonly timeoutMs: number;
}

const idBytes = 16;

/**
 * RPCs without an answer. AutoGen's callers count from "1" and its host keys by callee and that number, so that one
 * caller's answer reaches another; an id of ours is one caller's and nobody can guess it.
 */
export class PendingRequests<Client extends object> {
  readonly #limits: PendingLimits;
  readonly #clock: Clock;
  readonly #onLate: (late: Pending<Client>) => void;
  /** In the order they were opened, which is that of their deadlines. */
  readonly #byId = new Map<string, Pending<Client>>();
  readonly #counts = new Map<Client, number>();
  #timer: Timer | undefined;

  constructor(limits: PendingLimits, clock: Clock, onLate: (late: Pending<Client>) => void) {
    this.#limits = limits;
    this.#clock = clock;
    this.#onLate = onLate;
  }

  get size(): number {
    return this.#byId.size;
  }

  of(caller: Client): number {
    return this.#counts.get(caller) ?? 0;
  }

  get(id: string): Pending<Client> | undefined {
    return this.#byId.get(id);
  }

  /** Throws LockwireError `limit`. */
  open(caller: Client, requestId: string, agentType: string): Pending<Client> {
    const { perCaller, inAll, timeoutMs } = this.#limits;
    const own = this.of(caller);
    if (own >= perCaller)
      throw new LockwireError(
        'limit',
        `${own} RPCs are without an answer, the most of one worker is ${perCaller}`,
      );
    if (this.#byId.size >= inAll)
      throw new LockwireError(
        'limit',
        `${inAll} RPCs of all workers are without an answer, the most there can be`,
      );
    const pending: Pending<Client> = {
      id: randomBytes(idBytes).toString('hex'),
      caller,
      requestId,
      agentType,
      written: false,
      callee: undefined,
      dueAtMs: this.#clock.monotonic() + timeoutMs,
    };
    this.#byId.set(pending.id, pending);
    this.#counts.set(caller, own + 1);
    this.#arm();
    return pending;
  }

  /** Answered, by whomever. False where it was before. */
  close(pending: Pending<Client>): boolean {
    if (!this.#byId.delete(pending.id)) return false;
    const left = this.of(pending.caller) - 1;
    if (left > 0) this.#counts.set(pending.caller, left);
    else this.#counts.delete(pending.caller);
    this.#arm();
    return true;
  }

  /** Closes and gives those that fit. */
  closeAll(fits: (pending: Pending<Client>) => boolean): Pending<Client>[] {
    const found = [...this.#byId.values()].filter(fits);
    for (const pending of found) this.close(pending);
    return found;
  }

  stop(): void {
    this.#timer?.cancel();
    this.#timer = undefined;
    this.#byId.clear();
    this.#counts.clear();
  }

  /** One timer, for the oldest. */
  #arm(): void {
    if (this.#byId.size === 0) {
      this.#timer?.cancel();
      this.#timer = undefined;
      return;
    }
    if (this.#timer) return;
    const [oldest] = this.#byId.values();
    const delayMs = Math.max(0, (oldest?.dueAtMs ?? 0) - this.#clock.monotonic());
    this.#timer = this.#clock.after(delayMs, () => this.#due());
  }

  #due(): void {
    this.#timer = undefined;
    const nowMs = this.#clock.monotonic();
    for (const pending of this.#byId.values()) {
      if (pending.dueAtMs > nowMs) break;
      this.close(pending);
      this.#onLate(pending);
    }
    this.#arm();
  }
}
