import type { Clock } from '../core/clock.ts';
import { OutputBuffer } from '../core/output-buffer.ts';
import type { ByteStream, StreamEvents } from '../core/ports.ts';
import { type CloseReason, done } from '../core/session.ts';
import type { ControlFrame } from '../wire/tunnel/frames.ts';
import type { TunnelLimits } from './options.ts';
import type { Sender } from './outbox.ts';
import { ReceiveWindow } from './receive-window.ts';
import { afterOwn, afterPeer, type StreamEvent, type StreamState } from './stream-state.ts';
import type { WindowPool } from './window-pool.ts';

/** What a stream needs of its session. */
export interface StreamHost {
  readonly clock: Clock;
  readonly limits: TunnelLimits;
  readonly pool: WindowPool;
  roundTripMs(): number;
  send(stream: number, frame: ControlFrame): void;
  ready(stream: TunnelStream): void;
  /** It is closed: forget it. `reset` where we reset it and the peer may not know yet. */
  gone(stream: TunnelStream, reset: boolean): void;
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
  /** What came before there was a reader: at most the early window. */
  readonly #early = new OutputBuffer();
  #onOpened: (() => void) | undefined;
  #sendLimit: number;
  #sentBytes = 0;
  #accepted = false;
  #ending = false;
  #endTaken = false;
  #peerEndSeen = false;
  #reason: CloseReason | undefined;

  constructor(host: StreamHost, id: number, ours: boolean, peerEarlyWindow: number, onOpened?: () => void) {
    this.id = id;
    this.ours = ours;
    this.#host = host;
    this.openedAtMs = host.clock.monotonic();
    this.#window = new ReceiveWindow(host.limits, host.pool);
    this.#sendLimit = peerEarlyWindow;
    this.#onOpened = onOpened;
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
    this.#accepted = true;
    this.#state = afterOwn(this.#state, 'opened');
    this.#host.send(this.id, { type: 'opened', limit: this.#window.open(this.#host.clock.monotonic()) });
  }

  start(events: StreamEvents): void {
    this.#events = events;
    for (const chunk of this.#early.take(this.#early.byteLength)) events.data(chunk);
    if (this.#peerEndSeen) events.end();
    if (this.#reason) events.closed(this.#reason);
  }

  write(chunk: Uint8Array): void {
    if (this.#reason || this.#ending) return;
    this.#output.append(chunk);
    if (this.sendable() > 0) this.#host.ready(this);
  }

  end(): void {
    if (this.#reason || this.#ending) return;
    this.#ending = true;
    if (this.#output.byteLength === 0) this.#host.ready(this);
  }

  reset(reason: CloseReason): void {
    if (this.#reason) return;
    const { code, text, decision = '' } = reason;
    this.#host.send(this.id, { type: 'reset', code, text, decision });
    this.#close(reason, true);
  }

  consume(bytes: number): void {
    if (this.#reason) return;
    const limit = this.#window.consume(bytes, this.#host.clock.monotonic(), this.#host.roundTripMs());
    // A peer that ended its side has nothing more to send.
    if (limit !== undefined && !this.#peerEndSeen) this.#host.send(this.id, { type: 'credit', limit });
  }

  sendable(): number {
    return Math.min(this.#output.byteLength, this.#sendLimit - this.#sentBytes);
  }

  take(maxBytes: number): readonly Uint8Array[] {
    this.#sentBytes += maxBytes;
    return this.#output.take(maxBytes);
  }

  takeEnd(): boolean {
    if (!this.#ending || this.#endTaken || this.#output.byteLength > 0) return false;
    this.#endTaken = true;
    return true;
  }

  sent(bytes: number, ended: boolean): void {
    if (this.#reason) return;
    if (bytes > 0) this.#events?.flushed(bytes);
    if (ended && this.#reason === undefined) this.#advance(afterOwn(this.#state, 'sendEnd'));
  }

  receiveData(chunk: Uint8Array): void {
    if (this.#peerEndSeen) return this.#host.fault(`stream ${this.id}: data after its end`);
    if (!this.#window.receive(chunk.byteLength)) {
      return this.#host.fault(`stream ${this.id}: ${this.#window.outstanding} bytes, beyond its credit`);
    }
    if (this.#events) this.#events.data(chunk);
    else this.#early.append(chunk);
  }

  receive(frame: StreamFrame): void {
    switch (frame.type) {
      case 'opened':
        return this.#receiveOpened(frame.limit);
      case 'credit':
        return this.#receiveCredit(frame.limit);
      case 'end':
        return this.#receiveEnd();
      case 'reset': {
        const { code, text, decision } = frame;
        return this.#close(decision ? { code, text, decision } : { code, text }, false);
      }
    }
  }

  /** The session ended under it; the peer is told by the session's own farewell. */
  abandon(reason: CloseReason): void {
    this.#close(reason, false);
  }

  tick(nowMs: number): void {
    this.#window.tick(nowMs);
  }

  #receiveOpened(limit: number): void {
    if (!this.ours || this.#accepted)
      return this.#host.fault(`stream ${this.id}: opened twice or by its opener`);
    const next = this.#afterPeer('opened');
    if (next === undefined) return;
    this.#accepted = true;
    this.#state = next;
    this.#host.send(this.id, { type: 'credit', limit: this.#window.open(this.#host.clock.monotonic()) });
    this.#receiveCredit(limit);
    this.#onOpened?.();
    this.#onOpened = undefined;
  }

  #receiveCredit(limit: number): void {
    if (limit < this.#sendLimit) {
      return this.#host.fault(`stream ${this.id}: credit went back from ${this.#sendLimit} to ${limit}`);
    }
    this.#sendLimit = limit;
    if (this.sendable() > 0) this.#host.ready(this);
  }

  #receiveEnd(): void {
    const next = this.#afterPeer('receiveEnd');
    if (next === undefined) return;
    this.#peerEndSeen = true;
    this.#events?.end();
    if (this.#reason === undefined) this.#advance(next);
  }

  #afterPeer(event: StreamEvent): StreamState | undefined {
    const next = afterPeer(this.#state, event);
    if (next === undefined) this.#host.fault(`stream ${this.id}: ${event} in state ${this.#state}`);
    return next;
  }

  #advance(next: StreamState): void {
    this.#state = next;
    if (next === 'closed') this.#close(done, false);
  }

  #close(reason: CloseReason, reset: boolean): void {
    if (this.#reason) return;
    this.#reason = reason;
    this.#state = 'closed';
    this.#output.clear();
    if (reason !== done) this.#early.clear();
    this.#window.release();
    this.#host.gone(this, reset);
    this.#events?.closed(reason);
  }
}
