import type { Clock, Timer } from '../core/clock.ts';
import { LockwireError, messageOf } from '../core/errors.ts';
import type { CloseReason } from '../core/session.ts';
import { TokenBucket } from '../core/token-bucket.ts';
import type { ControlFrame, GoAway, Ingress, Open } from '../wire/tunnel/frames.ts';
import { Attachment } from './attachment.ts';
import type { Link, LinkHandler } from './link.ts';
import { Liveness } from './liveness.ts';
import type { TunnelLimits } from './options.ts';
import { RefusedHello } from './refused-hello.ts';
import { Renewals } from './renewals.ts';
import type { SessionFacts, SessionPorts } from './session-ports.ts';
import { type StreamFrame, type StreamHost, TunnelStream } from './stream.ts';
import { StreamTable } from './stream-table.ts';
import { reasonOf, verdictOf } from './verdict.ts';
import { WindowShare } from './window-pool.ts';

/** The connection went, not the session: closed, reset, or silent for too long. */
function isLoss({ code }: CloseReason): boolean {
  return code === 'io' || code === 'timeout';
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
  readonly #attachment: Attachment;
  readonly #streams: StreamTable;
  #liveness: Liveness;
  readonly #notices: TokenBucket;
  readonly #renewals: Renewals;
  #state: 'open' | 'draining' | 'closing' | 'closed' = 'open';
  #peerGoAway: GoAway | undefined;
  #tick: Timer;
  #watch: Timer | undefined;

  constructor(facts: SessionFacts, link: Link, ports: SessionPorts) {
    this.facts = facts;
    this.clock = ports.clock;
    this.limits = ports.limits;
    this.pool = new WindowShare(ports.pool, this.limits.sessionGrowthBytes);
    this.#ports = ports;
    this.#attachment = new Attachment(link, this.clock, this.limits);
    const nowMs = this.clock.monotonic();
    this.#liveness = new Liveness(this.limits, nowMs, facts.roundTripMs);
    this.#streams = new StreamTable(facts.side, facts.role, this.limits, nowMs);
    const { noticesPerSecond, noticesBurst } = this.limits;
    this.#notices = new TokenBucket(noticesPerSecond, noticesBurst, nowMs);
    this.#renewals = new Renewals(this.limits, nowMs);
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
    return this.#attachment.offsets;
  }

  get attached(): boolean {
    return this.#attachment.link !== undefined;
  }

  /** Monotonic: since when there is no connection. */
  get detachedAtMs(): number {
    return this.#attachment.detachedAtMs;
  }

  /** How long it waits for another connection, from then on. */
  get waitMs(): number {
    return this.#attachment.waitMs;
  }

  /** Whether a lost connection may be followed by another. A gateway that drains takes no more of them. */
  get resumable(): boolean {
    const open = this.#state === 'open' || (this.#state === 'draining' && this.facts.side === 'dialler');
    return open && this.facts.patienceMs > 0;
  }

  /** Bytes that are kept for it. */
  get heldBytes(): number {
    let bytes = this.#attachment.outbox.heldBytes;
    for (const stream of this.#streams.values()) bytes += stream.heldBytes;
    return bytes;
  }

  /**
   * Goes on over another connection, whose handshake is done, from where the peer says that it is. The newest wins: one
   * that looks alive is closed. `answer` is told where we are, before anything else is written. False, and the session
   * ended, where the peer cannot be there.
   */
  resume(link: Link, peerReceived: number, answer: (received: number) => void = () => {}): boolean {
    const attachment = this.#attachment;
    attachment.leave();
    // Streams that went on when their bytes counted as sent may have ended the session.
    if (!this.resumable) return false;
    answer(attachment.received);
    if (!attachment.resume(link, this, peerReceived)) {
      const { sent, acked } = attachment.offsets;
      const text = `resume at ${peerReceived} bytes, ${acked} were acknowledged and ${sent} sent`;
      this.close({ code: 'protocol', text });
      return false;
    }
    this.#liveness = new Liveness(this.limits, this.clock.monotonic(), this.#liveness.roundTripMs);
    return true;
  }

  /** Takes a try to resume; false where it is an old one: each must be newer than the last. */
  nextAttempt(attempt: number): boolean {
    return this.#attachment.nextAttempt(attempt);
  }

  roundTripMs(): number {
    return this.#liveness.roundTripMs;
  }

  /** Opens a stream. Bytes may be written at once, up to the peer's early window. Throws `unavailable`, `limit`. */
  open(target: string, ingress: Ingress, onOpened?: () => void): TunnelStream {
    if (!this.#streams.mayOpen('us'))
      throw new LockwireError('protocol', `role ${this.facts.role} opens no streams here`);
    if (this.#state !== 'open') throw new LockwireError('unavailable', 'the tunnel is closing');
    const id = this.#streams.nextOwn(this.clock.monotonic());
    const stream = new TunnelStream(this, id, true, this.facts.peerEarlyWindow, onOpened);
    this.#streams.add(stream);
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
    this.#renewals.shown();
    this.send(0, { type: 'renew', token });
  }

  /** Of a gateway: another number of processes stands behind the address than it said before. */
  tellInstances(instances: number): void {
    this.send(0, { type: 'instances', instances });
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
    const { link } = this.#attachment;
    link?.farewell(this.#goAway(reason), reason);
    this.#streams.abandonAll(reason);
    if (link === undefined) this.#end(reason);
  }

  // What streams need of their session.

  /** Kept where the connection is just going: it is the session's, and the next one carries it. */
  send(stream: number, frame: ControlFrame): void {
    if (this.#state === 'closing' || this.#state === 'closed') return;
    const { outbox } = this.#attachment;
    outbox.control(stream, frame);
    this.#attachment.wake();
    if (outbox.overflowing) this.close({ code: 'limit', text: 'the peer takes no frames' });
  }

  ready(stream: TunnelStream): void {
    this.#attachment.outbox.ready(stream);
    this.#attachment.wake();
  }

  gone(stream: TunnelStream, lateCredit: number | undefined): void {
    this.#streams.remove(stream.id, lateCredit);
    this.#attachment.outbox.forget(stream);
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
        this.#attachment.outbox.pong(frame.value);
        return this.#attachment.wake();
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
        if (!this.#renewals.answered()) return this.fault('renewed answers no renew');
        return this.#ports.onRenewed(frame.expiresAt);
      case 'instances':
        if (this.facts.side === 'gateway') return this.fault('instances to the gateway');
        return this.#ports.onInstances?.(frame.instances);
      default:
        // Handshake frames come once, and at the start of a connection.
        return this.fault(`${frame.type} in an open session`);
    }
  }

  read(): void {
    this.#liveness.read(this.clock.monotonic());
    this.#attachment.read();
  }

  closed(reason: CloseReason): void {
    if (isLoss(reason) && this.resumable && this.#peerGoAway === undefined) this.#detach(reason);
    else this.#end(reason);
  }

  #detach(reason: CloseReason): void {
    this.#attachment.lose();
    // Streams that went on when their bytes counted as sent may have ended it.
    if (!this.resumable) return;
    const patienceMs = this.#patienceFor(reason);
    this.#attachment.wait(patienceMs, () => {
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
    this.#attachment.end();
    this.#tick.cancel();
    this.#watch?.cancel();
    // A peer that drained and then hung up was not lost: it shut down, as it said.
    const said = isLoss(reason) && this.#peerGoAway ? reasonOf(this.#peerGoAway) : reason;
    this.#streams.abandonAll(
      isLoss(said) ? { code: 'session-lost', text: `tunnel lost: ${said.text}` } : said,
    );
    this.#ports.onClosed(said);
  }

  // Frames of the session.

  #peerOpens(id: number, frame: Open): void {
    const fault = this.#streams.peerOpens(id);
    if (fault !== undefined) return this.fault(fault);
    const stream = new TunnelStream(this, id, false, this.facts.peerEarlyWindow);
    this.#streams.add(stream);
    const refusal = this.#openRefusal();
    if (!refusal) return this.#ports.onOpen(stream, frame);
    stream.reset(refusal);
    if (!this.#streams.mayRefuse(this.clock.monotonic()))
      this.close({ code: 'limit', text: `more than ${this.limits.opensPerSecond} refused opens a second` });
  }

  #openRefusal(): CloseReason | undefined {
    if (this.#state !== 'open') return { code: 'shutdown', text: 'the tunnel is draining' };
    return this.#streams.openRefusal(this.clock.monotonic());
  }

  #streamFrame(id: number, frame: StreamFrame): void {
    const stream = this.#streams.get(id);
    if (stream) stream.receive(frame);
    else this.#lateFrame(id, frame.type, 0);
  }

  #lateFrame(id: number, type: StreamFrame['type'] | 'data', bytes: number): void {
    const fault = this.#streams.lateFault(id, type, bytes);
    if (fault !== undefined) this.fault(fault);
  }

  #pong(value: number): void {
    try {
      this.#liveness.pong(value, this.clock.monotonic());
    } catch (error) {
      this.fault(messageOf(error));
    }
  }

  #peerAcks(received: number): void {
    const { outbox } = this.#attachment;
    if (!outbox.acknowledged(received)) {
      return this.fault(
        `ack of ${received} bytes, ${outbox.sent} were sent and ${outbox.acked} acknowledged`,
      );
    }
    // Data may have waited for it.
    this.#attachment.wake();
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
      this.#attachment.link?.destroy(reason);
      this.#streams.abandonAll(reason);
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

  async #peerRenews(token: string): Promise<void> {
    if (this.facts.side === 'dialler') return this.fault('renew to a client');
    const refusal = this.#renewals.begin(this.clock.monotonic());
    if (refusal) return this.close(refusal);
    try {
      const { expiresAt } = await this.#ports.onRenew(token);
      this.send(0, { type: 'renewed', expiresAt });
    } catch (error) {
      this.close(renewalRefusal(error));
    } finally {
      this.#renewals.ended();
    }
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

  /** Whether the peer is still there; while it owes a word, again and again. */
  #look(): void {
    this.#watch?.cancel();
    this.#watch = undefined;
    const { link, unacknowledged } = this.#attachment;
    if (link === undefined || this.#isOver()) return;
    const nowMs = this.clock.monotonic();
    const due = this.#liveness.tick(nowMs, unacknowledged);
    if (due === 'dead') {
      link.destroy({
        code: 'timeout',
        text: `no answer to a ping within ${this.limits.pingTimeoutMs} ms`,
      });
    } else if (due) this.send(0, { type: 'ping', value: due.ping });
    if (due === 'dead' || !(this.#liveness.asked || this.#attachment.unacknowledged)) return;
    this.#watch = this.clock.after(this.limits.watchTickMs, () => this.#look());
  }

  #goAway(reason: CloseReason): GoAway {
    return { type: 'goAway', ...verdictOf(reason), lastStream: this.#streams.lastPeer };
  }

  #endIfDrained(): void {
    if (this.#state !== 'draining' || this.#streams.size > 0) return;
    this.close({ code: 'done', text: '' });
  }
}

/** With the code that a Hello would be refused with: a revoked credential is not just an unknown one. */
function renewalRefusal(error: unknown): CloseReason {
  if (error instanceof RefusedHello)
    return { ...error.reason, text: `renewal refused: ${error.reason.text}` };
  const why = error instanceof LockwireError ? error.message : 'internal error';
  return { code: 'unauthenticated', text: `renewal refused: ${why}` };
}
