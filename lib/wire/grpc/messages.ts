import { invariant } from '../../core/errors.ts';
import { defaultMaxGrpcMessageBytes, GrpcEnvelopeDecoder, grpcPrefixBytes } from './envelope.ts';
import { GrpcError } from './errors.ts';
import { GrpcStatus } from './status.ts';

/** Of a message that is too large this much is kept to answer it by. */
export const defaultBeginningBytes = 4_096;
/** A message that comes in parts is collected in a buffer that begins so and doubles. */
const firstCollectBytes = 16_384;
const maxLength = 0xffffffff;

/** Takes the messages of one direction of a call, each of them whole. */
export interface GrpcMessagesSink {
  /**
   * One message. A view: of what was pushed, good during the call only, or of a buffer of its own. `wireBytes` is what it
   * took of the stream: its credit.
   */
  message(bytes: Uint8Array, wireBytes: number): void;
  /**
   * A message of `length` bytes, more than the limit, passes by: said once, as soon as its first bytes are there.
   * `beginning` is the reader's own, good during the call only. Its credit comes by `passed`.
   */
  tooLarge(length: number, beginning: Uint8Array): void;
  /** So many bytes of the stream belonged to a message that is too large: nobody else will give credit for them. */
  passed(wireBytes: number): void;
}

export interface GrpcMessagesOptions {
  readonly maxMessageBytes?: number;
  /** How much of the beginning of a message that is too large is kept. */
  readonly beginningBytes?: number;
  /** The call's grpc-encoding; absent is `identity`. */
  readonly encoding?: string;
}

/**
 * A gRPC body as whole messages, one at a time, however it is cut. A message over the limit is passed over and the next
 * one read; it is never collected. All that was pushed is told to the sink once, by `message` or `passed`, but for
 * what is still held.
 *
 * A compressed message is refused: what is decided by must be looked into, and AutoGen's own programs send none.
 * With a grpc-encoding the answer is UNIMPLEMENTED, as gRPC has it for an encoding that the server has not; without one
 * the flag is a mistake of the peer's, INTERNAL. Whoever relays takes grpc-accept-encoding away, so that no host
 * compresses its answers.
 */
export class GrpcMessages {
  readonly #sink: GrpcMessagesSink;
  readonly #decoder: GrpcEnvelopeDecoder;
  readonly #maxMessageBytes: number;
  readonly #beginningBytes: number;
  readonly #encoding: string;
  #length = 0;
  #buffer: Buffer | undefined;
  /** Bytes of the open message that came. */
  #came = 0;

  constructor(sink: GrpcMessagesSink, options: GrpcMessagesOptions = {}) {
    this.#sink = sink;
    this.#maxMessageBytes = options.maxMessageBytes ?? defaultMaxGrpcMessageBytes;
    this.#beginningBytes = options.beginningBytes ?? defaultBeginningBytes;
    invariant(this.#beginningBytes > 0, `beginning of ${this.#beginningBytes} bytes`);
    this.#encoding = options.encoding ?? 'identity';
    // The limit is ours, as what is over it is passed over and no error.
    this.#decoder = new GrpcEnvelopeDecoder(
      {
        begin: (compressed, length) => this.#begin(compressed, length),
        bytes: view => this.#bytes(view),
        end: () => this.#end(),
      },
      maxLength,
    );
  }

  /** Whether the body may end here. */
  get atBoundary(): boolean {
    return this.#decoder.atBoundary;
  }

  /** Memory that the open message takes now: at most twice what came of it, or the first buffer. */
  get heldBytes(): number {
    return this.#buffer?.byteLength ?? 0;
  }

  /** Throws GrpcError, for the call and for good; and what the sink throws. The sink may not call it. */
  push(chunk: Uint8Array): void {
    this.#decoder.push(chunk);
  }

  #begin(compressed: boolean, length: number): void {
    if (compressed) throw this.#compressed();
    this.#length = length;
    this.#came = 0;
    if (this.#tooLarge) this.#sink.passed(grpcPrefixBytes);
  }

  get #tooLarge(): boolean {
    return this.#length > this.#maxMessageBytes;
  }

  #bytes(view: Uint8Array): void {
    if (this.#tooLarge) this.#pass(view);
    else if (view.byteLength === this.#length) this.#whole(view);
    else this.#collect(view, this.#length);
  }

  /** It came in one part: nothing is copied. */
  #whole(view: Uint8Array): void {
    this.#came = this.#length;
    this.#sink.message(view, grpcPrefixBytes + view.byteLength);
  }

  #end(): void {
    if (this.#length === 0) this.#sink.message(new Uint8Array(0), grpcPrefixBytes);
    if (this.#buffer === undefined) return;
    const message = this.#buffer;
    this.#buffer = undefined;
    this.#sink.message(message, grpcPrefixBytes + message.byteLength);
  }

  #pass(view: Uint8Array): void {
    const wanted = Math.min(this.#beginningBytes, this.#length);
    const missing = wanted - this.#came;
    if (missing > 0) {
      this.#collect(view.subarray(0, missing), wanted);
      if (this.#came === wanted) this.#tellTooLarge();
    }
    this.#sink.passed(view.byteLength);
  }

  #tellTooLarge(): void {
    const beginning = this.#buffer;
    this.#buffer = undefined;
    if (beginning !== undefined) this.#sink.tooLarge(this.#length, beginning);
  }

  /** Into a buffer that grows with what came, not with what a prefix claims; at last it is `wanted` bytes and full. */
  #collect(view: Uint8Array, wanted: number): void {
    const came = this.#came + view.byteLength;
    let buffer = this.#buffer;
    if (buffer === undefined || buffer.byteLength < came) {
      const room = Math.min(wanted, Math.max(came, (buffer?.byteLength ?? firstCollectBytes / 2) * 2));
      const larger = Buffer.allocUnsafeSlow(room);
      if (buffer !== undefined) larger.set(buffer.subarray(0, this.#came));
      buffer = larger;
      this.#buffer = buffer;
    }
    buffer.set(view, this.#came);
    this.#came = came;
  }

  #compressed(): GrpcError {
    if (this.#encoding === 'identity') {
      return new GrpcError(
        GrpcStatus.internal,
        'a message is flagged compressed, the call has no grpc-encoding',
      );
    }
    return new GrpcError(
      GrpcStatus.unimplemented,
      'compressed messages are not taken: send them with grpc-encoding identity',
    );
  }
}
