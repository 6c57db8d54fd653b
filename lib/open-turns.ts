/**
 * Turns at asking for a stream. A gateway refuses more pending opens than its limit, and a hundred agents that start at
 * once are no attack: those beyond it wait here. Whoever waits is a local connection, and these are bounded.
 */
export class OpenTurns {
  readonly #most: number;
  readonly #waiting: (() => void)[] = [];
  #pending = 0;

  constructor(most: number) {
    this.#most = most;
  }

  /** Resolves when it may ask, with what says that it was answered; once. */
  async take(): Promise<() => void> {
    if (this.#pending < this.#most) this.#pending += 1;
    else await new Promise<void>(resolve => this.#waiting.push(resolve));
    let answered = false;
    return () => {
      if (answered) return;
      answered = true;
      // The place goes on to the next without becoming free in between.
      const next = this.#waiting.shift();
      if (next) next();
      else this.#pending -= 1;
    };
  }
}
