import type { Timer } from '../../core/clock.ts';
import type { ByteStream, Counter } from '../../core/ports.ts';
import type { CloseReason } from '../../core/session.ts';
import type { HeaderBlock } from '../../wire/hpack/decoder.ts';
import { type Field, fieldBytes } from '../../wire/hpack/fields.ts';
import { ErrorCode } from '../../wire/http2/frames.ts';
import type { Bearer } from './bearer.ts';
import { ClientCall, type ClientCallHost } from './client-call.ts';
import { type ConnectionPorts, Http2Connection } from './connection.ts';
import { Exchange, type ExchangeHost } from './exchange.ts';
import type { LiveRequest } from './live-request.ts';
import { Outgoing } from './outgoing.ts';
import { type Refusal, refusalOf, refusalWith } from './refusal.ts';
import { type RequestHead, requestOf } from './request.ts';
import type { Http2Stream } from './stream.ts';
import type { Upstreams } from './upstreams.ts';

/** Where a permitted request goes, and in whose name. */
export interface Forward {
  readonly kind: 'forward';
  readonly upstreams: Upstreams;
  /** `:scheme` on the upstream's connection. */
  readonly scheme: 'http' | 'https';
  /** `:authority` there; undefined for the client's own. */
  readonly authority: string | undefined;
  readonly bearer: Bearer;
  /** A dialect that may take the call over: true where it did. */
  readonly take?: (call: ClientCall) => boolean;
  readonly counter: Counter;
  /** Wall time after which it must be judged anew. */
  readonly expiresAtMs: number;
}

export type Verdict = Forward | { readonly kind: 'refuse'; readonly refusal: Refusal };

export interface ClientRelayPorts extends ConnectionPorts {
  /** Who, where, and whether: at once, or after a look at a credential. Never throws or rejects. */
  judge(head: RequestHead): Verdict | Promise<Verdict>;
  /** Rises whenever a verdict given before may not hold any more. */
  generation(): number;
  /** Its first permitted request is still to come (`trust`): until then it has no more than HTTP/2's first window. */
  readonly untrusted?: boolean;
  onRefused(head: RequestHead | undefined, refusal: Refusal): void;
  /** The last call, exactly once. */
  onClosed(ended: ClientRelayEnd): void;
}

export interface ClientRelayEnd {
  readonly reason: CloseReason;
  readonly requests: number;
  /** Bytes from the client, and to it. */
  readonly bytesUp: number;
  readonly bytesDown: number;
}

/** What was worked out about a header block: good as long as its HeaderBlock is, and for a verdict while nothing changed. */
interface RequestMemo {
  readonly head: RequestHead | string;
  readonly listBytes: number;
  verdict: Forward | undefined;
  outgoing: Outgoing | undefined;
  generation: number;
}

/**
 * A client's HTTP/2 connection, request by request: each is judged, and then goes to an upstream or is answered here.
 * The connection outlives what is refused.
 */
