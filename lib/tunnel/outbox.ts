import type { WriteSource } from '../core/adaptive-writer.ts';
import { deferFromBytes } from '../core/limits.ts';
import { encodeFrame } from '../wire/tunnel/encode.ts';
import type { ControlFrame } from '../wire/tunnel/frames.ts';
import { maxDataBytes } from '../wire/tunnel/limits.ts';
import { messageByType } from '../wire/tunnel/messages.ts';
import { FrameBatch } from './frame-batch.ts';
import type { TunnelLimits } from './options.ts';
import { SentBytes } from './sent-bytes.ts';

/** A stream as the outbox sees it. */
export interface Sender {
  readonly id: number;
  /** Bytes queued that the peer's credit allows. */
  sendable(): number;
  take(maxBytes: number): readonly Uint8Array[];
  /** True, once, where nothing is queued any more and the End goes out. */
  takeEnd(): boolean;
  /** So many bytes, and where `ended` the End, have left this process. */
  sent(bytes: number, ended: boolean): void;
}

type OutboxLimits = Pick<
  TunnelLimits,
  | 'sharedFrameBytes'
  | 'loneFrameBytes'
  | 'maxUnackedBytes'
  | 'maxUnackedControlBytes'
  | 'maxControlQueueBytes'
>;

/**
 * Chooses what a session writes next: control frames first, then data of the streams that may send, a frame each in
 * turn. Counts what is sequenced and not yet acknowledged; at the limit data waits.
 */
export class Outbox implements WriteSource {
  #limits: OutboxLimits;
  readonly #batch = new FrameBatch();
  /** Frames of the connection, not of the session: they are lost with it. */
  #unsequenced: Uint8Array[] = [];
  #control: Uint8Array[] = [];
  #controlBytes = 0;
  /** In the order of their turn. */
  readonly #ready = new Set<Sender>();
  #inFlight: { readonly sender: Sender; readonly bytes: number; readonly ended: boolean }[] = [];
  #sentBytes = 0;
  #ackedBytes = 0;
  /** What was sent and not acknowledged, from offset `#ackedBytes` on. */
  readonly #unacked = new SentBytes();
  /** The connection is a new one: what is unacknowledged goes out again before anything new. */
  #resending = false;
  /** The latest of each wins, so neither can pile up. */
  #ack: number | undefined;
  #pong: number | undefined;

  constructor(limits: OutboxLimits) {
    this.#limits = limits;
  }

  /** The session's own limits, in place of those of the handshake. */
  obey(limits: OutboxLimits): void {
    this.#limits = limits;
  }

  /** Encoded bytes of sequenced frames that were handed to the carrier. */
  get sent(): number {
    return this.#sentBytes;
  }

  get acked(): number {
    return this.#ackedBytes;
  }

  /** True where the peer takes nothing: more than this would be an unbounded queue. */
  get overflowing(): boolean {
    const { maxControlQueueBytes, maxUnackedBytes, maxUnackedControlBytes } = this.#limits;
    const unacked = this.#sentBytes + this.#controlBytes - this.#ackedBytes;
    return this.#controlBytes > maxControlQueueBytes || unacked > maxUnackedBytes + maxUnackedControlBytes;
  }

  control(stream: number, frame: ControlFrame): void {
    const encoded = encodeFrame(stream, frame);
    if (!messageByType(frame.type).sequenced) {
      this.#unsequenced.push(encoded);
      return;
    }
    this.#control.push(encoded);
    this.#controlBytes += encoded.byteLength;
  }

  /** Bytes that are kept for this session while nothing is written. */
  get heldBytes(): number {
    return this.#sentBytes - this.#ackedBytes + this.#controlBytes;
  }

  /** The connection is gone: what was in flight is kept by `#unacked`, so its senders may go on. */
  detached(): void {
    this.#unsequenced = [];
    this.#ack = undefined;
    this.#pong = undefined;
    this.written();
  }

  /**
   * Goes on over a new connection, from what the peer says that it received; frames that wait in the connection's own
   * outbox go first. False where the peer cannot have received that.
   */
  resume(received: number, connection: Outbox): boolean {
    if (!this.acknowledged(received)) return false;
    this.#unsequenced = connection.#unsequenced;
    this.#resending = this.#unacked.byteLength > 0;
    return true;
  }

