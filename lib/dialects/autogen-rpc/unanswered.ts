import type { AgentName } from './messages.ts';

/** The requests that a client was handed and has not answered: nothing else may it answer. */
export class Unanswered {
  readonly #maxEntries: number;
  /** By the host's request id, which others beside it may use too: each with how often. */
  readonly #asked = new Map<string, { readonly target: AgentName; times: number }>();
  #size = 0;

  constructor(maxEntries: number) {
    this.#maxEntries = maxEntries;
  }

  get size(): number {
    return this.#size;
  }

  /** The oldest makes room: a worker that never answers must not be cut off by that. */
  add(requestId: string, target: AgentName): void {
    if (this.#size >= this.#maxEntries) this.#dropOldest();
    const entry = this.#asked.get(requestId);
    if (entry) entry.times += 1;
    else this.#asked.set(requestId, { target, times: 1 });
    this.#size += 1;
  }

  /** Which agent was asked. */
  get(requestId: string): AgentName | undefined {
    return this.#asked.get(requestId)?.target;
  }

  /** False where it was not asked. */
  answered(requestId: string): boolean {
    const entry = this.#asked.get(requestId);
    if (entry === undefined) return false;
    this.#size -= 1;
    entry.times -= 1;
    if (entry.times === 0) this.#asked.delete(requestId);
    return true;
  }

  /** The channel to the host that they came by is gone. */
  clear(): void {
    this.#asked.clear();
    this.#size = 0;
  }

  #dropOldest(): void {
    for (const [requestId, { times }] of this.#asked) {
      this.#asked.delete(requestId);
      this.#size -= times;
      return;
    }
  }
}
