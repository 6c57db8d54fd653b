import { copyBelowBytes } from '../../core/bytes.ts';
import type { CallStream } from '../../core/ports.ts';
import { grpcPrefixBytes, writeGrpcPrefix } from '../../wire/grpc/envelope.ts';
import { lengthOf, type Pieces } from './messages.ts';

/**
 * Writes messages to a stream and knows how much of them it has not taken. Answers of our own are counted apart: they
 * must slow whoever causes them, for nobody else's credit stands for them.
 */
export class StreamWriter {
  readonly #stream: CallStream;
  #unsentBytes = 0;
  #unsentAnswerBytes = 0;

  constructor(stream: CallStream) {
    this.#stream = stream;
  }

  get unsentBytes(): number {
    return this.#unsentBytes;
  }

  /** An upper bound: what is sent is counted against the others first. */
  get unsentAnswerBytes(): number {
    return this.#unsentAnswerBytes;
  }

  message(pieces: Pieces): void {
    const length = lengthOf(pieces);
    const joined = length < copyBelowBytes;
    const prefix = Buffer.allocUnsafe(joined ? grpcPrefixBytes + length : grpcPrefixBytes);
    let at = writeGrpcPrefix(prefix, 0, false, length);
    if (joined)
      for (const piece of pieces) {
        prefix.set(piece, at);
        at += piece.byteLength;
      }
    let sent = this.#stream.write(prefix);
    if (!joined) for (const piece of pieces) sent += this.#stream.write(piece);
    this.#unsentBytes += grpcPrefixBytes + length - sent;
  }

  answer(pieces: Pieces): void {
    this.message(pieces);
    const most = this.#unsentAnswerBytes + grpcPrefixBytes + lengthOf(pieces);
    this.#unsentAnswerBytes = Math.min(most, this.#unsentBytes);
  }

  sent(bytes: number): void {
    this.#unsentBytes = Math.max(0, this.#unsentBytes - bytes);
    this.#unsentAnswerBytes = Math.min(this.#unsentAnswerBytes, this.#unsentBytes);
  }
}

/** Credit of a stream that is not given back yet. */
export class Debt {
  readonly #stream: CallStream;
  #bytes = 0;

  constructor(stream: CallStream) {
    this.#stream = stream;
  }

  received(bytes: number): void {
    this.#bytes += bytes;
  }

  /** Gives back what is more than `keep`: the bytes that still lie with us because of it. */
  settle(keep: number): void {
    const back = this.#bytes - keep;
    if (back <= 0) return;
    this.#bytes -= back;
    this.#stream.consume(back);
  }
}
