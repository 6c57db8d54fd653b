import { messageOf } from '../../core/errors.ts';
import type { AcceptedCall, CallEvents, CallField, CallStream, CallTarget } from '../../core/ports.ts';
import { GrpcError } from '../../wire/grpc/errors.ts';
import { GrpcStatus } from '../../wire/grpc/status.ts';
import { ErrorCode } from '../../wire/http2/frames.ts';
import { type Status, statusOf } from './grpc-answer.ts';
import { hostHeaders } from './host-address.ts';
import { MessageReader, type MessageSink } from './message-reader.ts';
import type { Pieces } from './messages.ts';
import type { BufferShare } from './options.ts';
import { Debt, StreamWriter } from './stream-writer.ts';

export interface LegHandler extends MessageSink {
  /** The host has answered something. */
  alive(): void;
  /** Bytes came and were handed on; their credit is to be settled. */
  arrived(): void;
  /** It took more of what was written. */
  took(): void;
  /** It is gone; said once, and not after `close`. */
  lost(status: Status): void;
}

export interface LegPorts {
  readonly buffers: BufferShare;
  readonly maxMessageBytes: number;
  /** What may be longer as it comes. */
  readonly slackBytes: number;
}

/** The host's side of a client's OpenChannel: one stream, known to the host by an id of its own. */
export class HostLeg implements CallEvents {
  readonly hostId: string;
  readonly #handler: LegHandler;
  readonly #reader: MessageReader;
  #wire: { readonly stream: CallStream; readonly writer: StreamWriter; readonly debt: Debt } | undefined;
  #status: Status | undefined;
  #gone = false;
  /** What is written behind the end is never taken: it would wait for good, and keep the host's credit. */
  #ended = false;

  constructor(hostId: string, { buffers, maxMessageBytes, slackBytes }: LegPorts, handler: LegHandler) {
    this.hostId = hostId;
    this.#handler = handler;
    this.#reader = new MessageReader(maxMessageBytes, slackBytes, buffers, handler);
  }

  get gone(): boolean {
    return this.#gone;
  }

  get unsentBytes(): number {
    return this.#wire?.writer.unsentBytes ?? 0;
  }

  get unsentAnswerBytes(): number {
    return this.#wire?.writer.unsentAnswerBytes ?? 0;
  }

  /** Throws LockwireError where the target can't be reached. */
  async open(target: CallTarget, call: AcceptedCall): Promise<void> {
    const stream = await target.open(call, this);
    if (this.#gone) return stream.reset(ErrorCode.cancel);
    this.#wire = { stream, writer: new StreamWriter(stream), debt: new Debt(stream) };
    stream.sendHeaders(hostHeaders(target, call, 'OpenChannel', this.hostId), false);
  }

  write(pieces: Pieces): void {
    if (!this.#ended) this.#wire?.writer.message(pieces);
  }

  /** An answer of ours to the host, for one of its requests. */
  answer(pieces: Pieces): void {
    if (!this.#ended) this.#wire?.writer.answer(pieces);
  }

  /** The client sends no more. */
  endWriting(): void {
    this.#ended = true;
    this.#wire?.stream.end();
  }

  settle(keepBytes: number): void {
    this.#wire?.debt.settle(keepBytes);
  }

  close(): void {
    if (this.#gone) return;
    this.#gone = true;
    this.#reader.close();
    this.#wire?.stream.reset(ErrorCode.cancel);
  }

  headers(fields: readonly CallField[], _endStream: boolean): void {
    if (this.#gone) return;
    this.#status = statusOf(fields) ?? this.#status;
    // A refusal is no sign of life: it may be a proxy's.
    if (this.#status === undefined) this.#handler.alive();
  }

  data(bytes: Uint8Array): void {
    if (this.#gone) return;
    this.#wire?.debt.received(bytes.byteLength);
    try {
      this.#reader.push(bytes);
    } catch (error) {
      return this.#fault(error);
    }
    if (!this.#gone) this.#handler.arrived();
  }

  sent(bytes: number): void {
    if (this.#gone) return;
    this.#wire?.writer.sent(bytes);
    this.#handler.took();
  }

  end(): void {
    this.#lose(this.#status ?? { code: GrpcStatus.unavailable, text: 'the host ended the channel' });
    // Both sides end: nobody reads what we would still send.
    this.#wire?.stream.reset(ErrorCode.cancel);
  }

  closed(cut: { readonly code: number; readonly text: string } | undefined): void {
    const text = cut?.text || 'the host broke the channel off';
    this.#lose(this.#status ?? { code: GrpcStatus.unavailable, text });
  }

  #fault(error: unknown): void {
    const code = error instanceof GrpcError ? error.status : GrpcStatus.internal;
    this.#lose({ code, text: `the host’s messages: ${messageOf(error)}` });
    this.#wire?.stream.reset(ErrorCode.cancel);
  }

  #lose(status: Status): void {
    if (this.#gone) return;
    this.#gone = true;
    this.#reader.close();
    this.#handler.lost(status);
  }
}
