import type { HostPort } from '../core/address.ts';
import type { LimitsEntry } from './gateway-file.ts';
import type { Problem } from './problem.ts';

/** A gateway's config with everything resolved: files read and checked, paths absolute, durations in milliseconds. */
export interface LoadedGatewayConfig {
  /** Absolute path of the config file. */
  readonly path: string;
  readonly listeners: readonly LoadedListener[];
  readonly issuers: readonly LoadedIssuer[];
  readonly certificates: readonly LoadedCertificates[];
  readonly targets: readonly LoadedTarget[];
  readonly policies: readonly LoadedPolicy[];
  /** Whether instances that are not enrolled get in. */
  readonly enrolment: 'optional' | 'required';
  readonly limits: LimitsEntry;
  /** Absolute directory of the state. */
  readonly store: { readonly kind: 'embedded'; readonly path: string };
  readonly admin: { readonly socketPath: string; readonly bind?: HostPort };
  /** Gateway processes behind one address, this one among them. */
  readonly instances: number;
  readonly drainTimeoutMs: number;
  /** Absolute paths of all that was read, the config itself first. */
  readonly files: readonly string[];
  readonly warnings: readonly Problem[];
  /** True where any of its material is marked as made by `lockwire up`. */
  readonly development: boolean;
}

export interface LoadedListener {
  readonly name: string;
  readonly bind: HostPort;
  readonly tls: {
    /** PEM chain, leaf first. */
    readonly cert: string;
    /** PEM private key: never to be logged. */
    readonly key: string;
    readonly minVersion: 'TLSv1.2' | 'TLSv1.3';
    readonly clientCertificates: 'none' | 'optional' | 'required';
  };
  readonly handshakeTimeoutMs: number;
  readonly maxUnfinished: number;
  readonly maxUnfinishedPerSource: number;
  readonly maxConnections: number;
}

export interface LoadedIssuer {
  readonly name: string;
  readonly issuer: string;
  readonly audience: readonly string[];
  readonly token: 'access' | 'id';
  readonly principal: 'user' | 'workload';
  /** Absent where any client's token is accepted. */
  readonly authorizedParties?: readonly string[];
  readonly algorithms: readonly string[];
  /** The claim that lists groups. */
  readonly groups?: string;
  readonly maxLifetimeMs: number;
  readonly jwks: LoadedJwks;
}

/** `ca` is PEM; absent where the system's roots count. */
export type LoadedJwks =
  | { readonly kind: 'file'; readonly path: string; readonly text: string }
  | { readonly kind: 'url'; readonly url: string; readonly ca?: string }
  /** OpenID discovery: `<issuer>/.well-known/openid-configuration`. */
  | { readonly kind: 'discovery'; readonly ca?: string };

export interface LoadedCertificates {
  readonly name: string;
  /** PEM bundle. */
  readonly ca: string;
  /** PEM, one list or several; absent where revocation is not checked. */
  readonly crl?: string;
}

export interface LoadedTarget {
  readonly name: string;
  /** All but `tcp` take HTTP/2 requests; those of `autogen-rpc` and `grpc` must be gRPC. */
  readonly kind: 'autogen-rpc' | 'tcp' | 'grpc' | 'http2';
  /** One active `expose` at a time: the target's state lives in one host. */
  readonly exclusive: boolean;
  readonly upstream: { readonly kind: 'tunnel' } | LoadedDial;
  /** Whether each client's HTTP/2 connection has one of its own upstream. Always `own` for `tcp`. */
  readonly upstreamMode: 'own' | 'shared';
  /** Authorities of its requests, lower case: `host` for any port, or `host:port`. Empty for `tcp`. */
  readonly hosts: readonly string[];
  /** gRPC services of its requests. Empty for `tcp`. */
  readonly services: readonly string[];
  /** Lower case. */
  readonly serverNames: readonly string[];
  /** Of `autogen-rpc` and no other. */
  readonly autogen?: LoadedAutogen;
}

export interface LoadedAutogen {
  /** Longest message from a worker, and to one. */
  readonly maxMessageBytes: { readonly up: number; readonly down: number };
  /** Every worker of the host comes through Lockwire: an RPC to an agent type that nobody registered has no taker. */
  readonly exclusiveWorkers: boolean;
  readonly requestTimeoutMs: number;
  readonly stallTimeoutMs: number;
}

export interface LoadedDial {
  readonly kind: 'dial';
  readonly host: string;
  readonly port: number;
  /** The name that the server's certificate must carry; an IP address where the host is one. */
  readonly serverName: string;
  /** PEM; absent where the system's roots count. */
  readonly ca?: string;
  /** PEM; both or neither. */
  readonly cert?: string;
  readonly key?: string;
}

export interface LoadedPolicy {
  /** As the config names it. */
  readonly name: string;
  readonly path: string;
  readonly text: string;
}
