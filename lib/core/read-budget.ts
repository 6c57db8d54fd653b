/** What streams that are read from sockets may hold together. */
export interface ReadBudgetLimits {
  /** Shared evenly by the streams that are live. */
  readonly totalBytes: number;
  /** A window is never less: one TLS record (RFC 8446 section 5.1), since a socket gives no less. */
  readonly leastWindowBytes: number;
  /** A window is never more: enough that a bulk transfer is not paused while its writer keeps up. */
  readonly mostWindowBytes: number;
}

export const defaultReadBudget: ReadBudgetLimits = {
  totalBytes: 8 * 1_048_576,
  leastWindowBytes: 16_384,
  mostWindowBytes: 262_144,
};

/** Windows that shrink as streams become many, so that a thousand stuck ones stay within a named bound. */
export class ReadBudget {
  readonly #limits: ReadBudgetLimits;
  #streams = 0;
  #windowBytes: number;

  constructor(limits: ReadBudgetLimits = defaultReadBudget) {
    this.#limits = limits;
    this.#windowBytes = limits.mostWindowBytes;
  }

  /** The window of each stream, now. */
  get windowBytes(): number {
    return this.#windowBytes;
  }

  /** Streams that are live. */
  get streams(): number {
    return this.#streams;
  }

  join(): void {
    this.#share(1);
  }

  leave(): void {
    this.#share(-1);
  }

  #share(change: 1 | -1): void {
    this.#streams += change;
    const { totalBytes, leastWindowBytes, mostWindowBytes } = this.#limits;
    const share = totalBytes / Math.max(1, this.#streams);
    this.#windowBytes = Math.min(mostWindowBytes, Math.max(leastWindowBytes, share));
  }
}

/** A budget with one window, however many share it. */
export function fixedWindow(windowBytes: number): ReadBudget {
  return new ReadBudget({ totalBytes: 0, leastWindowBytes: windowBytes, mostWindowBytes: windowBytes });
}

/** A process has one memory: what is given no budget of its own shares this. */
export const processReadBudget: ReadBudget = new ReadBudget();
