/**
 * The facts of a session. They only grow, and the types say so:
 * `Accepted → Identified → Permitted → Connected → Closed`. What is not `Permitted` cannot be handed to a relay.
 */

/** A person, known by a token. In policy: `Lockwire::User::"issuer|subject"`. */
export interface UserPrincipal {
  readonly kind: 'user';
  /** The issuer by its configured name. */
  readonly issuer: string;
  readonly subject: string;
  /** Group names as the issuer gives them; in policy `Lockwire::Group::"issuer/group"`. */
  readonly groups: readonly string[];
  /** Present only where the issuer says that it verified it. */
  readonly email?: string;
}

/** A program, known by a certificate or a CI token. In policy: `Lockwire::Workload::"name|san"`. */
export interface WorkloadPrincipal {
  readonly kind: 'workload';
  /** The configured name of the certificate authority or issuer. */
  readonly source: string;
  /** URI SAN (SPIFFE ID), else DNS SAN; the subject of a CI token. */
  readonly name: string;
  readonly groups: readonly string[];
}

export type Principal = UserPrincipal | WorkloadPrincipal;

/** `User::corp|alice` or `Workload::ci|spiffe://…`: for logs, sessions and the policy's entity id. */
export function principalName(principal: Principal): string {
  return principal.kind === 'user'
    ? `User::${principal.issuer}|${principal.subject}`
    : `Workload::${principal.source}|${principal.name}`;
}

export interface Accepted {
  /** Random, 16 hex digits; in each log line of the session. */
  readonly session: string;
  readonly listener: string;
  readonly acceptedAtMs: number;
  readonly peerAddress: string;
  readonly peerPort: number;
  readonly serverName: string;
  readonly alpn: string;
  readonly tlsVersion: string;
  readonly cipher: string;
  /** Resumed from a TLS ticket. */
  readonly resumed: boolean;
}

/** Who, and until when. */
export interface Identity {
  readonly principal: Principal;
  readonly credential: CredentialFacts;
}

export interface CredentialFacts {
  readonly kind: 'token' | 'certificate';
  /** `jti` of a token where it has one, else the first 16 hex digits of its SHA-256; SHA-256 (hex) of a certificate. Never the credential. */
  readonly id: string;
  readonly expiresAtMs: number;
  readonly issuedAtMs: number;
}

export interface Identified extends Accepted, Identity {}

export interface Permitted extends Identified {
  readonly action: 'connect' | 'expose';
  readonly target: string;
  /** The id of the rule that permitted it. */
  readonly rule: string;
}

export interface Connected extends Permitted {
  /** `tls://host:port`, or `tunnel:SESSION` of the expose that serves it. */
  readonly upstream: string;
  readonly connectedAtMs: number;
}

/**
 * A leg of `connect` or `expose`: the gateway decided, these ends carry bytes and know no more than that. Only they
 * make one.
 */
export interface LocalLeg {
  readonly session: string;
  readonly target: string;
  readonly upstream: string;
  readonly connectedAtMs: number;
}

/** How a relayed session ended. */
export interface Ended {
  readonly closedAtMs: number;
  readonly reason: CloseReason;
  /** Bytes from the client, and to it. */
  readonly bytesUp: number;
  readonly bytesDown: number;
}

export type Closed = Connected & Ended;

/** Why a stream or a session ended. `proto/tunnel.proto` numbers the codes. */
export const closeCodes: readonly [
  'done',
  'cancelled',
  'denied',
  'unauthenticated',
  'unavailable',
  'unknown-target',
  'session-lost',
  'expired',
  'revoked',
  'shutdown',
  'protocol',
  'limit',
  'timeout',
  'io',
  'internal',
  'intercepted',
  'replaced',
] = [
  'done',
  'cancelled',
  'denied',
  'unauthenticated',
  'unavailable',
  'unknown-target',
  'session-lost',
  'expired',
  'revoked',
  'shutdown',
  'protocol',
  'limit',
  'timeout',
  'io',
  'internal',
  'intercepted',
  'replaced',
];

export type CloseCode = (typeof closeCodes)[number];

export interface CloseReason {
  readonly code: CloseCode;
  /** One safe line for a person. */
  readonly text: string;
  /** The decision to ask `lockwire explain` about. */
  readonly decision?: string;
}

export const done: CloseReason = { code: 'done', text: '' };
