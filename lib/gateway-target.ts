import type { TlsDialer } from './transport/tls-client.ts';

/** What the requests of an HTTP/2 target may be, and how they find it. */
export interface Http2Target {
  /** Each request must be gRPC. */
  readonly grpc: boolean;
  readonly upstreamMode: 'own' | 'shared';
  /** Lower case: `host` for any port, or `host:port`. */
  readonly hosts: readonly string[];
  readonly services: readonly string[];
}

/** How the messages of an AutoGen host are treated. */
export interface AutogenTarget {
  readonly maxMessageBytes: { readonly up: number; readonly down: number };
  /** Every worker comes through Lockwire. */
  readonly exclusiveWorkers: boolean;
  readonly requestTimeoutMs: number;
  readonly stallTimeoutMs: number;
}

/** A target as the gateway reaches it. */
export interface Target {
  readonly name: string;
  /** One active `expose`: its state lives in one host. */
  readonly stateful: boolean;
  /** Its clients speak HTTP/2, so each stream begins with its preface. */
  readonly http2: Http2Target | undefined;
  readonly autogen?: AutogenTarget | undefined;
  readonly upstream:
    | { readonly kind: 'tunnel' }
    | {
        readonly kind: 'dial';
        readonly address: string;
        /** What it calls itself: `:authority` of HTTP/2 requests. */
        readonly authority: string;
        readonly dialer: TlsDialer;
      };
}
