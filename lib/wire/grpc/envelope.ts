import { GrpcError } from './errors.ts';
import { GrpcStatus } from './status.ts';

/** Takes the messages of one direction of a call, in order. */
export interface GrpcEnvelopeSink {
  /**
   * A message of `length` bytes begins, as it is on the wire. Whether it may be compressed is the sink's to judge, who
   * knows the call's grpc-encoding: without one it is to be refused with INTERNAL.
   */
  begin(compressed: boolean, length: number): void;
  /** At least one byte, in order; a view of the chunk that was pushed. */
  bytes(view: Uint8Array): void;
  end(): void;
}

/** Compressed flag (1), length (4, big endian). */
export const grpcPrefixBytes: 5 = 5;

/** What gRPC's own libraries receive at most, unless they are told otherwise: 4 MiB. */
export const defaultMaxGrpcMessageBytes = 4_194_304;

/**
 * The length-prefixed messages of a gRPC body, however the bytes are cut. Nothing is collected but the prefix; a
 * message's length is checked before its first byte is handed on.
 */
export class GrpcEnvelopeDecoder {
  readonly #sink: GrpcEnvelopeSink;
  readonly #maxMessageBytes: number;
  /** Bytes of the prefix that came; 0 also inside a message. */
  #prefixBytes = 0;
  #compressed = false;
  #length = 0;
  /** Bytes of the message still to come. */
  #left = 0;
  #failed = false;

  constructor(sink: GrpcEnvelopeSink, maxMessageBytes: number = defaultMaxGrpcMessageBytes) {
    this.#sink = sink;
    this.#maxMessageBytes = maxMessageBytes;
  }

  /** Whether the body may end here: no prefix and no message is open. */
  get atBoundary(): boolean {
    return this.#prefixBytes === 0 && this.#left === 0 && !this.#failed;
  }

  /** Throws GrpcError, for the call and for good. The sink may not call it. */
  push(chunk: Uint8Array): void {
    if (this.#failed) throw new GrpcError(GrpcStatus.internal, 'bytes behind a malformed message');
    try {
      const end = chunk.byteLength;
      let at = 0;
      while (at < end) at = this.#left > 0 ? this.#pass(chunk, at, end) : this.#prefix(chunk, at, end);
    } catch (error) {
      this.#failed = true;
      throw error;
    }
  }

  #pass(chunk: Uint8Array, at: number, end: number): number {
    const next = Math.min(end, at + this.#left);
    this.#left -= next - at;
    this.#sink.bytes(chunk.subarray(at, next));
    if (this.#left === 0) this.#sink.end();
    return next;
  }

  #prefix(chunk: Uint8Array, start: number, end: number): number {
    let at = start;
    while (at < end && this.#prefixBytes < grpcPrefixBytes) {
      this.#prefixByte(chunk[at] as number);
      at += 1;
    }
    if (this.#prefixBytes === grpcPrefixBytes) this.#begin();
    return at;
  }

  #prefixByte(byte: number): void {
    this.#prefixBytes += 1;
    if (this.#prefixBytes > 1) {
      this.#length = this.#length * 256 + byte;
      return;
    }
    // 0x80 is gRPC-Web's trailers in the body: here they would be forged ones.
    if (byte > 1) throw new GrpcError(GrpcStatus.internal, `compressed flag is ${byte}, expected 0 or 1`);
    this.#compressed = byte === 1;
    this.#length = 0;
  }

  #begin(): void {
    const length = this.#length;
    if (length > this.#maxMessageBytes) {
      const text = `message of ${length} bytes, limit ${this.#maxMessageBytes}`;
      throw new GrpcError(GrpcStatus.resourceExhausted, text);
    }
    this.#prefixBytes = 0;
    this.#left = length;
    this.#sink.begin(this.#compressed, length);
    if (length === 0) this.#sink.end();
  }
}

/** Writes the 5 bytes before a message of `length` at `at`. Returns the offset behind. */
export function writeGrpcPrefix(out: Uint8Array, at: number, compressed: boolean, length: number): number {
  out[at] = compressed ? 1 : 0;
  out[at + 1] = length >>> 24;
  out[at + 2] = length >>> 16;
  out[at + 3] = length >>> 8;
  out[at + 4] = length;
  return at + grpcPrefixBytes;
}
