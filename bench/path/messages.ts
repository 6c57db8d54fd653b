// What the harness and its two helpers (the load and the backend, each a process) say to each other.

/** One measurement, as the load is asked for it. */
export interface LoadOrder {
  readonly kind: LoadKind;
  readonly port: number;
  readonly tls?: {
    readonly ca: string;
    readonly cert: string;
    readonly key: string;
    readonly serverName: string;
  };
  /** Round trips, bytes, handshakes or connections, by kind. */
  readonly amount: number;
  /** The same before anything is counted. */
  readonly warmUp: number;
  /** Round trips and handshakes stop after so long, on a machine that is too busy for the amount; warming up too. */
  readonly limitMs: number;
  /** Only handshakes: connections made side by side. */
  readonly concurrency?: number;
}

export type LoadKind = 'ping-pong' | 'bulk-up' | 'bulk-down' | 'handshakes' | 'idle';

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
  /** Of a round trip or a handshake, where it was looked at one by one. */
  readonly p50Ms?: number;
  readonly p99Ms?: number;
}

export interface BackendPorts {
  readonly plain: number;
  readonly tls: number;
}

/** The size of a ping, as an AutoGen message without much in it. */
export const pingBytes = 200;
