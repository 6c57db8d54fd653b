/**
 * What all relayed streams of the process may hold together: bytes that came and that the other side does not take.
 * Nobody holds more than a quarter of it, so a stuck or hostile client costs the others nothing.
 */
export class HeldBudget {
  readonly #totalBytes: number;
  readonly #shares = new Map<string, { bytes: number; users: number }>();
  #bytes = 0;

  constructor(totalBytes: number = defaultHeldBytes) {
    this.#totalBytes = totalBytes;
  }

  get heldBytes(): number {
    return this.#bytes;
  }

  /** The part of whoever is named; its size is bounded by the connections that live. */
  share(name: string): HeldShare {
    const entry = this.#shares.get(name) ?? { bytes: 0, users: 0 };
    this.#shares.set(name, entry);
    entry.users += 1;
    return {
      take: bytes => {
        if (this.#bytes + bytes > this.#totalBytes || entry.bytes + bytes > this.#totalBytes / 4)
          return false;
        this.#bytes += bytes;
        entry.bytes += bytes;
        return true;
      },
      give: bytes => {
        this.#bytes -= bytes;
        entry.bytes -= bytes;
      },
      leave: () => {
        entry.users -= 1;
        if (entry.users === 0) this.#shares.delete(name);
      },
    };
  }
}

export interface HeldShare {
  /** False where the budget has no room for so much more. */
  take(bytes: number): boolean;
  give(bytes: number): void;
  leave(): void;
}

const defaultHeldBytes: number = 64 * 1_048_576;

/** Of whoever may hold nothing. */
export const noShare: HeldShare = { take: () => false, give() {}, leave() {} };
