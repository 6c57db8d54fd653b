import type { ProxyHop } from './proxy-dial.ts';

/** Limits of the transport room: each with its default. */

export interface LocalOptions {
  /** Connections at once on one local listener; more are closed as they come. */
  readonly maxConnections: number;
  readonly dialTimeoutMs: number;
}

export const defaultLocalOptions: LocalOptions = { maxConnections: 1024, dialTimeoutMs: 10_000 };

export interface ListenerLimits {
  /** From accept until `permitted`. */
  readonly deadlineMs: number;
  /** Connections not yet permitted; at the cap the oldest one goes. */
  readonly maxUnfinished: number;
  /** The same for one source (IPv6: a /64), whose own oldest goes. */
  readonly maxUnfinishedPerSource: number;
  /** Connections in all. */
  readonly maxConnections: number;
  /** Bytes taken from a connection that is not yet permitted. */
  readonly maxBytesBeforePermitted: number;
  /**
   * The same for HTTP/2, where who it is from stands in the first request: its head, and behind it the window of
   * content that a client may send before it was told anything (65,535 B, RFC 9113 section 6.9.2).
   */
  readonly maxHttp2BytesBeforePermitted: number;
  /** First bytes looked at to find the ClientHello's end. */
  readonly maxClientHelloBytes: number;
  /** Refused credentials of one source a minute; beyond that its new connections are closed at once. */
  readonly maxFailuresPerMinute: number;
  /** Sources that are remembered; the one longest unheard of is forgotten. */
  readonly maxSources: number;
  /** Log lines about one source a minute. */
  readonly maxLogLinesPerMinute: number;
  /** Age at which the keys that seal session tickets are replaced. */
  readonly ticketKeyLifeMs: number;
  /** Server names that get tickets of their own; names beyond that get none. */
  readonly maxTicketNames: number;
  /** Client chains remembered for resumption, which brings the leaf only. */
  readonly maxRememberedChains: number;
}

export const defaultListenerLimits: ListenerLimits = {
  deadlineMs: 10_000,
  maxUnfinished: 512,
  maxUnfinishedPerSource: 128,
  maxConnections: 10_000,
  maxBytesBeforePermitted: 65_536,
  maxHttp2BytesBeforePermitted: 65_536 + 65_535,
  maxClientHelloBytes: 16_384,
  maxFailuresPerMinute: 20,
  maxSources: 4096,
  maxLogLinesPerMinute: 6,
  ticketKeyLifeMs: 12 * 3_600_000,
  maxTicketNames: 64,
  maxRememberedChains: 1024,
};

export interface ListenerTls {
  /** PEM: the leaf, then its intermediates. */
  readonly cert: string;
  readonly key: string;
  readonly minVersion?: 'TLSv1.3' | 'TLSv1.2';
  readonly clientCertificates: 'none' | 'optional' | 'required';
  /** PEM bundles of the authorities that clients' certificates may come from. */
  readonly clientAuthorities: readonly string[];
}

export interface TcpRoute {
  readonly target: string;
  /** Exact names, or `*.example.com` for one label. */
  readonly serverNames: readonly string[];
  /** Refuse connections without a verified client certificate. */
  readonly clientCertificate: boolean;
}

export interface ListenerOptions {
  readonly name: string;
  readonly bind: { readonly host: string; readonly port: number };
  readonly tls: ListenerTls;
  readonly routes: {
    readonly tunnel: boolean;
    /** There are targets that take HTTP/2 requests. */
    readonly http2: boolean;
    readonly tcp: readonly TcpRoute[];
  };
  readonly limits?: Partial<ListenerLimits>;
}

export interface DialerOptions {
  readonly host: string;
  readonly port: number;
  /** An HTTP proxy on the way. TLS to the server is the same through it, and verified the same. */
  readonly proxy?: ProxyHop;
  /** The name to verify, where it is not `host`. */
  readonly serverName?: string;
  /** PEM bundles; the system's roots where absent. */
  readonly ca?: readonly string[];
  readonly alpn: readonly string[];
  /** Refuse a server that agrees to none of `alpn`; without it such a server is taken as it is. */
  readonly alpnRequired?: boolean;
  readonly cert?: string;
  readonly key?: string;
  readonly minVersion?: 'TLSv1.3' | 'TLSv1.2';
  /** Name lookup, TCP and TLS together. */
  readonly timeoutMs?: number;
}

/** What a dial has come to so far: where it fails after, and what was seen until then. */
export type DialStep =
  /** The name was looked up; once for each address. Not called where an address was given. */
  | { readonly kind: 'resolved'; readonly address: string }
  /** TCP stands, to the server or to the proxy. */
  | { readonly kind: 'connected'; readonly address: string }
  /** The proxy opened the way. */
  | { readonly kind: 'proxied' }
  /** The server's certificate, before it is judged. */
  | { readonly kind: 'certificate'; readonly certificate: SeenCertificate };

export interface SeenCertificate {
  /** As OpenSSL writes them: `DNS:gateway.example, IP Address:192.0.2.7`. */
  readonly names: string;
  /** Common name of its issuer. */
  readonly issuer: string;
  readonly notBeforeMs: number;
  readonly notAfterMs: number;
}

export const defaultDialTimeoutMs = 10_000;
