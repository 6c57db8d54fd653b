import { randomBytes } from 'node:crypto';
import type { Clock } from '../core/clock.ts';

/** Node wants 48 bytes: name, HMAC key and AES key (RFC 5077 section 4). */
const ticketKeyBytes = 48;

/**
 * The keys that seal a listener's session tickets: random, in memory only, replaced when old and whenever what a
 * ticket vouches for has changed. Whoever gets hold of them later opens only what they sealed.
 */
export class TicketKeys {
  readonly #clock: Clock;
  readonly #lifeMs: number;
  #keys: Buffer = randomBytes(ticketKeyBytes);
  #madeAtMs: number;

  constructor(clock: Clock, lifeMs: number) {
    this.#clock = clock;
    this.#lifeMs = lifeMs;
    this.#madeAtMs = clock.monotonic();
  }

  get current(): Buffer {
    return this.#keys;
  }

  get expired(): boolean {
    return this.#clock.monotonic() - this.#madeAtMs >= this.#lifeMs;
  }

  replace(): void {
    this.#keys.fill(0);
    this.#keys = randomBytes(ticketKeyBytes);
    this.#madeAtMs = this.#clock.monotonic();
  }
}
