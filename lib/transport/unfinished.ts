import type { Clock, Timer } from '../core/clock.ts';

/** A connection whose peer has not yet proved who it is. */
export interface Pending {
  readonly source: string;
  /** Ends it; `why` is for the log and the metrics. */
  drop(why: 'deadline' | 'crowded-out'): void;
}

/**
 * Connections that are not yet permitted, oldest first: capped in all and by source, each with the same deadline. A
 * newcomer at the cap costs the oldest its place, never itself: whoever fills the room only pushes out his own, and a
 * client that gets on with it is through before its turn comes.
 */
export class Unfinished {
  readonly #clock: Clock;
  readonly #limits: { deadlineMs: number; maxUnfinished: number; maxUnfinishedPerSource: number };
  /** In order of arrival, with the moment each is due. */
  readonly #dueMs = new Map<Pending, number>();
  readonly #bySource = new Map<string, Set<Pending>>();
  #timer: Timer | undefined;

  constructor(
    clock: Clock,
    limits: { deadlineMs: number; maxUnfinished: number; maxUnfinishedPerSource: number },
  ) {
    this.#clock = clock;
    this.#limits = limits;
  }

  get size(): number {
    return this.#dueMs.size;
  }

  add(pending: Pending): void {
    const ofSource = this.#bySource.get(pending.source);
    if (ofSource && ofSource.size >= this.#limits.maxUnfinishedPerSource) this.#dropFirst(ofSource);
    else if (this.#dueMs.size >= this.#limits.maxUnfinished) this.dropOldest();
    this.#dueMs.set(pending, this.#clock.monotonic() + this.#limits.deadlineMs);
    const set = this.#bySource.get(pending.source);
    if (set) set.add(pending);
    else this.#bySource.set(pending.source, new Set([pending]));
    if (!this.#timer) this.#arm(this.#limits.deadlineMs);
  }

  /** It was permitted or it is gone. Idempotent. */
  remove(pending: Pending): void {
    if (!this.#dueMs.delete(pending)) return;
    const set = this.#bySource.get(pending.source);
    set?.delete(pending);
    if (set?.size === 0) this.#bySource.delete(pending.source);
    if (this.#dueMs.size === 0) this.#disarm();
  }

  /** True where there was one. */
  dropOldest(): boolean {
    return this.#dropFirst(this.#dueMs.keys());
  }

  /** All of them, oldest first. */
  list(): Pending[] {
    return [...this.#dueMs.keys()];
  }

  #dropFirst(all: Iterable<Pending>): boolean {
    for (const pending of all) {
      this.remove(pending);
      pending.drop('crowded-out');
      return true;
    }
    return false;
  }

  /** One timer for all: they are due in the order in which they came. */
  #arm(delayMs: number): void {
    this.#timer = this.#clock.after(delayMs, () => {
      this.#timer = undefined;
      this.#dropDue();
    });
  }

  #dropDue(): void {
    const now = this.#clock.monotonic();
    for (const [pending, dueMs] of this.#dueMs) {
      if (dueMs > now) {
        this.#arm(dueMs - now);
        return;
      }
      this.remove(pending);
      pending.drop('deadline');
    }
  }

  #disarm(): void {
    this.#timer?.cancel();
    this.#timer = undefined;
  }
}
