import type { Clock, Timer } from '../core/clock.ts';
import { LockwireError, messageOf } from '../core/errors.ts';
import type { CloseReason } from '../core/session.ts';
import { TokenBucket } from '../core/token-bucket.ts';
import type { ReadPosition } from '../wire/tunnel/decode.ts';
import type { ControlFrame, GoAway, Ingress, Open, Role } from '../wire/tunnel/frames.ts';
import { maxStreamId } from '../wire/tunnel/limits.ts';
import { LateFrames } from './late-frames.ts';
import type { Link, LinkHandler } from './link.ts';
import { Liveness } from './liveness.ts';
import type { TunnelLimits } from './options.ts';
import type { Outbox } from './outbox.ts';
import { type StreamFrame, type StreamHost, TunnelStream } from './stream.ts';
import { reasonOf, verdictOf } from './verdict.ts';
import { type WindowPool, WindowShare } from './window-pool.ts';

/** The connection went, not the session: closed, reset, or silent for too long. */
function isLoss({ code }: CloseReason): boolean {
  return code === 'io' || code === 'timeout';
}

export interface SessionFacts {
  /** As Welcome names it. */
  readonly id: string;
  /** Which end of the connection we are. */
  readonly side: 'dialler' | 'gateway';
  /** The dialling end's. */
  readonly role: Role;
  /** What the peer lets a stream carry before its Opened. */
  readonly peerEarlyWindow: number;
  /** First estimate, from the handshake. */
  readonly roundTripMs: number;
  /** How long it waits for another connection when one is lost; 0 where it ends with its connection. */
  readonly patienceMs: number;
}

export interface SessionPorts {
  readonly clock: Clock;
  readonly limits: TunnelLimits;
  readonly pool: WindowPool;
  /** The peer asks for a stream: `accept` it or `reset` it within `openTimeoutMs`. */
  onOpen(stream: TunnelStream, request: Open): void;
  onNotice(notice: CloseReason): void;
  /** The peer takes no new streams any more. */
  onGoAway(reason: CloseReason): void;
  /** A new credential in place of the one that runs out: verifies it, says until when it holds; rejects to refuse it. */
  onRenew(token: string): Promise<{ readonly expiresAt: number }>;
  /** The gateway took the renewed credential. */
  onRenewed(expiresAt: number): void;
  /** The connection is lost; `resume` brings another, or patience runs out. */
  onDetached(reason: CloseReason): void;
  /** The last event. */
  onClosed(reason: CloseReason): void;
}

/**
 * One tunnel session, from Welcome on, over one connection after another.
 *
 *     open ──goAway, sent or received──▶ draining ──last stream ends──▶ closing ──carrier gone──▶ closed
 *       └───────────── close, fault ──────────────────────────────────────▲                        ▲
 *       attached ──carrier gone──▶ detached ── patience runs out, or close ─────────────────────────┘
 *           ▲────────resume───────────┘
 */
export class TunnelSession implements LinkHandler, StreamHost {
  readonly facts: SessionFacts;
  readonly clock: Clock;
  readonly limits: TunnelLimits;
  /** This session's share of the process's. */
  readonly pool: WindowShare;
  readonly #ports: SessionPorts;
  /** Absent while detached. */
  #link: Link | undefined;
  readonly #outbox: Outbox;
  /** Where reading stopped, while detached. */
  #position: ReadPosition = { received: 0 };
  #patience: Timer | undefined;
  #detachedAtMs = 0;
  #waitMs = 0;
  #lastAttempt = 0;
  #liveness: Liveness;
  readonly #streams = new Map<number, TunnelStream>();
  readonly #late: LateFrames;
  /** Ours or the peer's: one of the two ends opens. */
  readonly #opens: TokenBucket;
  readonly #refusedOpens: TokenBucket;
  readonly #notices: TokenBucket;
  readonly #renewals: TokenBucket;
  #state: 'open' | 'draining' | 'closing' | 'closed' = 'open';
  #lastOwn: number;
  #lastPeer = 0;
  #acked = 0;
  #ackTimer: Timer | undefined;
  #renewing = false;
  #awaitedRenewals = 0;
  #peerGoAway: GoAway | undefined;
  #tick: Timer;
  #watch: Timer | undefined;

