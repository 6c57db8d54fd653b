import type { Clock } from '../core/clock.ts';
import { invariant } from '../core/errors.ts';
import { OutputBuffer } from '../core/output-buffer.ts';
import type { ByteStream, StreamEvents } from '../core/ports.ts';
import { type CloseReason, done } from '../core/session.ts';
import type { ControlFrame } from '../wire/tunnel/frames.ts';
import type { TunnelLimits } from './options.ts';
import type { Sender } from './outbox.ts';
import { ReceiveWindow } from './receive-window.ts';
import { afterOwn, afterPeer, type StreamEvent, type StreamState } from './stream-state.ts';
import { cutShort, reasonOf, verdictOf } from './verdict.ts';
import type { WindowSource } from './window-pool.ts';

/** What a stream needs of its session. */
export interface StreamHost {
  readonly clock: Clock;
  readonly limits: TunnelLimits;
  readonly pool: WindowSource;
  roundTripMs(): number;
  send(stream: number, frame: ControlFrame): void;
  ready(stream: TunnelStream): void;
  /** It is closed: forget it. `lateCredit` where we reset it: so much the peer may have sent before it knows. */
  gone(stream: TunnelStream, lateCredit: number | undefined): void;
  /** The peer broke the rules of the stream; the session ends. */
  fault(text: string): void;
}

/** Frames of the peer's that a stream takes. */
export type StreamFrame = Extract<ControlFrame, { type: 'opened' | 'credit' | 'end' | 'reset' }>;

/** One stream of a tunnel session, as a byte stream under credit. */
export class TunnelStream implements ByteStream, Sender {
  readonly id: number;
  /** Whether our side opened it. */
  readonly ours: boolean;
  /** Monotonic. */
  readonly openedAtMs: number;
  readonly #host: StreamHost;
  readonly #window: ReceiveWindow;
  readonly #output = new OutputBuffer();
  #state: StreamState = 'opening';
  #events: StreamEvents | undefined;
  /** What came before there was a reader: at most the window. */
  readonly #early = new OutputBuffer();
  #onOpened: (() => void) | undefined;
  #sendLimit: number;
  #sentBytes = 0;
  #accepted = false;
  #ending = false;
  #endTaken = false;
  #peerEndSeen = false;
  #reason: CloseReason | undefined;
  #toldClosed = false;

  constructor(host: StreamHost, id: number, ours: boolean, peerEarlyWindow: number, onOpened?: () => void) {
    this.id = id;
    this.ours = ours;
    this.#host = host;
    this.openedAtMs = host.clock.monotonic();
    this.#window = new ReceiveWindow(host.limits, host.pool);
    this.#sendLimit = peerEarlyWindow;
    this.#onOpened = onOpened;
  }

  /** Bytes that wait in it, in either direction. */
  get heldBytes(): number {
    return this.#output.byteLength + this.#window.outstanding;
  }

  get state(): StreamState {
    return this.#state;
  }

  /** Asked for, and neither taken up nor refused. */
  get pending(): boolean {
    return !this.#accepted && this.#reason === undefined;
  }