export class ClientRelay implements ExchangeHost {
  readonly connection: Http2Connection;
  readonly maxInformational: number;
  readonly #ports: ClientRelayPorts;
  readonly #live = new Set<LiveRequest>();
  readonly #calls: ClientCallHost = {
    handed: call => void this.#live.add(call),
    over: call => void this.#live.delete(call),
    refused: (call, refusal) => this.#ports.onRefused(call.head, refusal),
  };
  #requests = 0;

  constructor(stream: ByteStream, ports: ClientRelayPorts) {
    this.#ports = ports;
    this.maxInformational = ports.limits.maxInformational;
    const owner = {
      request: (request: Http2Stream, block: HeaderBlock, endStream: boolean) =>
        this.#request(request, block, endStream),
      changed() {},
      closed: (reason: CloseReason) => this.#closed(reason),
    };
    this.connection = new Http2Connection('server', stream, owner, ports);
  }

  get requests(): number {
    return this.#requests;
  }

  get liveCount(): number {
    return this.#live.size;
  }

  start(): void {
    this.connection.start();
    if (!this.#ports.untrusted) this.connection.widen();
  }

  /** A request was permitted. Idempotent. */
  trust(): void {
    this.connection.widen();
  }

  /** No new requests; those that live run on. */
  drain(text: string): void {
    this.connection.goAway(text);
  }

  /** Ends each request in its own protocol, then the connection. */
  close(reason: CloseReason): void {
    const refusal = refusalOf(reason);
    for (const exchange of [...this.#live]) exchange.refuse(refusal);
    this.connection.close(reason);
  }

  /** The rules have changed: what lives is judged by them, and ended where they forbid it. */
  judgeAnew(): void {
    for (const exchange of [...this.#live]) {
      if (!exchange.begun || exchange.head === undefined) continue;
      const verdict = this.#ports.judge(exchange.head);
      if (verdict instanceof Promise) void verdict.then(later => endIfRefused(exchange, later));
      else endIfRefused(exchange, verdict);
    }
  }

  // ExchangeHost.

  after(delayMs: number, callback: () => void): Timer {
    return this.#ports.clock.after(delayMs, callback);
  }

  over(exchange: Exchange): void {
    this.#live.delete(exchange);
  }

  refused(exchange: Exchange, refusal: Refusal): void {
    this.#ports.onRefused(exchange.head, refusal);
  }

  // Parts.

  #request(stream: Http2Stream, block: HeaderBlock, endStream: boolean): void {
    this.#requests += 1;
    const memo = memoOf(block);
    const { head } = memo;
    const exchange = new Exchange(stream, typeof head === 'string' ? undefined : head, endStream, this);
    this.#live.add(exchange);
    if (block.refused !== undefined)
      return exchange.refuse(refusalWith(431, { code: 'limit', text: `the header list: ${block.refused}` }));
    // RFC 9113 section 8.1.1: malformed, so a stream error and no answer.
    if (typeof head === 'string') return exchange.fault(ErrorCode.protocolError, head);
    if (endStream && head.contentLength > 0)
      return exchange.fault(ErrorCode.protocolError, 'no DATA, and a content-length');
    // An upstream that is asked and cancelled at once is what a rapid reset does, too.
    if (head.timeoutMs !== undefined && head.timeoutMs < 1)
      return exchange.refuse(refusalOf({ code: 'timeout', text: 'grpc-timeout of less than 1 ms' }));
    if (!exchange.holdHead(memo.listBytes)) return;
    const kept = this.#keptVerdict(memo);
    if (kept) this.#forward(exchange, memo, head, kept);
    else this.#judge(exchange, memo, head);
  }

  #judge(exchange: Exchange, memo: RequestMemo, head: RequestHead): void {
    const generation = this.#ports.generation();
    const verdict = this.#ports.judge(head);
    if (!(verdict instanceof Promise)) return this.#obey(exchange, memo, head, verdict, generation);
    void verdict.then(later => {
      if (exchange.over) return;
      // It was made by rules that have changed since.
      if (generation !== this.#ports.generation()) return this.#judge(exchange, memo, head);
      this.#obey(exchange, memo, head, later, generation);
    });
  }

  #keptVerdict(memo: RequestMemo): Forward | undefined {
    const { verdict } = memo;
    if (verdict === undefined || memo.generation !== this.#ports.generation()) return undefined;
    return verdict.expiresAtMs > this.#ports.clock.now() ? verdict : undefined;
  }

  #obey(
    exchange: Exchange,
    memo: RequestMemo,
    head: RequestHead,
    verdict: Verdict,
    generation: number,
  ): void {
    if (verdict.kind === 'refuse') return exchange.refuse(verdict.refusal);
    if (memo.verdict?.authority !== verdict.authority || memo.verdict?.scheme !== verdict.scheme)
      memo.outgoing = undefined;
    memo.verdict = verdict;
    memo.generation = generation;
    this.#forward(exchange, memo, head, verdict);
  }

  #forward(exchange: Exchange, memo: RequestMemo, head: RequestHead, to: Forward): void {
    to.counter.add();
    if (to.take?.(new ClientCall(exchange, head, to.bearer, this.#calls))) return;
    exchange.forward(to.upstreams, outgoingOf(memo, head, to), to.bearer);
  }

  #closed(reason: CloseReason): void {
    const { connection } = this;
    // Those whose client has its answer, and whose upstream never took the rest of the request.
    for (const exchange of [...this.#live]) exchange.abort(ErrorCode.cancel);
    this.#ports.onClosed({
      reason,
      requests: this.#requests,
      bytesUp: connection.bytesIn,
      bytesDown: connection.bytesOut,
    });
  }
}

function memoOf(block: HeaderBlock): RequestMemo {
  const known = block.memo as RequestMemo | undefined;
  if (known !== undefined) return known;
  const head = block.refused === undefined ? requestOf(block) : '';
  let listBytes = 0;
  for (const field of block.fields) listBytes += fieldBytes(field);
  const memo: RequestMemo = { head, listBytes, verdict: undefined, outgoing: undefined, generation: -1 };
  block.memo = memo;
  return memo;
}

/** What goes upstream, with pseudo-headers first (RFC 9113 section 8.3). */
function outgoingOf(memo: RequestMemo, head: RequestHead, { scheme, authority }: Forward): Outgoing {
  if (memo.outgoing !== undefined) return memo.outgoing;
  const { method, path, fields } = head;
  memo.outgoing = new Outgoing([
    pseudo(':method', method),
    pseudo(':scheme', scheme),
    pseudo(':path', path),
    pseudo(':authority', authority ?? head.authority),
    ...fields,
  ]);
  return memo.outgoing;
}

function pseudo(name: string, value: string): Field {
  return { name, value, sensitive: false };
}

function endIfRefused(exchange: LiveRequest, verdict: Verdict): void {
  if (verdict.kind === 'refuse') exchange.refuse(verdict.refusal);
}