  constructor(facts: SessionFacts, link: Link, ports: SessionPorts) {
    this.facts = facts;
    this.clock = ports.clock;
    this.limits = ports.limits;
    this.pool = new WindowShare(ports.pool, this.limits.sessionGrowthBytes);
    this.#late = new LateFrames(this.limits.maxRememberedResets);
    this.#ports = ports;
    this.#link = link;
    this.#outbox = link.outbox;
    this.#outbox.obey(ports.limits);
    this.#lastOwn = facts.side === 'dialler' ? -1 : 0;
    const nowMs = this.clock.monotonic();
    this.#liveness = new Liveness(this.limits, nowMs, facts.roundTripMs);
    const { opensPerSecond, opensBurst, noticesPerSecond, noticesBurst } = this.limits;
    this.#opens = new TokenBucket(opensPerSecond, opensBurst, nowMs);
    this.#refusedOpens = new TokenBucket(opensPerSecond, opensBurst, nowMs);
    this.#notices = new TokenBucket(noticesPerSecond, noticesBurst, nowMs);
    this.#renewals = new TokenBucket(this.limits.renewalsPerSecond, this.limits.renewalsBurst, nowMs);
    this.#acked = link.received;
    this.#tick = this.clock.after(this.limits.tickMs, () => this.#onTick());
    link.attach(this);
  }

  get state(): 'open' | 'draining' | 'closing' | 'closed' {
    return this.#state;
  }

  get streamCount(): number {
    return this.#streams.size;
  }