  /** The acceptor takes the stream up. */
  accept(): void {
    if (this.#reason || this.#accepted) return;
    invariant(!this.ours, `stream ${this.id} is accepted by its opener`);
    this.#accepted = true;
    this.#state = afterOwn(this.#state, 'opened');
    this.#host.send(this.id, { type: 'opened', limit: this.#window.open(this.#host.clock.monotonic()) });
    // What was written meanwhile: our first frame is Opened.
    this.#wake();
  }

  start(events: StreamEvents): void {
    invariant(this.#events === undefined, 'a stream is started once');
    this.#events = events;
    // The reader may reset the stream in each call; of one that was cut short nothing more is delivered.
    for (const chunk of this.#early.take(this.#early.byteLength)) if (!this.#cut) events.data(chunk);
    if (this.#peerEndSeen && !this.#cut) events.end();
    this.#tellClosed();
  }

  write(chunk: Uint8Array): void {
    if (this.#reason || this.#ending) return;
    this.#output.append(chunk);
    this.#wake();
  }

  end(): void {
    if (this.#reason || this.#ending) return;
    this.#ending = true;
    this.#wake();
  }

  reset(reason: CloseReason): void {
    if (this.#reason) return;
    const cut = cutShort(reason, 'cancelled');
    this.#host.send(this.id, { type: 'reset', ...verdictOf(cut) });
    this.#close(cut, this.#window.unused);
  }

  consume(bytes: number): void {
    if (this.#reason) return;
    if (bytes > this.#window.outstanding) {
      // Our own bug, but this one stream's: the others of the session live on.
      const text = `internal error: ${bytes} B given back of ${this.#window.outstanding} B outstanding`;
      return this.reset({ code: 'internal', text });
    }
    const limit = this.#window.consume(bytes, this.#host.clock.monotonic(), this.#host.roundTripMs());
    if (limit !== undefined) this.#host.send(this.id, { type: 'credit', limit });
  }

  sendable(): number {
    if (!this.#maySend) return 0;
    return Math.min(this.#output.byteLength, this.#sendLimit - this.#sentBytes);
  }

  take(maxBytes: number): readonly Uint8Array[] {
    this.#sentBytes += maxBytes;
    return this.#output.take(maxBytes);
  }

  takeEnd(): boolean {
    if (!this.#endDue) return false;
    this.#endTaken = true;
    return true;
  }

  sent(bytes: number, ended: boolean): void {
    if (this.#reason) return;
    if (bytes > 0) this.#events?.flushed(bytes);
    if (!ended || this.#isClosed()) return;
    this.#state = afterOwn(this.#state, 'sendEnd');
    this.#closeIfEnded();
  }

  receiveData(chunk: Uint8Array): void {
    if (this.#beforeOpened) return this.#host.fault(`stream ${this.id}: data before its Opened`);
    if (this.#peerEndSeen) return this.#host.fault(`stream ${this.id}: data after its End`);
    if (!this.#window.receive(chunk.byteLength)) {
      const { limit, unused } = this.#window;
      return this.#host.fault(`stream ${this.id}: ${limit - unused} bytes, credit ${limit}`);
    }
    if (this.#events) this.#events.data(chunk);
    else this.#early.append(chunk);
  }

  receive(frame: StreamFrame): void {
    if (this.#beforeOpened && (frame.type === 'credit' || frame.type === 'end')) {
      return this.#host.fault(`stream ${this.id}: ${frame.type} before its Opened`);
    }
    switch (frame.type) {
      case 'opened':
        return this.#receiveOpened(frame.limit);
      case 'credit':
        return this.#receiveCredit(frame.limit);
      case 'end':
        return this.#receiveEnd();
      case 'reset':
        return this.#close(cutShort(reasonOf(frame), 'cancelled'), undefined);
    }
  }

  /** The session ended under it; the peer is told by the session's own farewell. */
  abandon(reason: CloseReason): void {
    this.#close(cutShort(reason, 'session-lost'), undefined);
  }

  tick(nowMs: number): void {
    this.#window.tick(nowMs);
  }

  /** Our opening and the acceptor's first word, which is Opened or Reset, is still to come. */
  get #beforeOpened(): boolean {
    return this.ours && !this.#accepted;
  }

  /** An acceptor sends nothing before its Opened; an opener may, up to the early window. */
  get #maySend(): boolean {
    return this.ours || this.#accepted;
  }

  get #endDue(): boolean {
    return this.#ending && !this.#endTaken && this.#output.byteLength === 0 && this.#maySend;
  }

  /** Ended by anything but the two Ends. */
  get #cut(): boolean {
    return this.#reason !== undefined && this.#reason !== done;
  }

  #wake(): void {
    if (!this.#reason && (this.#endDue || this.sendable() > 0)) this.#host.ready(this);
  }

  #receiveOpened(limit: number): void {
    if (!this.#beforeOpened) return this.#host.fault(`stream ${this.id}: opened twice or by its opener`);
    const next = this.#afterPeer('opened');
    if (next === undefined) return;
    this.#accepted = true;
    this.#state = next;
    this.#host.send(this.id, { type: 'credit', limit: this.#window.open(this.#host.clock.monotonic()) });
    this.#receiveCredit(limit);
    if (this.#isClosed()) return;
    this.#onOpened?.();
    this.#onOpened = undefined;
  }

  #receiveCredit(limit: number): void {
    if (limit < this.#sendLimit) {
      return this.#host.fault(`stream ${this.id}: credit went back from ${this.#sendLimit} to ${limit}`);
    }
    this.#sendLimit = limit;
    this.#wake();
  }

  #receiveEnd(): void {
    const next = this.#afterPeer('receiveEnd');
    if (next === undefined) return;
    this.#peerEndSeen = true;
    this.#window.end();
    this.#state = next;
    this.#events?.end();
    this.#closeIfEnded();
  }

  #afterPeer(event: StreamEvent): StreamState | undefined {
    const next = afterPeer(this.#state, event);
    if (next === undefined) this.#host.fault(`stream ${this.id}: ${event} in state ${this.#state}`);
    return next;
  }

  /** A method, since types don't see that a callback may have closed it. */
  #isClosed(): boolean {
    return this.#reason !== undefined;
  }

  #closeIfEnded(): void {
    if (this.#state === 'closed') this.#close(done, undefined);
  }

  #close(reason: CloseReason, lateCredit: number | undefined): void {
    if (this.#reason) return;
    this.#reason = reason;
    this.#state = 'closed';
    this.#output.clear();
    if (this.#cut) this.#early.clear();
    this.#window.release();
    this.#host.gone(this, this.#peerEndSeen ? undefined : lateCredit);
    this.#tellClosed();
  }

  #tellClosed(): void {
    if (!this.#events || !this.#reason || this.#toldClosed) return;
    this.#toldClosed = true;
    this.#events.closed(this.#reason);
  }
}
