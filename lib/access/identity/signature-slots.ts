import { maxPendingChecks, maxSignatureChecks } from './options.ts';
import { Refusal } from './refusal.ts';

/** Bounds the signature checks at once, and those that wait: checking is the dearest thing that a stranger can ask for. */
export class SignatureSlots {
  #running = 0;
  readonly #waiting: (() => void)[] = [];

  get pending(): number {
    return this.#running + this.#waiting.length;
  }

  /** Runs the check when its turn comes. Throws Refusal `limit` where too many wait. */
  async run<T>(check: () => Promise<T>): Promise<T> {
    if (this.#running >= maxSignatureChecks) await this.#turn();
    else this.#running += 1;
    try {
      return await check();
    } finally {
      // The slot goes from hand to hand, so that nobody can slip in between.
      const next = this.#waiting.shift();
      if (next) next();
      else this.#running -= 1;
    }
  }

  #turn(): Promise<void> {
    if (this.#waiting.length >= maxPendingChecks)
      throw new Refusal(
        'limit',
        `${this.#waiting.length} tokens wait for a signature check, at most ${maxPendingChecks} may`,
        'too many tokens are being checked; try again later',
      );
    return new Promise(resolve => this.#waiting.push(resolve));
  }
}