  /** Sequenced bytes so far: what Resume speaks of. */
  get offsets(): { sent: number; acked: number; received: number } {
    const { sent, acked } = this.#outbox;
    return { sent, acked, received: this.#received };
  }

  get attached(): boolean {
    return this.#link !== undefined;
  }

  /** Monotonic: since when there is no connection. */
  get detachedAtMs(): number {
    return this.#detachedAtMs;
  }

  /** How long it waits for another connection, from then on. */
  get waitMs(): number {
    return this.#waitMs;
  }

  /** Whether a lost connection may be followed by another. A gateway that drains takes no more of them. */
  get resumable(): boolean {
    const open = this.#state === 'open' || (this.#state === 'draining' && this.facts.side === 'dialler');
    return open && this.facts.patienceMs > 0;
  }

  /** Bytes that are kept for it. */
  get heldBytes(): number {
    let bytes = this.#outbox.heldBytes;
    for (const stream of this.#streams.values()) bytes += stream.heldBytes;
    return bytes;
  }

  /**
   * Goes on over another connection, whose handshake is done, from where the peer says that it is. The newest wins: one
   * that looks alive is closed. `answer` is told where we are, before anything else is written. False, and the session
   * ended, where the peer cannot be there.
   */
  resume(link: Link, peerReceived: number, answer: (received: number) => void = () => {}): boolean {
    this.#leaveEarlier();
    // Streams that went on when their bytes counted as sent may have ended the session.
    if (!this.resumable) return false;
    const position = this.#position;
    answer(position.received);
    if (!this.#outbox.resume(peerReceived, link.outbox)) {
      const { sent, acked } = this.#outbox;
      const text = `resume at ${peerReceived} bytes, ${acked} were acknowledged and ${sent} sent`;
      this.close({ code: 'protocol', text });
      return false;
    }
    this.#patience?.cancel();
    this.#link = link;
    link.attach(this);
    link.adopt(this.#outbox, position);
    this.#acked = position.received;
    this.#liveness = new Liveness(this.limits, this.clock.monotonic(), this.#liveness.roundTripMs);
    return true;
  }

  /** The connection that the session still has, where the peer lost it first. */
  #leaveEarlier(): void {
    const earlier = this.#link;
    if (earlier === undefined) return;
    this.#position = earlier.position;
    this.#detachedAtMs = this.clock.monotonic();
    this.#link = undefined;
    earlier.abandon();
    this.#outbox.detached();
  }

  /** Takes a try to resume; false where it is an old one: each must be newer than the last. */
  nextAttempt(attempt: number): boolean {
    if (attempt <= this.#lastAttempt) return false;
    this.#lastAttempt = attempt;
    return true;
  }

  get #received(): number {
    return this.#link?.received ?? this.#position.received;
  }

  roundTripMs(): number {
    return this.#liveness.roundTripMs;
  }

  /** Opens a stream. Bytes may be written at once, up to the peer's early window. Throws `unavailable`, `limit`. */
  open(target: string, ingress: Ingress, onOpened?: () => void): TunnelStream {
    if (!this.#mayOpen('us'))
      throw new LockwireError('protocol', `role ${this.facts.role} opens no streams here`);
    if (this.#state !== 'open') throw new LockwireError('unavailable', 'the tunnel is closing');
    const { maxStreams, opensPerSecond } = this.limits;
    if (this.#streams.size >= maxStreams)
      throw new LockwireError('limit', `${maxStreams} streams are open, the limit`);
    if (this.#lastOwn + 2 > maxStreamId)
      throw new LockwireError('unavailable', 'the session is out of stream numbers');
    if (!this.#opens.take(this.clock.monotonic()))
      throw new LockwireError('limit', `more than ${opensPerSecond} opens a second, the limit`);
    this.#lastOwn += 2;
    const stream = new TunnelStream(this, this.#lastOwn, true, this.facts.peerEarlyWindow, onOpened);
    this.#streams.set(stream.id, stream);
    this.send(stream.id, { type: 'open', target, ingress });
    return stream;
  }

  /** One line for the person at the other end; more than the rate allows are dropped. False where it was dropped. */
  notice(reason: CloseReason): boolean {
    if (this.#state === 'closing' || this.#state === 'closed') return false;
    if (!this.#notices.take(this.clock.monotonic())) return false;
    this.send(0, { type: 'notice', ...verdictOf(reason) });
    return true;
  }

  /** Shows a new credential before the old one runs out; `onRenewed` follows, or the end of the session. */
  renew(token: string): void {
    if (this.#state === 'closing' || this.#state === 'closed') return;
    this.#awaitedRenewals += 1;
    this.send(0, { type: 'renew', token });
  }

  /**
   * Takes no new streams; those that are open run on, and the session ends with the last. What the peer is told is
   * `shutdown`: any other code but `done` would end the session there.
   */
  drain(reason: CloseReason): void {
    if (this.#state !== 'open') return;
    // Whoever takes no more connections will not see the peer of this one again.
    if (this.facts.side === 'gateway' && !this.attached) return this.close(reason);
    this.#state = 'draining';
    this.send(0, this.#goAway({ ...reason, code: 'shutdown' }));
    this.#endIfDrained();
  }

  /** Ends the session and its streams now, with a reason that both ends see. */
  close(reason: CloseReason): void {
    if (this.#state === 'closing' || this.#state === 'closed') return;
    this.#state = 'closing';
    const link = this.#link;
    link?.farewell(this.#goAway(reason), reason);
    this.#abandonAll(reason);
    if (link === undefined) this.#end(reason);
  }

  // What streams need of their session.

  /** Kept where the connection is just going: it is the session's, and the next one carries it. */
  send(stream: number, frame: ControlFrame): void {
    if (this.#state === 'closing' || this.#state === 'closed') return;
    this.#outbox.control(stream, frame);
    this.#link?.wake();
    if (this.#outbox.overflowing) this.close({ code: 'limit', text: 'the peer takes no frames' });
  }

  ready(stream: TunnelStream): void {
    this.#outbox.ready(stream);
    this.#link?.wake();
  }

  gone(stream: TunnelStream, lateCredit: number | undefined): void {
    this.#streams.delete(stream.id);
    this.#outbox.forget(stream);
    if (lateCredit !== undefined) this.#late.remember(stream.id, lateCredit);
    this.#endIfDrained();
  }

  fault(text: string): void {
    this.close({ code: 'protocol', text });
  }

  // What the link brings.

  malformed(reason: CloseReason): void {
    this.close(reason);
  }

  data(id: number, chunk: Uint8Array): void {
    const stream = this.#streams.get(id);
    if (stream) stream.receiveData(chunk);
    else this.#lateFrame(id, 'data', chunk.byteLength);
  }

  frame(id: number, frame: ControlFrame): void {
    switch (frame.type) {
      case 'open':
        return this.#peerOpens(id, frame);
      case 'opened':
      case 'credit':
      case 'end':
      case 'reset':
        return this.#streamFrame(id, frame);
      case 'ping':
        if (!this.#liveness.peerPing(this.clock.monotonic())) return this.fault('pings too often');
        this.#outbox.pong(frame.value);
        return this.#link?.wake();
      case 'pong':
        return this.#pong(frame.value);
      case 'ack':
        return this.#peerAcks(frame.received);
      case 'notice':
        return this.#peerNotice(reasonOf(frame));
      case 'goAway':
        return this.#peerGoesAway(frame);
      case 'renew':
        return void this.#peerRenews(frame.token);
      case 'renewed':
        if (this.#awaitedRenewals === 0) return this.fault('renewed answers no renew');
        this.#awaitedRenewals -= 1;
        return this.#ports.onRenewed(frame.expiresAt);
      default:
        // Handshake frames come once, and at the start of a connection.
        return this.fault(`${frame.type} in an open session`);
    }
  }

  read(): void {
    const nowMs = this.clock.monotonic();
    this.#liveness.read(nowMs);
    const unacked = this.#received - this.#acked;
    if (unacked >= this.limits.ackEveryBytes) this.#sendAck();
    else if (unacked > 0) this.#ackTimer ??= this.clock.after(this.limits.ackDelayMs, () => this.#sendAck());
  }

  closed(reason: CloseReason): void {
    if (isLoss(reason) && this.resumable && this.#peerGoAway === undefined) this.#detach(reason);
    else this.#end(reason);
  }

  #detach(reason: CloseReason): void {
    this.#position = this.#link?.position ?? this.#position;
    this.#link = undefined;
    this.#ackTimer?.cancel();
    this.#ackTimer = undefined;
    this.#detachedAtMs = this.clock.monotonic();
    this.#outbox.detached();
    // Streams that went on when their bytes counted as sent may have ended it.
    if (!this.resumable) return;
    const patienceMs = this.#patienceFor(reason);
    this.#waitMs = patienceMs;
    this.#patience = this.clock.after(patienceMs, () => {
      this.close({ code: 'session-lost', text: `no connection for ${patienceMs} ms: ${reason.text}` });
    });
    this.#ports.onDetached(reason);
  }

  #patienceFor(reason: CloseReason): number {
    const { patienceMs, side } = this.facts;
    const killed = side === 'gateway' && reason.code === 'io';
    return killed ? Math.min(patienceMs, this.limits.closedPatienceMs) : patienceMs;
  }

  #end(reason: CloseReason): void {
    if (this.#state === 'closed') return;
    this.#state = 'closed';
    this.#link = undefined;
    this.#tick.cancel();
    this.#watch?.cancel();
    this.#ackTimer?.cancel();
    this.#patience?.cancel();
    // A peer that drained and then hung up was not lost: it shut down, as it said.
    const said = isLoss(reason) && this.#peerGoAway ? reasonOf(this.#peerGoAway) : reason;
    this.#abandonAll(isLoss(said) ? { code: 'session-lost', text: `tunnel lost: ${said.text}` } : said);
    this.#ports.onClosed(said);
  }

  // Frames of the session.

  #mayOpen(who: 'us' | 'peer'): boolean {
    const opener = this.facts.role === 'connect' ? 'dialler' : 'gateway';
    return (who === 'us') === (this.facts.side === opener);
  }

  #peerOpens(id: number, frame: Open): void {
    if (!this.#mayOpen('peer')) return this.fault(`open against role ${this.facts.role}`);
    const parity = this.facts.side === 'dialler' ? 0 : 1;
    if (id % 2 !== parity || id <= this.#lastPeer)
      return this.fault(`open of stream ${id} after ${this.#lastPeer}`);
    this.#lastPeer = id;
    const stream = new TunnelStream(this, id, false, this.facts.peerEarlyWindow);
    this.#streams.set(id, stream);
    const refusal = this.#openRefusal();
    if (!refusal) return this.#ports.onOpen(stream, frame);
    stream.reset(refusal);
    if (!this.#refusedOpens.take(this.clock.monotonic()))
      this.close({ code: 'limit', text: `more than ${this.limits.opensPerSecond} refused opens a second` });
  }

  #openRefusal(): CloseReason | undefined {
    if (this.#state !== 'open') return { code: 'shutdown', text: 'the tunnel is draining' };
    const { maxStreams, maxPendingOpens, opensPerSecond } = this.limits;
    if (!this.#opens.take(this.clock.monotonic()))
      return { code: 'limit', text: `more than ${opensPerSecond} opens a second, the limit` };
    if (this.#streams.size > maxStreams)
      return { code: 'limit', text: `${maxStreams} streams are open, the limit` };
    let pending = 0;
    for (const stream of this.#streams.values()) if (stream.pending) pending += 1;
    if (pending > maxPendingOpens)
      return { code: 'limit', text: `${maxPendingOpens} opens are pending, the limit` };
    return undefined;
  }

  #streamFrame(id: number, frame: StreamFrame): void {
    const stream = this.#streams.get(id);
    if (stream) stream.receive(frame);
    else this.#lateFrame(id, frame.type, 0);
  }

  /**
   * A frame of a stream that is not, or no longer, there. Credit, Opened and Reset may cross our own last frame; data
   * and End may only follow where we reset the stream and the peer had not heard of it.
   */
  #lateFrame(id: number, type: StreamFrame['type'] | 'data', bytes: number): void {
    const ours = id % 2 === (this.facts.side === 'dialler' ? 1 : 0);
    if (id > (ours ? this.#lastOwn : this.#lastPeer))
      return this.fault(`${type} on stream ${id}, which is not open`);
    if (this.#mayBeLate(id, type, bytes)) return;
    this.fault(`${type} on stream ${id}, which is closed or beyond its credit`);
  }

  #mayBeLate(id: number, type: StreamFrame['type'] | 'data', bytes: number): boolean {
    switch (type) {
      case 'data':
        return this.#late.data(id, bytes);
      case 'end':
        return this.#late.last(id);
      case 'reset':
        this.#late.last(id);
        return true;
      case 'credit':
      case 'opened':
        return true;
    }
  }

  #pong(value: number): void {
    try {
      this.#liveness.pong(value, this.clock.monotonic());
    } catch (error) {
      this.fault(messageOf(error));
    }
  }

  #peerAcks(received: number): void {
    const outbox = this.#outbox;
    if (!outbox.acknowledged(received)) {
      return this.fault(
        `ack of ${received} bytes, ${outbox.sent} were sent and ${outbox.acked} acknowledged`,
      );
    }
    // Data may have waited for it.
    this.#link?.wake();
  }

  #peerNotice(notice: CloseReason): void {
    if (this.facts.side === 'gateway') return this.fault('notice to the gateway');
    // The gateway sends none of its own accord beyond the rate; what comes all the same is not shown.
    if (this.#notices.take(this.clock.monotonic())) this.#ports.onNotice(notice);
  }

  #peerGoesAway(frame: GoAway): void {
    const reason = reasonOf(frame);
    if (frame.code !== 'shutdown' && frame.code !== 'done') {
      // The peer ended the session: nothing more will come but the end of the connection.
      this.#state = 'closing';
      this.#link?.destroy(reason);
      this.#abandonAll(reason);
      return;
    }
    const first = this.#peerGoAway === undefined;
    if (frame.code === 'shutdown') this.#peerGoAway ??= frame;
    if (this.#state === 'open') this.#state = 'draining';
    for (const stream of this.#streams.values()) {
      if (stream.ours && stream.id > frame.lastStream) stream.abandon(reason);
    }
    if (first) this.#ports.onGoAway(reason);
    this.#endIfDrained();
  }

  /** One at a time: a signature check costs more than the frame that asks for it. */
  async #peerRenews(token: string): Promise<void> {
    if (this.facts.side === 'dialler') return this.fault('renew to a client');
    if (this.#renewing) return this.fault('renew while one is being checked');
    if (!this.#renewals.take(this.clock.monotonic()))
      return this.close({
        code: 'limit',
        text: `more than ${this.limits.renewalsPerSecond} renewals a second`,
      });
    this.#renewing = true;
    try {
      const { expiresAt } = await this.#ports.onRenew(token);
      this.send(0, { type: 'renewed', expiresAt });
    } catch (error) {
      const why = error instanceof LockwireError ? error.message : 'internal error';
      this.close({ code: 'unauthenticated', text: `renewal refused: ${why}` });
    } finally {
      this.#renewing = false;
    }
  }

  #sendAck(): void {
    this.#ackTimer?.cancel();
    this.#ackTimer = undefined;
    this.#acked = this.#received;
    this.#outbox.ack(this.#acked);
    this.#link?.wake();
  }

  #onTick(): void {
    if (this.#isOver()) return;
    this.#tick = this.clock.after(this.limits.tickMs, () => this.#onTick());
    const nowMs = this.clock.monotonic();
    for (const stream of this.#streams.values()) {
      stream.tick(nowMs);
      if (stream.pending && nowMs - stream.openedAtMs >= this.limits.openTimeoutMs) {
        stream.reset({ code: 'timeout', text: `not taken up within ${this.limits.openTimeoutMs} ms` });
      }
    }
    this.#look();
  }

  /** A method, since types don't see that a callback may have ended it. */
  #isOver(): boolean {
    return this.#state === 'closing' || this.#state === 'closed';
  }

  get #unacknowledged(): boolean {
    return this.#outbox.sent > this.#outbox.acked;
  }

  /** Whether the peer is still there; while it owes a word, again and again. */
  #look(): void {
    this.#watch?.cancel();
    this.#watch = undefined;
    if (this.#link === undefined || this.#isOver()) return;
    const nowMs = this.clock.monotonic();
    const due = this.#liveness.tick(nowMs, this.#unacknowledged);
    if (due === 'dead') {
      this.#link.destroy({
        code: 'timeout',
        text: `no answer to a ping within ${this.limits.pingTimeoutMs} ms`,
      });
    } else if (due) this.send(0, { type: 'ping', value: due.ping });
    if (due === 'dead' || !(this.#liveness.asked || this.#unacknowledged)) return;
    this.#watch = this.clock.after(this.limits.watchTickMs, () => this.#look());
  }

  #goAway(reason: CloseReason): GoAway {
    return { type: 'goAway', ...verdictOf(reason), lastStream: this.#lastPeer };
  }

  #endIfDrained(): void {
    if (this.#state !== 'draining' || this.#streams.size > 0) return;
    this.close({ code: 'done', text: '' });
  }

  #abandonAll(reason: CloseReason): void {
    for (const stream of [...this.#streams.values()]) stream.abandon(reason);
  }
}
