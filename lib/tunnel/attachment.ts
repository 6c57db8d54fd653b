import type { Clock, Timer } from '../core/clock.ts';
import type { ReadPosition } from '../wire/tunnel/decode.ts';
import type { Link, LinkHandler } from './link.ts';
import type { TunnelLimits } from './options.ts';
import type { Outbox } from './outbox.ts';

/**
 * The connection under a session, one after another, and how far each direction came over all of them: the offsets that
 * Ack and Resume speak of. Whether a session may go on is the session's to know.
 *
 *     attached ──leave, lose──▶ detached ──wait──▶ over
 *         ▲────────resume──────────┘
 */
export class Attachment {
  readonly outbox: Outbox;
  readonly #clock: Clock;
  readonly #limits: Pick<TunnelLimits, 'ackEveryBytes' | 'ackDelayMs'>;
  /** Absent while detached. */
  #link: Link | undefined;
  /** Where reading stopped, while detached. */
  #position: ReadPosition = { received: 0 };
  #acked: number;
  #ackTimer: Timer | undefined;
  #patience: Timer | undefined;
  #detachedAtMs = 0;
  #waitMs = 0;
  #lastAttempt = 0;

  constructor(link: Link, clock: Clock, limits: TunnelLimits) {
    this.#link = link;
    this.#clock = clock;
    this.#limits = limits;
    this.outbox = link.outbox;
    this.outbox.obey(limits);
    this.#acked = link.received;
  }

  get link(): Link | undefined {
    return this.#link;
  }

  /** Monotonic: since when there is no connection. */
  get detachedAtMs(): number {
    return this.#detachedAtMs;
  }

  /** How long another connection is waited for, from then on. */
  get waitMs(): number {
    return this.#waitMs;
  }

  /** Sequenced bytes that were read and applied. */
  get received(): number {
    return this.#link?.received ?? this.#position.received;
  }

  /** Sequenced bytes so far, each way. */
  get offsets(): { sent: number; acked: number; received: number } {
    const { sent, acked } = this.outbox;
    return { sent, acked, received: this.received };
  }

  get unacknowledged(): boolean {
    return this.outbox.sent > this.outbox.acked;
  }

  /** Takes a try to resume; false where it is an old one: each must be newer than the last. */
  nextAttempt(attempt: number): boolean {
    if (attempt <= this.#lastAttempt) return false;
    this.#lastAttempt = attempt;
    return true;
  }

  /** Lets go of the connection that it still has, where the peer lost it first. */
  leave(): void {
    const earlier = this.#link;
    if (earlier === undefined) return;
    this.#position = earlier.position;
    this.#detachedAtMs = this.#clock.monotonic();
    this.#link = undefined;
    earlier.abandon();
    this.outbox.detached();
  }

  /** The connection went by itself. */
  lose(): void {
    this.#position = this.#link?.position ?? this.#position;
    this.#link = undefined;
    this.#ackTimer?.cancel();
    this.#ackTimer = undefined;
    this.#detachedAtMs = this.#clock.monotonic();
    this.outbox.detached();
  }

  /** Another connection is waited for so long. */
  wait(patienceMs: number, over: () => void): void {
    this.#waitMs = patienceMs;
    this.#patience = this.#clock.after(patienceMs, over);
  }

  /** Goes on over another connection, from where the peer says that it is; false where it cannot be there. */
  resume(link: Link, handler: LinkHandler, peerReceived: number): boolean {
    const position = this.#position;
    if (!this.outbox.resume(peerReceived, link.outbox)) return false;
    this.#patience?.cancel();
    this.#link = link;
    link.attach(handler);
    link.adopt(this.outbox, position);
    this.#acked = position.received;
    return true;
  }

  /** A chunk was read to its end: the peer is told after so many bytes, or so long. */
  read(): void {
    const unacked = this.received - this.#acked;
    if (unacked >= this.#limits.ackEveryBytes) this.#sendAck();
    else if (unacked > 0)
      this.#ackTimer ??= this.#clock.after(this.#limits.ackDelayMs, () => this.#sendAck());
  }

  wake(): void {
    this.#link?.wake();
  }

  /** The session is over. */
  end(): void {
    this.#link = undefined;
    this.#ackTimer?.cancel();
    this.#patience?.cancel();
  }

  #sendAck(): void {
    this.#ackTimer?.cancel();
    this.#ackTimer = undefined;
    this.#acked = this.received;
    this.outbox.ack(this.#acked);
    this.#link?.wake();
  }
}
