import type { CloseReason } from '../core/session.ts';
import { TokenBucket } from '../core/token-bucket.ts';
import type { TunnelLimits } from './options.ts';

/** Credentials that are renewed in band: those that we showed and that wait for their answer, or those that we check. */
export class Renewals {
  readonly #perSecond: number;
  readonly #rate: TokenBucket;
  #awaited = 0;
  #checking = false;

  constructor(limits: Pick<TunnelLimits, 'renewalsPerSecond' | 'renewalsBurst'>, nowMs: number) {
    this.#perSecond = limits.renewalsPerSecond;
    this.#rate = new TokenBucket(limits.renewalsPerSecond, limits.renewalsBurst, nowMs);
  }

  /** We showed one. */
  shown(): void {
    this.#awaited += 1;
  }

  /** False where the answer answers nothing. */
  answered(): boolean {
    if (this.#awaited === 0) return false;
    this.#awaited -= 1;
    return true;
  }

  /** The peer shows one: why it is not even looked at, or `ended` follows. A signature check costs more than the frame. */
  begin(nowMs: number): CloseReason | undefined {
    if (this.#checking) return { code: 'protocol', text: 'renew while one is being checked' };
    if (!this.#rate.take(nowMs))
      return { code: 'limit', text: `more than ${this.#perSecond} renewals a second` };
    this.#checking = true;
    return undefined;
  }

  ended(): void {
    this.#checking = false;
  }
}
