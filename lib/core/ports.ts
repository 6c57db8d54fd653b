/**
 * What rooms need of each other, as small interfaces: the wiring files hand them in. A room implements a port or
 * takes one; it never imports the room on the other side.
 */
import type { Accepted, CloseReason, Identity, Principal } from './session.ts';

/**
 * One connection as raw bytes: a TLS socket, a unix socket, a test's pipe.
 * The owner keeps one write in flight and pauses reading to push back.
 */
export interface Carrier {
  /** Attaches the one owner; nothing is delivered before. Called once. */
  start(events: CarrierEvents): void;
  /**
   * Writes chunks in order. They must not change until `done`, which is called once they have left this process, or
   * never if the carrier closes first. Calling again before `done` is a bug.
   */
  write(chunks: readonly Uint8Array[], done: () => void): void;
  /** Half-closes: FIN (for TLS, close_notify and FIN) after the writes before it. */
  end(): void;
  /** Ends both directions at once; with `abort`, as a reset where the transport has one. `closed` still follows. */
  destroy(abort?: boolean): void;
  pause(): void;
  resume(): void;
}

export interface CarrierEvents {
  /** Bytes in order. The chunk is the receiver's to keep; it may be a view of a larger buffer. */
  data(chunk: Uint8Array): void;
  /** The peer half-closed; writing is still possible. */
  end(): void;
  /** The last event, exactly once. `error` is set where the end was not orderly. */
  closed(error: Error | undefined): void;
}

/**
 * One stream of a session under credit: what relays move bytes between. At most its window of bytes is delivered and
 * not yet given back by `consume`, so whoever holds them is bounded by it.
 */
export interface ByteStream {
  /** Attaches the one reader; bytes that came earlier are delivered at once, in order. Called once. */
  start(events: StreamEvents): void;
  /** Queues bytes; the caller keeps what is not yet `flushed` under the credit of their source. Fewer than `copyBelowBytes` are copied before this returns. */
  write(chunk: Uint8Array): void;
  /** True where `write` copies all that it is given; else it keeps chunks of `copyBelowBytes` and more by reference. */
  readonly copiesWrites?: boolean;
  /** Half-closes after the bytes before it. Idempotent. */
  end(): void;
  /** Ends both directions at once and tells the peer why. Idempotent; `closed` still follows if it has not yet. */
  reset(reason: CloseReason): void;
  /** Gives back credit for bytes that were written onward. */
  consume(bytes: number): void;
}

export interface StreamEvents {
  /** Bytes in order; the chunk is the receiver's to keep. */
  data(chunk: Uint8Array): void;
  /** The peer half-closed. */
  end(): void;
  /** So many of the bytes given to `write` have left this process. */
  flushed(bytes: number): void;
  /** The last event, exactly once. */
  closed(reason: CloseReason): void;
}

/** A connection that a listener accepted and whose TLS handshake is done. */
export interface AcceptedConnection {
  readonly facts: Accepted;
  readonly carrier: Carrier;
  /** Which of the listener's routes server name and ALPN chose. */
  readonly route: Route;
  /** The client's certificate chain as DER, leaf first; empty where it sent none. Verified against the listener's CAs. */
  readonly certificates: readonly Uint8Array[];
  /** 32 bytes bound to this TLS connection (RFC 8446 section 7.5), label `EXPORTER-lockwire-v1`. */
  exporter(): Uint8Array;
  /** Identity is settled: the connection no longer counts as unfinished and its deadline is lifted. Idempotent. */
  permitted(): void;
  /** A credential was refused: counts against the source address. */
  failed(): void;
}

export type Route =
  | { readonly kind: 'tunnel' }
  | { readonly kind: 'tcp'; readonly target: string }
  /** HTTP/2 (ALPN `h2`): each request says where it goes, and who it is from. */
  | { readonly kind: 'http2' };

