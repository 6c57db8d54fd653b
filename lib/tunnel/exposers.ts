import type { Clock } from '../core/clock.ts';
import type { TunnelSession } from './session.ts';

export interface ExposerLimits {
  /**
   * So long after the gateway's start, and after the last `expose` of a target went, another is on its way: a stream
   * that comes meanwhile waits for it. An expose dials twice a second while a successor is awaited
   * (`successorRedialMs`).
   */
  readonly exposeReturnMs: number;
  /** Streams that wait so, in all and of one principal; the others are refused at once. */
  readonly maxAwaitingExpose: number;
  readonly maxAwaitingExposePerPrincipal: number;
}

export const defaultExposerLimits: ExposerLimits = {
  exposeReturnMs: 3_000,
  maxAwaitingExpose: 1_024,
  maxAwaitingExposePerPrincipal: 128,
};

interface Waiter {
  readonly target: string;
  readonly principal: string;
  wake(): void;
}

/** The `expose` sessions of each target, in the order they came. */
export class Exposers {
  readonly #clock: Clock;
  readonly #limits: ExposerLimits;
  readonly #byTarget = new Map<string, Set<TunnelSession>>();
  readonly #waiting = new Set<Waiter>();
  #startedAtMs: number;
  /** When the last of a target went: only those that it was less than `exposeReturnMs` ago. */
  readonly #lostAtMs = new Map<string, number>();

  constructor(clock: Clock, limits: ExposerLimits = defaultExposerLimits) {
    this.#clock = clock;
    this.#limits = limits;
    this.#startedAtMs = clock.monotonic();
  }

  /** Exposes can come from now on. */
  started(): void {
    this.#startedAtMs = this.#clock.monotonic();
  }

  add(target: string, session: TunnelSession): void {
    const sessions = this.#byTarget.get(target) ?? new Set();
    sessions.add(session);
    this.#byTarget.set(target, sessions);
    for (const waiter of [...this.#waiting]) if (waiter.target === target) waiter.wake();
  }

  remove(target: string, session: TunnelSession): void {
    const sessions = this.#byTarget.get(target);
    if (!sessions?.delete(session)) return;
    if (sessions.size === 0) this.#byTarget.delete(target);
    this.leaves(target);
  }

  /** One of them takes no new streams, or is gone. */
  leaves(target: string): void {
    if (this.pick(target, false)) return;
    const nowMs = this.#clock.monotonic();
    for (const [name, lostAtMs] of this.#lostAtMs)
      if (nowMs - lostAtMs >= this.#limits.exposeReturnMs) this.#lostAtMs.delete(name);
    this.#lostAtMs.set(target, nowMs);
  }

  count(target: string): number {
    return this.#byTarget.get(target)?.size ?? 0;
  }

  /** Streams that wait for an expose. */
  get waitingCount(): number {
    return this.#waiting.size;
  }

  /**
   * The session that takes the next stream. A stateful target has one active `expose`, the longest there; the others
   * wait, and none takes over from it while it lives. Else the one with the fewest streams, and rather one that has a
   * connection now.
   */
  pick(target: string, stateful: boolean): TunnelSession | undefined {
    let best: TunnelSession | undefined;
    for (const session of this.#byTarget.get(target) ?? []) {
      if (session.state !== 'open') continue;
      if (stateful) return session;
      if (best === undefined || isBetter(session, best)) best = session;
    }
    return best;
  }

  /** The same, waiting for one that is on its way. */
  async find(target: string, stateful: boolean, principal: string): Promise<TunnelSession | undefined> {
    const found = this.pick(target, stateful);
    if (found) return found;
    const leftMs = this.#dueMs(target) - this.#clock.monotonic();
    if (leftMs <= 0 || this.#isFull(principal)) return undefined;
    await this.#returned(target, principal, leftMs);
    return this.pick(target, stateful);
  }

  /** Until when one may be expected. */
  #dueMs(target: string): number {
    const lostAtMs = this.#lostAtMs.get(target) ?? Number.NEGATIVE_INFINITY;
    return Math.max(this.#startedAtMs, lostAtMs) + this.#limits.exposeReturnMs;
  }

  #isFull(principal: string): boolean {
    const { maxAwaitingExpose, maxAwaitingExposePerPrincipal } = this.#limits;
    if (this.#waiting.size >= maxAwaitingExpose) return true;
    let own = 0;
    for (const waiter of this.#waiting) if (waiter.principal === principal) own += 1;
    return own >= maxAwaitingExposePerPrincipal;
  }

  #returned(target: string, principal: string, atMostMs: number): Promise<void> {
    return new Promise(resolve => {
      const wake = (): void => {
        timer.cancel();
        this.#waiting.delete(waiter);
        resolve();
      };
      const waiter: Waiter = { target, principal, wake };
      const timer = this.#clock.after(atMostMs, wake);
      this.#waiting.add(waiter);
    });
  }
}

function isBetter(session: TunnelSession, than: TunnelSession): boolean {
  if (session.attached !== than.attached) return session.attached;
  return session.streamCount < than.streamCount;
}
