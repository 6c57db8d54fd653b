import type { WriteSource } from '../core/adaptive-writer.ts';
import { deferFromBytes } from '../core/limits.ts';
import { encodeFrame } from '../wire/tunnel/encode.ts';
import type { ControlFrame } from '../wire/tunnel/frames.ts';
import { maxDataBytes } from '../wire/tunnel/limits.ts';
import { messageByType } from '../wire/tunnel/messages.ts';
import { FrameBatch } from './frame-batch.ts';
import type { TunnelLimits } from './options.ts';

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
  readonly #limits: OutboxLimits;
  readonly #batch = new FrameBatch();
  #control: Uint8Array[] = [];
  #controlBytes = 0;
  /** Of these, what will count as sent. */
  #controlSequenced = 0;
  /** In the order of their turn. */
  readonly #ready = new Set<Sender>();
  #inFlight: { readonly sender: Sender; readonly bytes: number; readonly ended: boolean }[] = [];
  #sentBytes = 0;
  #ackedBytes = 0;
  /** The latest of each wins, so neither can pile up. */
  #ack: number | undefined;
  #pong: number | undefined;

  constructor(limits: OutboxLimits) {
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
    const unacked = this.#sentBytes + this.#controlSequenced - this.#ackedBytes;
    return this.#controlBytes > maxControlQueueBytes || unacked > maxUnackedBytes + maxUnackedControlBytes;
  }

  control(stream: number, frame: ControlFrame): void {
    const encoded = encodeFrame(stream, frame);
    this.#control.push(encoded);
    this.#controlBytes += encoded.byteLength;
    if (messageByType(frame.type).sequenced) this.#controlSequenced += encoded.byteLength;
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
    this.#ackedBytes = received;
    return true;
  }

  /** Drops all that waits but control frames; a farewell still goes out. */
  dropData(): void {
    this.#ready.clear();
  }

  pendingBytes(): number {
    let bytes = this.#controlBytes + (this.#ack === undefined ? 0 : 1) + (this.#pong === undefined ? 0 : 1);
    for (const sender of this.#ready) {
      if (bytes >= deferFromBytes) break;
      bytes += sender.sendable() + 1;
    }
    return bytes;
  }

  take(maxBytes: number): readonly Uint8Array[] {
    this.#takeControl();
    while (this.#batch.byteLength < maxBytes && this.#takeData());
    return this.#batch.take();
  }

  written(): void {
    const inFlight = this.#inFlight;
    this.#inFlight = [];
    for (const { sender, bytes, ended } of inFlight) sender.sent(bytes, ended);
  }

  /** Ack and Pong are not sequenced: they are made up here, with the value that is true now. */
  #takeControl(): void {
    if (this.#ack !== undefined) {
      this.#batch.addFrame(encodeFrame(0, { type: 'ack', received: this.#ack }));
      this.#ack = undefined;
    }
    if (this.#pong !== undefined) {
      this.#batch.addFrame(encodeFrame(0, { type: 'pong', value: this.#pong }));
      this.#pong = undefined;
    }
    for (const encoded of this.#control) this.#batch.addFrame(encoded);
    this.#sentBytes += this.#controlSequenced;
    this.#control = [];
    this.#controlBytes = 0;
    this.#controlSequenced = 0;
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
