import type { ConnectionLimits } from './connection-limits.ts';
/** The config file of `lockwire gateway` once read: defaults filled in, durations in milliseconds, nothing resolved. */
export interface GatewayFile {
  readonly $schema?: string | undefined;
  readonly listeners: readonly ListenerEntry[];
  readonly identity: {
    readonly issuers: readonly IssuerEntry[];
    readonly certificates: readonly CertificatesEntry[];
    readonly enrolment: 'optional' | 'required';
  };
  readonly targets: readonly TargetEntry[];
  readonly policy: { readonly files: readonly string[] };
  readonly limits: LimitsEntry;
  readonly store: { readonly kind: 'embedded'; readonly path: string };
  readonly admin: {
    readonly socket?: string | undefined;
    readonly bind?: string | undefined;
    readonly tls?: undefined;
  };
  readonly instances: number;
  readonly drainTimeout: number;
  readonly masking?: undefined;
  readonly record?: undefined;
  readonly vault?: undefined;
}

export interface ListenerEntry {
  readonly name: string;
  readonly bind: string;
  readonly tls: {
    readonly cert: string;
    readonly key: string;
    readonly minVersion: 'TLSv1.2' | 'TLSv1.3';
    readonly clientCertificates: 'none' | 'optional' | 'required';
  };
  readonly handshakeTimeout: number;
  readonly maxUnfinished: number;
  readonly maxUnfinishedPerSource: number;
  readonly maxConnections: number;
  readonly proxyProtocol?: undefined;
  readonly plaintext?: undefined;
}

export interface IssuerEntry {
  readonly name: string;
  readonly issuer: string;
  readonly audience: string | string[];
  readonly token: 'access' | 'id';
  readonly principal: 'user' | 'workload';
  readonly authorizedParties?: string[] | undefined;
  readonly algorithms: string[];
  readonly groups?: string | undefined;
  readonly maxLifetime: number;
  readonly jwks?: string | undefined;
  readonly ca?: string | undefined;
}

export interface CertificatesEntry {
  readonly name: string;
  readonly ca: string;
  readonly crl?: string | undefined;
}

export interface TargetEntry {
  readonly name: string;
  readonly dialect?: 'autogen-rpc' | undefined;
  readonly protocol?: 'tcp' | 'grpc' | 'http2' | undefined;
  readonly via?: 'tunnel' | undefined;
  readonly dial?: string | undefined;
  readonly serverNames?: string[] | undefined;
  readonly hosts?: string[] | undefined;
  readonly services?: string[] | undefined;
  readonly upstream?: 'own' | 'shared' | undefined;
  readonly serverName?: string | undefined;
  readonly ca?: string | undefined;
  readonly cert?: string | undefined;
  readonly key?: string | undefined;
  readonly plaintext?: undefined;
  readonly exclusive?: boolean | undefined;
  /** Both filled in where the file has one number or none; only of `autogen-rpc`. */
  readonly maxMessageBytes: { readonly up: number; readonly down: number };
  readonly requestTimeout: number;
  readonly stallTimeout: number;
}

export interface LimitsEntry extends ConnectionLimits {
  readonly sessions: number;
  readonly sessionsPerPrincipal: number;
  readonly streamsPerSession: number;
  readonly pendingOpens: number;
}
