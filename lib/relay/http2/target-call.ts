import { LockwireError } from '../../core/errors.ts';
import type { CallEvents, CallField, CallStream } from '../../core/ports.ts';
import { ErrorCode } from '../../wire/http2/frames.ts';
import { CallHandler } from './call-events.ts';
import type { Http2Connection } from './connection.ts';
import { staysUpstream } from './field-rules.ts';
import type { HeldShare } from './held-budget.ts';
import { Outgoing } from './outgoing.ts';
import type { Refusal } from './refusal.ts';
import type { Http2Stream } from './stream.ts';
import type { Upstreams, Waiter } from './upstreams.ts';

/** A stream to the target that a dialect opens itself. Rejects with a LockwireError where none can be had. */
export function openCall(
  upstreams: Upstreams,
  principal: string,
  held: HeldShare,
  events: CallEvents,
): Promise<CallStream> {
  return new Promise((resolve, reject) => {
    upstreams.acquire(new TargetCall(upstreams, principal, held, events, resolve, reject));
  });
}

class TargetCall implements CallStream, Waiter {
  readonly principal: string;
  readonly #upstreams: Upstreams;
  readonly #held: HeldShare;
  readonly #handler: CallHandler;
  readonly #resolve: (call: CallStream) => void;
  readonly #reject: (error: Error) => void;
  #connection: Http2Connection | undefined;
  #stream: Http2Stream | undefined;
  #over = false;

  constructor(
    upstreams: Upstreams,
    principal: string,
    held: HeldShare,
    events: CallEvents,
    resolve: (call: CallStream) => void,
    reject: (error: Error) => void,
  ) {
    this.#upstreams = upstreams;
    this.principal = principal;
    this.#held = held;
    this.#resolve = resolve;
    this.#reject = reject;
    this.#handler = new CallHandler(
      events,
      () => this.#stream,
      staysUpstream,
      cut => this.#finish(cut !== undefined && cut.text !== ''),
    );
  }

  opened(connection: Http2Connection): void {
    this.#connection = connection;
    this.#resolve(this);
  }

  refuse({ reason }: Refusal): void {
    const code = reason.code === 'limit' || reason.code === 'timeout' ? reason.code : 'unavailable';
    this.#reject(new LockwireError(code, reason.text));
  }

  /** Its events were attached when it was asked for. */
  start(): void {}

  /** The stream begins with its header section: ids must rise in the order in which they are used (RFC 9113 section 5.1.1). */
  sendHeaders(fields: readonly CallField[], endStream: boolean): void {
    const connection = this.#connection;
    if (this.#over || this.#stream !== undefined || connection === undefined) return;
    if (!connection.usable)
      return this.#refused(ErrorCode.refusedStream, 'the connection to the target is gone');
    const outgoing = new Outgoing(fields);
    const { maxListBytes } = connection.writer;
    if (outgoing.listBytes > maxListBytes) {
      const text = `the request’s header list is ${outgoing.listBytes} B, the target takes ${maxListBytes} B`;
      return this.#refused(ErrorCode.enhanceYourCalm, text);
    }
    this.#stream = connection.open(this.#handler, this.#held);
    this.#stream.begin(outgoing, endStream);
  }

  write(bytes: Uint8Array): number {
    return this.#stream?.write(bytes) ?? 0;
  }

  end(trailers?: readonly CallField[]): void {
    this.#stream?.end(trailers === undefined ? undefined : new Outgoing(trailers));
  }

  consume(bytes: number): void {
    this.#stream?.consume(bytes);
  }

  reset(errorCode: number): void {
    if (this.#over) return;
    this.#handler.silence();
    this.#stream?.reset(errorCode);
    this.#finish(true);
  }

  /** Never from inside the call that asked. */
  #refused(code: number, text: string): void {
    queueMicrotask(() => this.#handler.cut({ code, text }));
  }

  #finish(cut: boolean): void {
    if (this.#over) return;
    this.#over = true;
    this.#upstreams.release(this, cut);
  }
}