  ack(received: number): void {
    this.#ack = received;
  }

  pong(value: number): void {
    this.#pong = value;
  }

  /** The stream has something that it may send. */
  ready(sender: Sender): void {
    this.#ready.add(sender);
  }

  /** The stream is gone: what it had queued is not sent. */
  forget(sender: Sender): void {
    this.#ready.delete(sender);
  }

  /** False where the peer acknowledges what was never sent, or takes an acknowledgement back. */
  acknowledged(received: number): boolean {
    if (received > this.#sentBytes || received < this.#ackedBytes) return false;
    this.#unacked.drop(received - this.#ackedBytes);
    this.#ackedBytes = received;
    return true;
  }

  /** Drops all that waits but control frames; a farewell still goes out. */
  dropData(): void {
    this.#ready.clear();
  }

  pendingBytes(): number {
    let bytes = this.#controlBytes + this.#unsequenced.length + (this.#resending ? 1 : 0);
    bytes += (this.#ack === undefined ? 0 : 1) + (this.#pong === undefined ? 0 : 1);
    for (const sender of this.#ready) {
      if (bytes >= deferFromBytes) break;
      bytes += sender.sendable() + 1;
    }
    return bytes;
  }

  take(maxBytes: number): readonly Uint8Array[] {
    this.#takeUnsequenced();
    const unsequenced = this.#batch.take();
    if (this.#resending) {
      this.#resending = false;
      // In one write, however much: only so is its end the end of a frame, where others may follow.
      return [...unsequenced, ...this.#unacked.chunks()];
    }
    this.#takeControl();
    while (this.#batch.byteLength < maxBytes && this.#takeData());
    const sequenced = this.#batch.take();
    this.#unacked.add(sequenced);
    return unsequenced.length === 0 ? sequenced : [...unsequenced, ...sequenced];
  }

  written(): void {
    const inFlight = this.#inFlight;
    this.#inFlight = [];
    for (const { sender, bytes, ended } of inFlight) sender.sent(bytes, ended);
  }

  /** Ack and Pong are made up here, with the value that is true now. */
  #takeUnsequenced(): void {
    for (const encoded of this.#unsequenced) this.#batch.addFrame(encoded);
    if (this.#unsequenced.length > 0) this.#unsequenced = [];
    if (this.#ack !== undefined) {
      this.#batch.addFrame(encodeFrame(0, { type: 'ack', received: this.#ack }));
      this.#ack = undefined;
    }
    if (this.#pong !== undefined) {
      this.#batch.addFrame(encodeFrame(0, { type: 'pong', value: this.#pong }));
      this.#pong = undefined;
    }
  }

  #takeControl(): void {
    if (this.#controlBytes === 0) return;
    for (const encoded of this.#control) this.#batch.addFrame(encoded);
    this.#sentBytes += this.#controlBytes;
    this.#control = [];
    this.#controlBytes = 0;
  }

  /** One data frame, and the End behind the last one. False where nothing may be sent now. */
  #takeData(): boolean {
    const [sender] = this.#ready;
    if (sender === undefined) return false;
    const room = this.#limits.maxUnackedBytes - (this.#sentBytes - this.#ackedBytes);
    if (room <= 0) return false;
    this.#ready.delete(sender);
    const frameBytes = this.#ready.size === 0 ? this.#limits.loneFrameBytes : this.#limits.sharedFrameBytes;
    const bytes = Math.min(sender.sendable(), frameBytes, maxDataBytes, room);
    if (bytes > 0) this.#sentBytes += this.#batch.addData(sender.id, sender.take(bytes), bytes);
    const ended = sender.takeEnd();
    if (ended) this.#addEnd(sender.id);
    else if (sender.sendable() > 0) this.#ready.add(sender);
    if (bytes > 0 || ended) this.#inFlight.push({ sender, bytes, ended });
    return true;
  }

  #addEnd(stream: number): void {
    const encoded = encodeFrame(stream, { type: 'end' });
    this.#sentBytes += encoded.byteLength;
    this.#batch.addFrame(encoded);
  }
}
