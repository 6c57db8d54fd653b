import type { Timer } from '../../core/clock.ts';
import { OutputBuffer } from '../../core/output-buffer.ts';
import type { CloseReason } from '../../core/session.ts';
import type { HeaderBlock } from '../../wire/hpack/decoder.ts';
import { ErrorCode } from '../../wire/http2/frames.ts';
import type { Bearer } from './bearer.ts';
import type { Http2Connection } from './connection.ts';
import { staysHere, staysUpstream } from './field-rules.ts';
import type { LiveRequest } from './live-request.ts';
import { Outgoing } from './outgoing.ts';
import { grpcRefusal, grpcTrailers, problem, type Refusal, refusalOf } from './refusal.ts';
import { type RequestHead, trailersOf } from './request.ts';
import { type ResponseHead, responseOf } from './response.ts';
import { type Http2Stream, heldTooMuch, type StreamCut, type StreamHandler } from './stream.ts';
import type { Upstreams } from './upstreams.ts';

/** What an exchange needs of its relay. */
export interface ExchangeHost {
  /** A deadline of the client's own. */
  after(delayMs: number, callback: () => void): Timer;
  readonly maxInformational: number;
  /** It is over: both streams have closed. */
  over(exchange: Exchange): void;
  /** Answered by us and not by the upstream. */
  refused(exchange: Exchange, refusal: Refusal): void;
}

/** What a call's new owner has to go on with. */
interface HandedOver {
  readonly early: OutputBuffer | undefined;
  /** To be given back to the stream's share once the header list is not read any more. */
  readonly headBytes: number;
  readonly ended: boolean;
}

/**
 * One request and its response: a client's stream joined with one of the upstream's. Bytes go straight across; what
 * has to wait, waits in the stream that sends it, and the credit of the one that received it is given back then.
 *
 * ```
 *   judging ──permit──▶ opening ──a stream──▶ moving ──both ended──▶ over
 *      │ refused           │ none to be had      │ cut by either
 *      ▼                   ▼                     ▼
 *   answered (by us) ──the client has ended or is stopped──▶ over
 * ```
 */
export class Exchange implements LiveRequest {
  readonly client: Http2Stream;
  /** Undefined where the request was malformed or too large to be looked at. */
  readonly head: RequestHead | undefined;
  readonly #host: ExchangeHost;
  #state: 'judging' | 'opening' | 'moving' | 'answered' | 'over' = 'judging';
  #upstream: Http2Stream | undefined;
  #upstreams: Upstreams | undefined;
  #bearer: Bearer | undefined;
  /** The request, while there is no stream for it. */
  #outgoing: Outgoing | undefined;
  #early: OutputBuffer | undefined;
  #heldHeadBytes = 0;
  #clientEnded = false;
  #clientTrailers: Outgoing | undefined;
  #requestBytes = 0;
  #response: ResponseHead | undefined;
  #responseBytes = 0;
  #informational = 0;
  #deadline: Timer | undefined;

  /** With `endStream` the request has no body. */
  constructor(client: Http2Stream, head: RequestHead | undefined, endStream: boolean, host: ExchangeHost) {
    this.client = client;
    this.#clientEnded = endStream;
    this.head = head;
    this.#host = host;
    client.handler = new ClientSide(this);
    const timeoutMs = head?.timeoutMs;
    if (timeoutMs !== undefined && timeoutMs < maxTimerMs)
      this.#deadline = host.after(timeoutMs, () => this.#late(timeoutMs));
  }

  get over(): boolean {
    return this.#state === 'over';
  }

  get begun(): boolean {
    return this.#state !== 'judging';
  }

  /** A large header list lives as long as the request, and no window bounds it. False where it was refused for that. */
  holdHead(listBytes: number): boolean {
    if (listBytes <= freeHeadBytes) return true;
    if (this.client.held.take(listBytes)) {
      this.#heldHeadBytes = listBytes;
      return true;
    }
    const text = `the header lists of this client’s live requests: ${listBytes} B more is over its limit`;
    this.refuse({ ...refusalOf({ code: 'limit', text }), httpStatus: 431 });
    return false;
  }

