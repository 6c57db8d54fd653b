import type { CallEvents, CallField, CallStream } from '../../core/ports.ts';
import { ErrorCode } from '../../wire/http2/frames.ts';
import type { Bearer } from './bearer.ts';
import { CallHandler } from './call-events.ts';
import type { Exchange } from './exchange.ts';
import { staysHere } from './field-rules.ts';
import type { HeldShare } from './held-budget.ts';
import type { LiveRequest } from './live-request.ts';
import { Outgoing } from './outgoing.ts';
import { grpcRefusal, grpcTrailers, type Refusal } from './refusal.ts';
import type { RequestHead } from './request.ts';
import type { Http2Stream } from './stream.ts';

/** What a call needs of its relay. */
export interface ClientCallHost {
  handed(call: ClientCall): void;
  over(call: ClientCall): void;
  refused(call: ClientCall, refusal: Refusal): void;
}

/**
 * A client's stream in the hands of a dialect, which answers in place of the target. Until it is started it is the
 * exchange's; that then gives it over with all that came meanwhile.
 */
export class ClientCall implements CallStream, LiveRequest {
  readonly head: RequestHead;
  readonly bearer: Bearer;
  readonly begun = true;
  readonly #exchange: Exchange;
  readonly #stream: Http2Stream;
  readonly #host: ClientCallHost;
  #handler: CallHandler | undefined;
  #heldHeadBytes = 0;
  #answering = false;
  #over = false;

  constructor(exchange: Exchange, head: RequestHead, bearer: Bearer, host: ClientCallHost) {
    this.#exchange = exchange;
    this.#stream = exchange.client;
    this.head = head;
    this.bearer = bearer;
    this.#host = host;
  }

  /** Whose memory it is that waits in this call. */
  get held(): HeldShare {
    return this.#stream.held;
  }

  start(events: CallEvents): void {
    const { early, headBytes, ended } = this.#exchange.handOver();
    this.#heldHeadBytes = headBytes;
    const handler = new CallHandler(
      events,
      () => this.#stream,
      staysHere,
      () => this.#finish(),
    );
    this.#handler = handler;
    this.#stream.handler = handler;
    this.#host.handed(this);
    this.bearer.live.add(this);
    if (early === undefined && !ended) return;
    // Behind `start`; no frame is read before, so the order is that of the wire.
    queueMicrotask(() => {
      for (const chunk of early?.take(early.byteLength) ?? []) if (!this.#over) handler.data(chunk);
      if (ended && !this.#over) handler.end();
    });
  }

  sendHeaders(fields: readonly CallField[], endStream: boolean): void {
    this.#answering = true;
    this.#stream.sendHeaders(new Outgoing(fields), endStream);
    if (endStream) this.#stream.stopPeer();
  }

  write(bytes: Uint8Array): number {
    return this.#stream.write(bytes);
  }

  end(trailers?: readonly CallField[]): void {
    this.#stream.end(trailers === undefined ? undefined : new Outgoing(trailers));
    this.#stream.stopPeer();
  }

  consume(bytes: number): void {
    this.#stream.consume(bytes);
  }

  reset(errorCode: number): void {
    this.#handler?.silence();
    this.#stream.reset(errorCode);
    this.#finish();
  }

  refuse(refusal: Refusal): void {
    if (this.#over) return;
    this.#host.refused(this, refusal);
    // Before the stream's own end is told: the dialect hears why.
    this.#handler?.silence({ code: ErrorCode.cancel, text: refusal.reason.text || refusal.title });
    if (this.#answering) this.#stream.end(grpcTrailers(refusal));
    else this.#stream.sendHeaders(grpcRefusal(refusal), true);
    this.#stream.stopPeer();
    this.#finish();
  }

  abort(code: number): void {
    if (this.#over) return;
    this.#handler?.silence({ code, text: 'the connection was closed' });
    this.#stream.reset(code);
    this.#finish();
  }

  #finish(): void {
    if (this.#over) return;
    this.#over = true;
    this.held.give(this.#heldHeadBytes);
    this.bearer.live.delete(this);
    this.#host.over(this);
  }
}
