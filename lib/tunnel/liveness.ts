import { LockwireError } from '../core/errors.ts';
import { TokenBucket } from '../core/token-bucket.ts';
import type { TunnelLimits } from './options.ts';

type LivenessLimits = Pick<
  TunnelLimits,
  'pingIntervalMs' | 'pingTimeoutMs' | 'pingsPerSecond' | 'pingsBurst'
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

  /** What is due now: a ping to send, or the verdict that the peer is gone. */
  tick(nowMs: number): { readonly ping: number } | 'dead' | undefined {
    if (this.#awaited !== undefined) {
      const silentMs = nowMs - Math.max(this.#lastReadMs, this.#pingedMs);
      return silentMs >= this.#limits.pingTimeoutMs ? 'dead' : undefined;
    }
    if (nowMs - this.#pingedMs < this.#limits.pingIntervalMs) return undefined;
    this.#value += 1;
    this.#awaited = this.#value;
    this.#pingedMs = nowMs;
    return { ping: this.#value };
  }
}
