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

  /** Throws GrpcError, for the call and for good. */
  push(chunk: Uint8Array): void {
    this.#decoder.push(chunk);
  }

  /** Gives back what a half-read message took. */
  close(): void {
    this.#share.give(this.#taken);
    this.#taken = 0;
    this.#buffer = undefined;
  }

  begin(compressed: boolean, length: number): void {
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
    if (this.#filled === 0 && view.byteLength === this.#length && this.#skipping === undefined) {
      this.#whole = view;
      this.#filled = view.byteLength;
      return;
    }
    if (this.#buffer === undefined) this.#openBuffer();
    const buffer = this.#buffer as Uint8Array | undefined;
    const room = (buffer?.byteLength ?? 0) - this.#filled;
    if (room > 0) buffer?.set(room < view.byteLength ? view.subarray(0, room) : view, this.#filled);
    this.#filled += view.byteLength;
  }

  end(): void {
    const buffer = this.#buffer ?? empty;
    const skipped = this.#skipping;
    this.#buffer = undefined;
    if (skipped) this.#sink.skipped(buffer.subarray(0, Math.min(this.#filled, buffer.byteLength)), skipped);
    else this.#sink.message(this.#whole ?? buffer);
    this.#whole = undefined;
    this.#share.give(this.#taken);
    this.#taken = 0;
  }

  #openBuffer(): void {
    if (this.#skipping === undefined && !this.#share.take(this.#length))
      this.#skipping = { length: this.#length, limit: undefined };
    const bytes = this.#skipping ? Math.min(headBytes, this.#length) : this.#length;
    if (this.#skipping === undefined) this.#taken = this.#length;
    this.#buffer = Buffer.allocUnsafeSlow(bytes);
  }
}

const empty = new Uint8Array(0);
