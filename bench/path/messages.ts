// What the harness and its two helpers (the load and the backend, each a process) say to each other.

/** One measurement, as the load is asked for it. */
export interface LoadOrder {
  readonly kind: LoadKind;
  readonly port: number;
  readonly tls?: {
    readonly ca: string;
    /** The clients', one connection after the other; where absent, none shows a certificate. */
    readonly clients?: readonly { readonly cert: string; readonly key: string }[];
    readonly serverName: string;
  };
  /** Round trips, calls, messages, bytes, handshakes or connections, by kind. */
  readonly amount: number;
  /** The same before anything is counted. */
  readonly warmUp: number;
  /** Round trips, calls and handshakes stop after so long, on a machine that is too busy for the amount; warming up too. */
  readonly limitMs: number;
  /** Connections that are used side by side, or made side by side; one where absent. */
  readonly connections?: number;
  /** HTTP/2: calls, messages or streams at a time on each connection; one where absent. */
  readonly depth?: number;
  /** HTTP/2: bytes of a message. */
  readonly messageBytes?: number;
  /** HTTP/2 calls: so many different paths, one after the other. */
  readonly paths?: number;
  /** HTTP/2 calls: tokens, one after the other. */
  readonly tokens?: readonly string[];
}

export type LoadKind = ByteKind | Http2Kind;
type ByteKind = 'ping-pong' | 'bulk-up' | 'bulk-down' | 'handshakes' | 'idle';
type Http2Kind =
  | 'h2-unary'
  | 'h2-ping-pong'
  | 'h2-flood'
  | 'h2-bulk-up'
  | 'h2-bulk-down'
  | 'h2-connections'
  | 'h2-long-streams'
  | 'h2-idle';

/** `warm`: it waits for `go`. `held`: the idle connections are open, and wait for `go` to be closed. */
export type LoadReply =
  | { readonly state: 'warm' }
  | { readonly state: 'held' }
  | { readonly state: 'done'; readonly result: LoadResult }
  | { readonly state: 'failed'; readonly error: string };

export interface LoadResult {
  readonly milliseconds: number;
  /** Of the order's amount: less where the time was over. */
  readonly amount: number;
  /** Where a piece of work is several of them. */
  readonly messages?: number;
  /** Of a round trip or a handshake, where it was looked at one by one. */
  readonly p50Ms?: number;
  readonly p99Ms?: number;
}

export interface BackendPorts {
  readonly plain: number;
  readonly tls: number;
  /** TLS and HTTP/2. */
  readonly http2: number;
}

/** The size of a ping, as an AutoGen message without much in it. */
export const pingBytes = 200;
