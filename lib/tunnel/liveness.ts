import { LockwireError } from '../core/errors.ts';
import { TokenBucket } from '../core/token-bucket.ts';
import type { TunnelLimits } from './options.ts';

type LivenessLimits = Pick<
  TunnelLimits,
  'pingIntervalMs' | 'pingTimeoutMs' | 'suspectMs' | 'pingsPerSecond' | 'pingsBurst'
>;

/**
 * Whether the peer is there, and how far away. Anything that arrives proves life, not just the answer: on a slow, full
 * leg the Pong waits behind data.
 */
export class Liveness {
  readonly #limits: LivenessLimits;
  readonly #peerPings: TokenBucket;
  #lastReadMs: number;
  #pingedMs: number;
  #awaited: number | undefined;
  #value = 0;
  #roundTripMs: number;
  #measured = false;

  constructor(limits: LivenessLimits, nowMs: number, roundTripMs: number) {
    this.#limits = limits;
    this.#peerPings = new TokenBucket(limits.pingsPerSecond, limits.pingsBurst, nowMs);
    this.#lastReadMs = nowMs;
    this.#pingedMs = nowMs;
    this.#roundTripMs = roundTripMs;
  }

  /**
   * Smoothed (RFC 9002 section 5.3: an eighth of each new sample). The first replaces the handshake's, which holds the
   * time that the credential took to be checked.
   */
  get roundTripMs(): number {
    return this.#roundTripMs;
  }

  read(nowMs: number): void {
    this.#lastReadMs = nowMs;
  }

  /** False where the peer pings more than is sane. */
  peerPing(nowMs: number): boolean {
    return this.#peerPings.take(nowMs);
  }

  pong(value: number, nowMs: number): void {
    if (value !== this.#awaited) throw new LockwireError('protocol', `pong ${value} answers no ping`);
    this.#awaited = undefined;
    const sampleMs = nowMs - this.#pingedMs;
    this.#roundTripMs += this.#measured ? (sampleMs - this.#roundTripMs) / 8 : sampleMs - this.#roundTripMs;
    this.#measured = true;
  }

  /** A ping waits for its answer. */
  get asked(): boolean {
    return this.#awaited !== undefined;
  }

  /**
   * What is due now: a ping to send, or the verdict that the peer is gone. A peer that has something to acknowledge and
   * says nothing is asked before its time: so a connection that swallows everything is found out under load at once.
   */
  tick(nowMs: number, unacknowledged: boolean): { readonly ping: number } | 'dead' | undefined {
    const { pingIntervalMs, pingTimeoutMs, suspectMs } = this.#limits;
    if (this.#awaited !== undefined) {
      return nowMs - Math.max(this.#lastReadMs, this.#pingedMs) >= pingTimeoutMs ? 'dead' : undefined;
    }
    const suspect = unacknowledged && nowMs - this.#lastReadMs >= suspectMs;
    if (!suspect && nowMs - this.#pingedMs < pingIntervalMs) return undefined;
    this.#value += 1;
    this.#awaited = this.#value;
    this.#pingedMs = nowMs;
    return { ping: this.#value };
  }
}
