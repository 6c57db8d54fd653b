import type { Clock, Timer } from '../core/clock.ts';
import { LockwireError, messageOf } from '../core/errors.ts';
import type { CloseReason } from '../core/session.ts';
import { TokenBucket } from '../core/token-bucket.ts';
import type { ControlFrame, GoAway, Ingress, Notice, Open, Role } from '../wire/tunnel/frames.ts';
import { maxStreamId } from '../wire/tunnel/limits.ts';
import type { Link, LinkHandler } from './link.ts';
import { Liveness } from './liveness.ts';
import type { TunnelLimits } from './options.ts';
import { type StreamFrame, type StreamHost, TunnelStream } from './stream.ts';
import type { WindowPool } from './window-pool.ts';

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
  /** The last event. */
  onClosed(reason: CloseReason): void;
}

/**
 * One tunnel session, from Welcome to the end of its connection.
 *
 *     open ──goAway, sent or received──▶ draining ──last stream ends──▶ closing ──carrier gone──▶ closed
 *       └───────────── close, fault, carrier gone ─────────────────────────▲
 */
export class TunnelSession implements LinkHandler, StreamHost {
  readonly facts: SessionFacts;
  readonly clock: Clock;
  readonly limits: TunnelLimits;
  readonly pool: WindowPool;
  readonly #ports: SessionPorts;
  readonly #link: Link;
  readonly #liveness: Liveness;
  readonly #streams = new Map<number, TunnelStream>();
  /** Streams that we reset and whose late frames may still come, oldest first. */
  readonly #resets = new Set<number>();
  readonly #opens: TokenBucket;
  readonly #notices: TokenBucket;
  #state: 'open' | 'draining' | 'closing' | 'closed' = 'open';
  #lastOwn: number;
  #lastPeer = 0;
  #acked = 0;
  #ackTimer: Timer | undefined;
  #renewing = false;
  #tick: Timer;

