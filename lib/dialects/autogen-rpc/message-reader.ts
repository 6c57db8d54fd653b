import { GrpcEnvelopeDecoder, type GrpcEnvelopeSink } from '../../wire/grpc/envelope.ts';
import { GrpcError } from '../../wire/grpc/errors.ts';
import { GrpcStatus } from '../../wire/grpc/status.ts';
import { headBytes } from './message-head.ts';
import type { BufferShare } from './options.ts';

export interface MessageSink {
  /** A whole message: a view, good during the call. */
  message(bytes: Uint8Array): void;
  /** One that was not kept: its first bytes, and why. Its credit is given back like that of any other. */
  skipped(head: Uint8Array, why: Skipped): void;
}

export interface Skipped {
  readonly length: number;
  /** What it passed: the longest message, or undefined where there is no room for more half-read ones. */
  readonly limit: number | undefined;
}

/** An envelope's length has 32 bits. */
const anyLength = 0xffffffff;

/**
 * The messages of one direction of a call. One that came whole is passed on as it lies in the chunk; others are
 * collected, within a budget. Compressed ones can't be looked into, so they end the call.
 */
export class MessageReader implements GrpcEnvelopeSink {
  readonly #decoder: GrpcEnvelopeDecoder;
  readonly #maxBytes: number;
  readonly #slackBytes: number;
  readonly #share: BufferShare;
  readonly #sink: MessageSink;
  #length = 0;
  #filled = 0;
  #buffer: Uint8Array | undefined;
  #skipping: Skipped | undefined;
  #whole: Uint8Array | undefined;
  #taken = 0;
  #closed = false;

  /** What is up to `slackBytes` longer is read too: rewritten it may be short enough. */
  constructor(maxBytes: number, slackBytes: number, share: BufferShare, sink: MessageSink) {
    this.#decoder = new GrpcEnvelopeDecoder(this, anyLength);
    this.#maxBytes = maxBytes;
    this.#slackBytes = slackBytes;
    this.#share = share;
    this.#sink = sink;
  }

  /** Whether the body may end here. */
  get atBoundary(): boolean {
    return this.#decoder.atBoundary;
  }

  /** Throws GrpcError, for the call and for good. Bytes of a reader that is closed say nothing. */
  push(chunk: Uint8Array): void {
    if (!this.#closed) this.#decoder.push(chunk);
  }

  /**
   * Gives back what a half-read message took. The sink may ask for it in the middle of a chunk: what stands behind in it
   * is passed over, as nobody would give back what that took.
   */
  close(): void {
    this.#closed = true;
    this.#share.give(this.#taken);
    this.#taken = 0;
    this.#buffer = undefined;
  }

  begin(compressed: boolean, length: number): void {
    if (this.#closed) return;
    if (compressed)
      throw new GrpcError(
        GrpcStatus.unimplemented,
        'compressed messages can’t be decided upon; send them as they are',
      );
    this.#length = length;
    this.#filled = 0;
    this.#whole = undefined;
    this.#skipping =
      length > this.#maxBytes + this.#slackBytes ? { length, limit: this.#maxBytes } : undefined;
  }

  bytes(view: Uint8Array): void {
    if (this.#closed) return;
    if (this.#filled === 0 && view.byteLength === this.#length && this.#skipping === undefined) {
      this.#whole = view;
      this.#filled = view.byteLength;
      return;
    }
    const end = this.#filled + view.byteLength;
    if (end > this.#room) this.#grow(end);
    const fits = Math.min(view.byteLength, this.#room - this.#filled);
    if (fits > 0) this.#buffer?.set(fits < view.byteLength ? view.subarray(0, fits) : view, this.#filled);
    this.#filled = end;
  }

  end(): void {
    if (this.#closed) return;
    const buffer = this.#buffer ?? empty;
    const skipped = this.#skipping;
    this.#buffer = undefined;
    if (skipped) this.#sink.skipped(buffer.subarray(0, Math.min(this.#filled, buffer.byteLength)), skipped);
    else this.#sink.message(this.#whole ?? buffer);
    this.#whole = undefined;
    this.#share.give(this.#taken);
    this.#taken = 0;
  }

  get #room(): number {
    return this.#buffer?.byteLength ?? 0;
  }

  /** With what came and not with what a prefix claims: a message that never comes holds no room. */
  #grow(wanted: number): void {
    const most = this.#skipping ? Math.min(headBytes, this.#length) : this.#length;
    const room = Math.min(most, Math.max(wanted, this.#room * 2, firstRoomBytes));
    if (room <= this.#room) return;
    if (this.#skipping === undefined && !this.#take(room - this.#room)) {
      this.#skipping = { length: this.#length, limit: undefined };
      if (this.#room === 0) this.#grow(wanted);
      return;
    }
    const larger = Buffer.allocUnsafeSlow(room);
    if (this.#buffer) larger.set(this.#buffer.subarray(0, this.#filled));
    this.#buffer = larger;
  }

  #take(bytes: number): boolean {
    if (!this.#share.take(bytes)) return false;
    this.#taken += bytes;
    return true;
  }
}

/** The first buffer of a message that comes in parts. */
const firstRoomBytes = 16_384;
const empty = new Uint8Array(0);