/** A connection that this process made to a TLS server, verified. */
export interface DialledConnection {
  readonly carrier: Carrier;
  readonly facts: TlsFacts;
  exporter(): Uint8Array;
}

/** What this end could see of a TLS connection; what it could not see is absent. */
export interface TlsFacts {
  /** `TLSv1.3` or `TLSv1.2`. */
  readonly version: string;
  readonly cipher: string;
  /** Key-exchange group; only the dialling end can know it. */
  readonly group?: string;
  readonly serverName?: string;
  readonly alpn?: string;
  /** True where an earlier session was resumed. */
  readonly resumed: boolean;
  /** SHA-256 of the peer's leaf certificate, hex; absent where it sent none. */
  readonly peerCertificateSha256?: string;
  /** Common name of the issuer of the peer's leaf, as text for people. */
  readonly peerIssuer?: string;
}

/** What the presenter of a token proved beside it; `cnf` is checked against these (RFC 7800, RFC 8705). */
export interface Presented {
  /** DER of the client certificate of the same connection. */
  readonly certificate?: Uint8Array;
  /** 32-byte Ed25519 public key that signed the same connection's exporter. */
  readonly instanceKey?: Uint8Array;
}

/** Turns credentials into identities. Every refusal is a LockwireError `unauthenticated` that names no secret. */
export interface Authenticator {
  token(token: string, presented: Presented): Promise<Identity>;
  /** `chain` is DER, leaf first, already verified against the listener's CAs by TLS. */
  certificate(chain: readonly Uint8Array[]): Identity;
}

export type Action = 'connect' | 'expose' | 'call' | 'message' | 'admin';

export interface AccessRequest {
  readonly principal: Principal;
  readonly action: Action;
  /** The id of what a target holds is `target/name`: whatever the name is, the target ends at the first slash. */
  readonly resource: {
    readonly type: 'Target' | 'AgentType' | 'TopicType' | 'Admin';
    readonly id: string;
  };
  /** Facts for the policy; no volatile ones, so that the decision can be cached. */
  readonly context: Readonly<Record<string, string | boolean | number>>;
}

export interface Decision {
  readonly allow: boolean;
  /** Random, short, unguessable enough to quote: `lockwire explain ID` finds it. Empty for a permit. */
  readonly id: string;
  /** The id of the rule that decided; `default-deny` where none did. */
  readonly rule: string;
}

/** Decides by policy: deny by default, never throws. */
export interface Authorizer {
  decide(request: AccessRequest): Decision;
  /** Rises with each change of the policies: a verdict kept beside anything is good for the generation it was made in. */
  readonly generation: number;
}

/** Structured log; values are escaped and length-capped by the implementation, and never hold a secret. */
export interface Log {
  debug(fields: LogFields, message: string): void;
  info(fields: LogFields, message: string): void;
  warn(fields: LogFields, message: string): void;
  error(fields: LogFields, message: string): void;
  /** A log that adds these fields to each line. */
  child(fields: LogFields): Log;
}

export type LogFields = Readonly<Record<string, unknown>>;

export const silentLog: Log = {
  debug() {},
  info() {},
  warn() {},
  error() {},
  child: () => silentLog,
};

/** Counters and gauges. Names are `lockwire_…`; label values are configured names or closed sets, never a peer's text. */
export interface Metrics {
  counter(name: string, help: string): Counter;
  /** A counter by one or more labels; asking twice with the same values gives the same counter. */
  counters(name: string, help: string, labels: readonly string[]): (...values: string[]) => Counter;
  /** Read when scraped. */
  gauge(name: string, help: string, read: () => number): void;
}

export interface Counter {
  add(amount?: number): void;
}

const noCounter: Counter = { add() {} };

export const noMetrics: Metrics = {
  counter: () => noCounter,
  counters: () => () => noCounter,
  gauge() {},
};