  constructor(facts: SessionFacts, link: Link, ports: SessionPorts) {
    this.facts = facts;
    this.clock = ports.clock;
    this.limits = ports.limits;
    this.pool = ports.pool;
    this.#ports = ports;
    this.#link = link;
    this.#lastOwn = facts.side === 'dialler' ? -1 : 0;
    const nowMs = this.clock.monotonic();
    this.#liveness = new Liveness(this.limits, nowMs, facts.roundTripMs);
    this.#opens = new TokenBucket(this.limits.opensPerSecond, this.limits.opensBurst, nowMs);
    this.#notices = new TokenBucket(this.limits.noticesPerSecond, this.limits.noticesBurst, nowMs);
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
    const { sent, acked } = this.#link.outbox;
    return { sent, acked, received: this.#link.received };
  }

  roundTripMs(): number {
    return this.#liveness.roundTripMs;
  }

  /** Opens a stream. Bytes may be written at once, up to the peer's early window. Throws `unavailable`, `limit`. */
  open(target: string, ingress: Ingress, onOpened?: () => void): TunnelStream {
    if (!this.#mayOpen('us'))
      throw new LockwireError('protocol', `role ${this.facts.role} opens no streams here`);
    if (this.#state !== 'open') throw new LockwireError('unavailable', 'the tunnel is closing');
    const { maxStreams } = this.limits;
    if (this.#streams.size >= maxStreams)
      throw new LockwireError('limit', `${maxStreams} streams are open, the limit`);
    if (this.#lastOwn + 2 > maxStreamId)
      throw new LockwireError('unavailable', 'the session is out of stream numbers');
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
    this.send(0, { type: 'notice', ...verdict(reason) });
    return true;
  }

  /** Shows a new credential before the old one runs out; `onRenewed` follows, or the end of the session. */
  renew(token: string): void {
    if (this.#state === 'closing' || this.#state === 'closed') return;
    this.send(0, { type: 'renew', token });
  }

  /** Takes no new streams; those that are open run on, and the session ends with the last. */
  drain(reason: CloseReason): void {
    if (this.#state !== 'open') return;
    this.#state = 'draining';
    this.send(0, this.#goAway(reason));
    this.#endIfDrained();
  }

  /** Ends the session and its streams now, with a reason that both ends see. */
  close(reason: CloseReason): void {
    if (this.#state === 'closing' || this.#state === 'closed') return;
    this.#state = 'closing';
    this.#link.farewell(this.#goAway(reason), reason);
    this.#abandonAll(reason);
  }

  // What streams need of their session.

  send(stream: number, frame: ControlFrame): void {
    this.#link.send(stream, frame);
    if (this.#link.outbox.overflowing) this.close({ code: 'limit', text: 'the peer takes no frames' });
  }

  ready(stream: TunnelStream): void {
    this.#link.outbox.ready(stream);
    this.#link.wake();
  }

  gone(stream: TunnelStream, reset: boolean): void {
    this.#streams.delete(stream.id);
    this.#link.outbox.forget(stream);
    if (reset) this.#rememberReset(stream.id);
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
    else this.#late(id, 'data');
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
        this.#link.outbox.pong(frame.value);
        return this.#link.wake();
      case 'pong':
        return this.#pong(frame.value);
      case 'ack':
        return this.#peerAcks(frame.received);
      case 'notice':
        return this.#peerNotice(frame);
      case 'goAway':
        return this.#peerGoesAway(frame);
      case 'renew':
        return void this.#peerRenews(frame.token);
      case 'renewed':
        if (this.facts.side === 'gateway') return this.fault('renewed to the gateway');
        return this.#ports.onRenewed(frame.expiresAt);
      default:
        // Handshake frames come once; Resume is of a later version of this program.
        return this.fault(`${frame.type} in an open session`);
    }
  }

  read(): void {
    const nowMs = this.clock.monotonic();
    this.#liveness.read(nowMs);
    const unacked = this.#link.received - this.#acked;
    if (unacked >= this.limits.ackEveryBytes) this.#sendAck();
    else if (unacked > 0) this.#ackTimer ??= this.clock.after(this.limits.ackDelayMs, () => this.#sendAck());
  }

  closed(reason: CloseReason): void {
    this.#state = 'closed';
    this.#tick.cancel();
    this.#ackTimer?.cancel();
    const lost =
      reason.code === 'io' ? { code: 'session-lost' as const, text: `tunnel lost: ${reason.text}` } : reason;
    this.#abandonAll(lost);
    this.#ports.onClosed(reason);
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
    if (!this.#opens.take(this.clock.monotonic())) {
      return this.close({ code: 'limit', text: `more than ${this.limits.opensPerSecond} opens a second` });
    }
    const stream = new TunnelStream(this, id, false, this.facts.peerEarlyWindow);
    this.#streams.set(id, stream);
    const refusal = this.#openRefusal();
    if (refusal) stream.reset(refusal);
    else this.#ports.onOpen(stream, frame);
  }

  #openRefusal(): CloseReason | undefined {
    if (this.#state !== 'open') return { code: 'shutdown', text: 'the tunnel is draining' };
    const { maxStreams, maxPendingOpens } = this.limits;
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
    else this.#late(id, frame.type);
  }

  /**
   * A frame of a stream that is not, or no longer, there. Credit, Opened and Reset may cross our own last frame; data
   * and End may only follow where we reset the stream and the peer had not heard of it.
   */
  #late(id: number, type: StreamFrame['type'] | 'data'): void {
    const ours = id % 2 === (this.facts.side === 'dialler' ? 1 : 0);
    if (id > (ours ? this.#lastOwn : this.#lastPeer))
      return this.fault(`${type} on stream ${id}, which is not open`);
    if (type === 'reset' || type === 'end') {
      if (this.#resets.delete(id) || type === 'reset') return;
    }
    if (type === 'credit' || type === 'opened' || this.#resets.has(id)) return;
    this.fault(`${type} on stream ${id}, which is closed`);
  }

  #rememberReset(id: number): void {
    this.#resets.add(id);
    if (this.#resets.size <= this.limits.maxRememberedResets) return;
    const [oldest] = this.#resets;
    if (oldest !== undefined) this.#resets.delete(oldest);
  }

  #pong(value: number): void {
    try {
      this.#liveness.pong(value, this.clock.monotonic());
    } catch (error) {
      this.fault(messageOf(error));
    }
  }

  #peerAcks(received: number): void {
    const { outbox } = this.#link;
    if (!outbox.acknowledged(received)) {
      return this.fault(
        `ack of ${received} bytes, ${outbox.sent} were sent and ${outbox.acked} acknowledged`,
      );
    }
    // Data may have waited for it.
    this.#link.wake();
  }

  #peerNotice(notice: Notice): void {
    if (this.facts.side === 'gateway') return this.fault('notice to the gateway');
    this.#ports.onNotice(reasonOf(notice));
  }

  #peerGoesAway(frame: GoAway): void {
    const reason = reasonOf(frame);
    if (frame.code !== 'shutdown' && frame.code !== 'done') {
      // The peer ended the session: nothing more will come but the end of the connection.
      this.#state = 'closing';
      this.#link.destroy(reason);
      this.#abandonAll(reason);
      return;
    }
    if (this.#state === 'open') this.#state = 'draining';
    for (const stream of this.#streams.values()) {
      if (stream.ours && stream.id > frame.lastStream) stream.abandon(reason);
    }
    this.#ports.onGoAway(reason);
    this.#endIfDrained();
  }

  /** One at a time: a signature check costs more than the frame that asks for it. */
  async #peerRenews(token: string): Promise<void> {
    if (this.facts.side === 'dialler') return this.fault('renew to a client');
    if (this.#renewing) return this.fault('renew while one is being checked');
    this.#renewing = true;
    try {
      const { expiresAt } = await this.#ports.onRenew(token);
      this.send(0, { type: 'renewed', expiresAt });
    } catch (error) {
      this.close({ code: 'unauthenticated', text: `renewal refused: ${messageOf(error)}` });
    } finally {
      this.#renewing = false;
    }
  }

  #sendAck(): void {
    this.#ackTimer?.cancel();
    this.#ackTimer = undefined;
    this.#acked = this.#link.received;
    this.#link.outbox.ack(this.#acked);
    this.#link.wake();
  }

  #onTick(): void {
    if (this.#state === 'closing' || this.#state === 'closed') return;
    this.#tick = this.clock.after(this.limits.tickMs, () => this.#onTick());
    const nowMs = this.clock.monotonic();
    for (const stream of this.#streams.values()) {
      stream.tick(nowMs);
      if (stream.pending && nowMs - stream.openedAtMs >= this.limits.openTimeoutMs) {
        stream.reset({ code: 'timeout', text: `not taken up within ${this.limits.openTimeoutMs} ms` });
      }
    }
    const due = this.#liveness.tick(nowMs);
    if (due === 'dead') {
      this.#link.destroy({ code: 'io', text: `no answer to a ping within ${this.limits.pingTimeoutMs} ms` });
    } else if (due) this.send(0, { type: 'ping', value: due.ping });
  }

  #goAway(reason: CloseReason): GoAway {
    return { type: 'goAway', ...verdict(reason), lastStream: this.#lastPeer };
  }

  #endIfDrained(): void {
    if (this.#state !== 'draining' || this.#streams.size > 0) return;
    this.close({ code: 'done', text: '' });
  }

  #abandonAll(reason: CloseReason): void {
    for (const stream of [...this.#streams.values()]) stream.abandon(reason);
  }
}

function verdict(reason: CloseReason): { code: CloseReason['code']; text: string; decision: string } {
  return { code: reason.code, text: reason.text, decision: reason.decision ?? '' };
}

/** The reason that a peer gave, as our own kind of value. */
export function reasonOf(frame: Notice | GoAway): CloseReason {
  const { code, text, decision } = frame;
  return decision ? { code, text, decision } : { code, text };
}
