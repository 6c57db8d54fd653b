import type { Timer } from '../../core/clock.ts';
import { messageOf } from '../../core/errors.ts';
import type { AcceptedCall, CallEvents, CallField } from '../../core/ports.ts';
import { GrpcError } from '../../wire/grpc/errors.ts';
import { GrpcStatus } from '../../wire/grpc/status.ts';
import { stopLater } from './drain.ts';
import { endWith, responseHeaders, type Status, trailers } from './grpc-answer.ts';
import { MessageReader } from './message-reader.ts';
import type { AutogenPorts, BufferShare } from './options.ts';
import { noRoomText, tooLongText } from './size-texts.ts';
import { StreamWriter } from './stream-writer.ts';

export interface Answer {
  readonly status: Status;
  /** Where the status is OK. */
  readonly message?: Uint8Array;
}

export interface UnaryOptions {
  readonly maxMessageBytes: number;
  readonly timeoutMs: number;
  /** Answers the one message of the request, as long as somebody waits for that. A rejection is a bug of ours. */
  handle(message: Uint8Array, wanted: () => boolean): Promise<Answer>;
  /** The last word: answered or gone, and nothing is done for it any more. */
  over(): void;
}

/** Messages up to this count nothing, as all are that AutoGen makes: their number is bounded by the streams. */
const freeMessageBytes = 4_096;

/** One unary call of a client's: a message, an answer, a deadline. */
export class UnaryCall implements CallEvents {
  readonly #call: AcceptedCall;
  readonly #ports: AutogenPorts;
  readonly #options: UnaryOptions;
  readonly #share: BufferShare;
  readonly #reader: MessageReader;
  #message: Uint8Array | undefined;
  /** What the message takes of the share. */
  #messageBytes = 0;
  /** It goes on where its client does not wait for it: what it changes is still to be known. */
  #handling = false;
  #clientEnded = false;
  #over = false;
  #timer: Timer | undefined;

  constructor(call: AcceptedCall, principal: string, ports: AutogenPorts, options: UnaryOptions) {
    this.#call = call;
    this.#ports = ports;
    this.#options = options;
    this.#share = ports.buffers.share(principal);
    this.#reader = new MessageReader(options.maxMessageBytes, 0, this.#share, {
      message: bytes => this.#take(bytes),
      skipped: (_head, { length, limit }) => {
        const text = limit === undefined ? noRoomText(length) : tooLongText(length, limit);
        this.#finish({ status: { code: GrpcStatus.resourceExhausted, text } });
      },
    });
  }

  start(): void {
    const { timeoutMs } = this.#options;
    this.#timer = this.#ports.clock.after(timeoutMs, () =>
      this.#finish({
        status: { code: GrpcStatus.deadlineExceeded, text: `not answered within ${timeoutMs} ms` },
      }),
    );
    this.#call.stream.start(this);
  }

  headers(_fields: readonly CallField[], _endStream: boolean): void {}

  data(bytes: Uint8Array): void {
    this.#call.stream.consume(bytes.byteLength);
    if (this.#over) return;
    try {
      this.#reader.push(bytes);
    } catch (error) {
      const code = error instanceof GrpcError ? error.status : GrpcStatus.internal;
      this.#finish({ status: { code, text: messageOf(error) } });
    }
  }

  end(): void {
    this.#clientEnded = true;
    if (this.#over) return;
    const message = this.#message;
    if (message === undefined || !this.#reader.atBoundary)
      return this.#finish({
        status: { code: GrpcStatus.internal, text: 'a unary call without exactly one whole message' },
      });
    void this.#handle(message);
  }

  sent(_bytes: number): void {}

  closed(_cut: { readonly code: number; readonly text: string } | undefined): void {
    this.#clientEnded = true;
    this.#release();
  }

  #take(bytes: Uint8Array): void {
    if (this.#message)
      return this.#finish({ status: { code: GrpcStatus.internal, text: 'a unary call with two messages' } });
    // Its credit has gone back, so only the budget bounds how many of them wait.
    const counted = bytes.byteLength > freeMessageBytes ? bytes.byteLength : 0;
    if (counted > 0 && !this.#share.take(counted))
      return this.#finish({
        status: { code: GrpcStatus.resourceExhausted, text: noRoomText(bytes.byteLength) },
      });
    this.#messageBytes = counted;
    this.#message = Uint8Array.from(bytes);
  }

  async #handle(message: Uint8Array): Promise<void> {
    this.#handling = true;
    try {
      this.#finish(await this.#options.handle(message, () => !this.#over));
    } catch (error) {
      this.#ports.log.error(
        { error: messageOf(error) },
        'internal error: a unary call could not be answered',
      );
      this.#finish({ status: { code: GrpcStatus.internal, text: 'internal error' } });
    } finally {
      this.#handling = false;
      this.#leave();
    }
  }

  #finish({ status, message }: Answer): void {
    if (this.#over) return;
    this.#release();
    const { stream } = this.#call;
    if (status.code === GrpcStatus.ok && message) {
      stream.sendHeaders(responseHeaders(), false);
      new StreamWriter(stream).message([message]);
      stream.end(trailers(status));
    } else endWith(stream, status, false);
    if (!this.#clientEnded) stopLater(stream, this.#ports.clock, () => this.#clientEnded);
  }

  #release(): void {
    if (this.#over) return;
    this.#over = true;
    this.#timer?.cancel();
    this.#reader.close();
    this.#leave();
  }

  #leave(): void {
    if (!this.#over || this.#handling) return;
    this.#message = undefined;
    this.#share.give(this.#messageBytes);
    this.#share.leave();
    this.#options.over();
  }
}