/** An Ed25519 key that names one running process to its peers. */
export interface InstanceKey {
  /** 32 bytes, raw (RFC 8032). */
  readonly publicKey: Uint8Array;
  /** 64 bytes. */
  sign(message: Uint8Array): Uint8Array;
}

/** A header field of a call, as HTTP/2 carries it: a lower-case name and a latin1 value. */
export interface CallField {
  readonly name: string;
  readonly value: string;
  /** Never to be indexed by anyone on the way. */
  readonly sensitive: boolean;
}

/**
 * One HTTP/2 stream with a gRPC call on it, as a dialect sees it: a client's, which it answers, or one that it opened
 * to the target. Bytes are under credit as in `ByteStream`: at most a window is delivered and not given back.
 */
export interface CallStream {
  /** Attaches the one reader, before anything else. No event comes from inside it. */
  start(events: CallEvents): void;
  /** The response's header section, or the request's; with `endStream` there is nothing behind it. */
  sendHeaders(fields: readonly CallField[], endStream: boolean): void;
  /** Returns how many of the bytes went out at once; the others are kept, and `sent` tells of them. */
  write(bytes: Uint8Array): number;
  /** Ends our side behind what was written, with trailers or without. */
  end(trailers?: readonly CallField[]): void;
  /** Gives credit back for bytes that were delivered. */
  consume(bytes: number): void;
  /** Ends both sides at once: an error code of RFC 9113 section 7. `closed` does not follow. Idempotent. */
  reset(errorCode: number): void;
}

export interface CallEvents {
  /** A header section of the peer's: the response's, then trailers (with `endStream`; `end` follows). */
  headers(fields: readonly CallField[], endStream: boolean): void;
  /** A view, good during the call only. */
  data(bytes: Uint8Array): void;
  /** The peer's side has ended. */
  end(): void;
  sent(bytes: number): void;
  /** The last event: both sides have ended, or else how it was cut; `text` is '' for the peer's own RST_STREAM. */
  closed(cut: { readonly code: number; readonly text: string } | undefined): void;
}

/** A permitted call whose messages a dialect may decide about. */
export interface AcceptedCall {
  /** `:path`, such as `/agents.AgentRpc/OpenChannel`. */
  readonly path: string;
  /** Without pseudo-headers and without what is the gateway's own (credentials, `x-lockwire-*`). */
  readonly fields: readonly CallField[];
  readonly stream: CallStream;
  /** Now: a renewal may change groups. */
  principal(): Principal;
  /** The tunnel session, or the direct client by its credential. */
  readonly session: string;
  /** Rises whenever what `decide` said before may not hold any more. */
  generation(): number;
  /** Policy `message`, on a resource of the target's. */
  decide(
    resource: { readonly type: 'AgentType' | 'TopicType' | 'Target'; readonly id: string },
    context: Readonly<Record<string, string | boolean | number>>,
  ): Decision;
  /** One safe line for the person at the other end. */
  notice(reason: CloseReason): void;
}

/** What a dialect asks for a stream to its target. */
export interface CallTarget {
  /** `:scheme` and `:authority` of a request to it; the client's own authority where the target has none. */
  address(call: AcceptedCall): { readonly scheme: 'http' | 'https'; readonly authority: string };
  /**
   * A stream on a connection to the target for this call's client; the dialect then sends the headers, pseudo-headers
   * first. Throws LockwireError where the target can't be reached.
   */
  open(call: AcceptedCall, events: CallEvents): Promise<CallStream>;
}

/** Reads and repairs the messages of one target's protocol. */
export interface Dialect {
  /** Takes the call over: from here on its stream is the dialect's. False where it is to be passed on as it is. */
  take(call: AcceptedCall): boolean;
  /** The rules have changed: what lives is decided anew. */
  judgeAnew(): void;
  /** For `lockwire sessions`: plain data, configured names and the peer's own words made safe. */
  describe(): unknown;
  close(reason: CloseReason): void;
}