  /** The policy permits it: to the first stream of `upstreams` that is free. */
  forward(upstreams: Upstreams, outgoing: Outgoing, bearer: Bearer): void {
    if (this.#state !== 'judging') return;
    this.#state = 'opening';
    this.#outgoing = outgoing;
    this.#upstreams = upstreams;
    this.#bearer = bearer;
    bearer.live.add(this);
    upstreams.acquire(this);
  }

  /** The client's stream goes to a dialect, with what came of it so far, and with what its header list holds. */
  handOver(): HandedOver {
    const early = this.#early;
    const headBytes = this.#heldHeadBytes;
    this.#early = undefined;
    this.#heldHeadBytes = 0;
    this.client.held.give(early?.byteLength ?? 0);
    this.#finish();
    // Where the end is still to be told, the stream tells it.
    return { early, headBytes, ended: this.client.peerEnded };
  }

  get principal(): string {
    return this.#bearer?.principal ?? '';
  }

  /** A connection with room (`Upstreams`). */
  opened(connection: Http2Connection): void {
    const outgoing = this.#outgoing;
    if (this.#state !== 'opening' || outgoing === undefined) return;
    const { maxListBytes } = connection.writer;
    if (outgoing.listBytes > maxListBytes) {
      const text = `the request’s header list is ${outgoing.listBytes} B, the upstream takes ${maxListBytes} B`;
      return this.refuse({ ...refusalOf({ code: 'limit', text }), httpStatus: 431 });
    }
    this.#state = 'moving';
    this.#outgoing = undefined;
    const upstream = connection.open(new UpstreamSide(this), this.client.held);
    this.#upstream = upstream;
    const bare = this.#clientEnded && this.#early === undefined && this.#clientTrailers === undefined;
    upstream.begin(outgoing, bare);
    if (!bare) this.#sendEarly(upstream);
  }

  /** Answers in the client's protocol, and ends what was begun. */
  refuse(refusal: Refusal): void {
    if (this.#state === 'answered' || this.#state === 'over') return;
    const begun = this.#response !== undefined;
    this.#leaveUpstream(ErrorCode.cancel);
    // It has its answer: what ends now is what was left of the request.
    if (this.client.closed) return this.#finish();
    this.#state = 'answered';
    this.#host.refused(this, refusal);
    this.#dropEarly();
    if (begun) this.#answerBegun(refusal);
    else this.#answer(refusal);
    if (!this.#clientEnded) this.client.stopPeer();
  }

  /** Ends both streams; the client reads only the code. */
  abort(code: number): void {
    if (this.#state === 'over') return;
    this.#leaveUpstream(ErrorCode.cancel);
    this.#finish();
    this.client.reset(code);
  }

  /** The client broke a rule of HTTP/2: a stream error. */
  fault(code: number, text: string): void {
    this.abort(code);
    this.client.blame(text);
  }

  // The client's stream.

  clientHeaders(block: HeaderBlock, endStream: boolean): void {
    if (this.#state === 'over') return;
    const trailers = endStream ? trailersOf(block, staysHere) : 'a second header section';
    if (typeof trailers === 'string') return this.fault(ErrorCode.protocolError, trailers);
    if (block.refused !== undefined) return this.fault(ErrorCode.enhanceYourCalm, block.refused);
    if (this.#state === 'answered') return;
    if (this.#lacksBytes) return this.fault(ErrorCode.protocolError, unequal);
    const outgoing = trailers.length === 0 ? undefined : new Outgoing(trailers);
    if (this.#upstream) this.#endUpstream(this.#upstream, outgoing);
    else this.#clientTrailers = outgoing;
  }

  clientData(bytes: Uint8Array, endStream: boolean): void {
    this.#requestBytes += bytes.byteLength;
    const declared = this.head?.contentLength ?? -1;
    if (declared >= 0 && !fits(declared, this.#requestBytes, endStream))
      return this.fault(ErrorCode.protocolError, unequal);
    if (this.#upstream) this.client.consume(this.#upstream.write(bytes, endStream));
    else if (this.#state === 'judging' || this.#state === 'opening') this.#keepEarly(bytes);
    // Whoever wanted it has gone.
    else this.client.consume(bytes.byteLength);
  }

  clientEnd(): void {
    this.#clientEnded = true;
    if (this.#lacksBytes && this.#state !== 'answered') return this.fault(ErrorCode.protocolError, unequal);
    this.#upstream?.end();
  }

  clientSent(bytes: number): void {
    this.#upstream?.consume(bytes, true);
  }

  clientDone(): void {
    if (this.#upstream === undefined) this.#finish();
  }

  clientCut({ code }: StreamCut): void {
    this.#leaveUpstream(code === ErrorCode.noError ? ErrorCode.cancel : code);
    this.#finish();
  }

  // The upstream's.

  upstreamHeaders(block: HeaderBlock, endStream: boolean): void {
    if (block.refused !== undefined) return this.#badResponse(`its header list: ${block.refused}`);
    if (this.#response !== undefined) return this.#upstreamTrailers(block, endStream);
    const known = block.memo as ResponseHead | Outgoing | string | undefined;
    // The same bytes may have come as trailers.
    const response = known === undefined || known instanceof Outgoing ? responseOf(block) : known;
    block.memo = response;
    if (typeof response === 'string') return this.#badResponse(response);
    if (response.informational) return this.#inform(response, endStream);
    if (endStream && response.contentLength > 0 && !this.#isBare(response))
      return this.#badResponse(`0 B of ${response.contentLength} B`);
    this.#response = response;
    this.#sendDown(response.outgoing, endStream);
  }

  upstreamData(bytes: Uint8Array, endStream: boolean): void {
    if (this.#response === undefined) return this.#badResponse('data before its header section');
    this.#responseBytes += bytes.byteLength;
    const { contentLength } = this.#response;
    if (this.#isBare(this.#response)) return this.#badResponse('a body where there is none');
    if (contentLength >= 0 && !fits(contentLength, this.#responseBytes, endStream))
      return this.#badResponse(`over its content-length of ${contentLength} B`);
    this.#upstream?.consume(this.client.write(bytes, endStream));
  }

  upstreamEnd(): void {
    if (this.#response === undefined) return;
    const { contentLength } = this.#response;
    if (contentLength > this.#responseBytes && !this.#isBare(this.#response))
      return this.#badResponse(`${this.#responseBytes} B of ${contentLength} B`);
    this.client.end();
  }

  upstreamSent(bytes: number): void {
    this.client.consume(bytes, true);
  }

  upstreamDone(): void {
    this.#upstream = undefined;
    this.#release();
    if (this.client.closed) this.#finish();
  }

  upstreamCut({ code, text }: StreamCut): void {
    this.#upstream = undefined;
    this.#release();
    if (text === '') return this.#passReset(code);
    // Nothing of it was looked at: the client may try again (RFC 9113 section 8.7).
    if (code === ErrorCode.refusedStream && this.#response === undefined) return this.abort(code);
    this.refuse(refusalOf({ code: 'unavailable', text: `upstream: ${text}` }));
  }

  // Parts.

  /** Its own RST_STREAM goes through as it is; gRPC reads its code as a status. */
  #passReset(code: number): void {
    if (code !== ErrorCode.noError) return this.abort(code);
    // In the middle of a response it says nothing, and must not be taken for its end.
    if (!this.client.ownEnded) return this.abort(ErrorCode.internalError);
    this.client.stopPeer();
    if (this.client.closed) this.#finish();
  }

  /** Whether bytes that were declared have not come. */
  get #lacksBytes(): boolean {
    return (this.head?.contentLength ?? -1) > this.#requestBytes;
  }

  /** A response that has no body, whatever its content-length says (RFC 9110 section 6.4.1). */
  #isBare({ status }: ResponseHead): boolean {
    return this.head?.method === 'HEAD' || status === 204 || status === 304;
  }

  /** Its trailers are a header list of their own, which an upstream may close a connection for. */
  #endUpstream(upstream: Http2Stream, trailers: Outgoing | undefined): void {
    const { maxPeerListBytes } = upstream;
    if (trailers === undefined || trailers.listBytes <= maxPeerListBytes) return upstream.end(trailers);
    const text = `the trailers are ${trailers.listBytes} B, the upstream takes ${maxPeerListBytes} B`;
    this.refuse({ ...refusalOf({ code: 'limit', text }), httpStatus: 431 });
  }

  /** Nothing of it is given back, so the stream's window bounds it; the sum is the share's. */
  #keepEarly(bytes: Uint8Array): void {
    if (!this.client.held.take(bytes.byteLength))
      return this.refuse(refusalOf({ code: 'limit', text: heldTooMuch }));
    this.#early ??= new OutputBuffer();
    this.#early.append(bytes);
  }

  #sendEarly(upstream: Http2Stream): void {
    const early = this.#early;
    this.#early = undefined;
    this.client.held.give(early?.byteLength ?? 0);
    const trailers = this.#clientTrailers;
    if (early) {
      const chunks = early.take(early.byteLength);
      for (const [at, chunk] of chunks.entries()) {
        const last = at === chunks.length - 1 && this.#clientEnded && trailers === undefined;
        this.client.consume(upstream.write(chunk, last));
      }
    }
    if (this.#clientEnded) this.#endUpstream(upstream, trailers);
  }

  #dropEarly(): void {
    const bytes = this.#early?.byteLength ?? 0;
    this.#early = undefined;
    this.client.held.give(bytes);
    this.client.consume(bytes);
  }

  #inform(response: ResponseHead, endStream: boolean): void {
    this.#informational += 1;
    if (endStream || this.#informational > this.#host.maxInformational)
      return this.#badResponse(
        `over ${this.#host.maxInformational} informational responses, or one that ends`,
      );
    this.#sendDown(response.outgoing, false);
  }

  #upstreamTrailers(block: HeaderBlock, endStream: boolean): void {
    const trailers = block.memo instanceof Outgoing ? block.memo : trailersOf(block, staysUpstream);
    if (!endStream || typeof trailers === 'string') return this.#badResponse('trailers that are none');
    const outgoing = trailers instanceof Outgoing ? trailers : new Outgoing(trailers);
    block.memo = outgoing;
    const { maxPeerListBytes } = this.client;
    if (outgoing.listBytes <= maxPeerListBytes) return this.client.end(outgoing);
    const text = `the trailers are ${outgoing.listBytes} B, the client takes ${maxPeerListBytes} B`;
    this.refuse(refusalOf({ code: 'limit', text }));
  }

  #sendDown(outgoing: Outgoing, endStream: boolean): void {
    const { maxPeerListBytes } = this.client;
    if (outgoing.listBytes <= maxPeerListBytes) return this.client.sendHeaders(outgoing, endStream);
    this.#response = undefined;
    const text = `the response’s header list is ${outgoing.listBytes} B, the client takes ${maxPeerListBytes} B`;
    this.refuse(refusalOf({ code: 'limit', text }));
  }

  #badResponse(what: string): void {
    this.#leaveUpstream(ErrorCode.protocolError);
    this.refuse({
      ...refusalOf({ code: 'internal', text: `the upstream’s response is malformed: ${what}` }),
      httpStatus: 502,
    });
  }

  #answer(refusal: Refusal): void {
    if (this.head?.grpc) return this.client.sendHeaders(grpcRefusal(refusal), true);
    const { headers, body } = problem(refusal);
    const bare = this.head?.method === 'HEAD';
    this.client.sendHeaders(headers, bare);
    if (!bare) this.client.write(body, true);
  }

  /** gRPC says how it ended in its trailers, whenever; HTTP can only break off. */
  #answerBegun(refusal: Refusal): void {
    if (this.head?.grpc) this.client.end(grpcTrailers(refusal));
    else this.client.reset(ErrorCode.internalError, refusal.reason.text);
  }

  #late(timeoutMs: number): void {
    const reason: CloseReason = { code: 'timeout', text: `grpc-timeout of ${timeoutMs} ms has run out` };
    this.refuse(refusalOf(reason));
  }

  #leaveUpstream(code: number): void {
    const upstream = this.#upstream;
    this.#upstream = undefined;
    const cut = upstream !== undefined && !upstream.closed;
    upstream?.reset(code);
    this.#release(cut);
  }

  #release(cut = false): void {
    const upstreams = this.#upstreams;
    this.#upstreams = undefined;
    upstreams?.release(this, cut);
  }

  #finish(): void {
    if (this.#state === 'over') return;
    this.#state = 'over';
    this.#deadline?.cancel();
    this.#dropEarly();
    this.client.held.give(this.#heldHeadBytes);
    this.#heldHeadBytes = 0;
    this.#bearer?.live.delete(this);
    this.#host.over(this);
  }
}

/** What a timer holds: 24.8 days. A longer deadline is none. */
const maxTimerMs = 0x7fffffff;

/** Header lists up to this count nothing: their number is bounded by the streams. */
const freeHeadBytes = 4_096;
const unequal = 'DATA unequal to content-length';

/** Whether so many bytes may have come of what was declared (RFC 9113 section 8.1.1). */
function fits(declared: number, bytes: number, ended: boolean): boolean {
  return ended ? bytes === declared : bytes <= declared;
}

class ClientSide implements StreamHandler {
  readonly #exchange: Exchange;

  constructor(exchange: Exchange) {
    this.#exchange = exchange;
  }

  headers(block: HeaderBlock, endStream: boolean): void {
    this.#exchange.clientHeaders(block, endStream);
  }

  data(bytes: Uint8Array, endStream: boolean): void {
    this.#exchange.clientData(bytes, endStream);
  }

  end(): void {
    this.#exchange.clientEnd();
  }

  sent(bytes: number): void {
    this.#exchange.clientSent(bytes);
  }

  done(): void {
    this.#exchange.clientDone();
  }

  cut(cut: StreamCut): void {
    this.#exchange.clientCut(cut);
  }
}

class UpstreamSide implements StreamHandler {
  readonly #exchange: Exchange;

  constructor(exchange: Exchange) {
    this.#exchange = exchange;
  }

  headers(block: HeaderBlock, endStream: boolean): void {
    this.#exchange.upstreamHeaders(block, endStream);
  }

  data(bytes: Uint8Array, endStream: boolean): void {
    this.#exchange.upstreamData(bytes, endStream);
  }

  end(): void {
    this.#exchange.upstreamEnd();
  }

  sent(bytes: number): void {
    this.#exchange.upstreamSent(bytes);
  }

  done(): void {
    this.#exchange.upstreamDone();
  }

  cut(cut: StreamCut): void {
    this.#exchange.upstreamCut(cut);
  }
}
