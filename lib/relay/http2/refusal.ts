import type { CloseCode, CloseReason } from '../../core/session.ts';
import { encodeStatusMessage, GrpcStatus } from '../../wire/grpc/status.ts';
import type { Field } from '../../wire/hpack/fields.ts';
import { Outgoing } from './outgoing.ts';

/** What a client is told in its own protocol. */
export interface Refusal {
  readonly httpStatus: number;
  readonly grpcStatus: number;
  readonly title: string;
  readonly reason: CloseReason;
}

type Kind = readonly [httpStatus: number, grpcStatus: number, title: string];

const kinds: Readonly<Partial<Record<CloseCode, Kind>>> = {
  unauthenticated: [401, GrpcStatus.unauthenticated, 'Unauthenticated'],
  expired: [401, GrpcStatus.unauthenticated, 'Credential expired'],
  revoked: [401, GrpcStatus.unauthenticated, 'Credential revoked'],
  denied: [403, GrpcStatus.permissionDenied, 'Forbidden'],
  'unknown-target': [404, GrpcStatus.notFound, 'No such target'],
  protocol: [400, GrpcStatus.invalidArgument, 'Bad request'],
  limit: [429, GrpcStatus.resourceExhausted, 'Too much'],
  timeout: [504, GrpcStatus.deadlineExceeded, 'Deadline exceeded'],
  cancelled: [499, GrpcStatus.cancelled, 'Cancelled'],
  internal: [500, GrpcStatus.internal, 'Internal error'],
};

const unavailable: Kind = [503, GrpcStatus.unavailable, 'Unavailable'];

export function refusalOf(reason: CloseReason): Refusal {
  const [httpStatus, grpcStatus, title] = kinds[reason.code] ?? unavailable;
  return { httpStatus, grpcStatus, title, reason };
}

/** A refusal with a status of its own, where HTTP has a better one than the code's. */
export function refusalWith(httpStatus: number, reason: CloseReason): Refusal {
  return { ...refusalOf(reason), httpStatus };
}

/** Trailers-Only (the gRPC protocol's name): one header section that says all. */
export function grpcRefusal({ grpcStatus, reason }: Refusal): Outgoing {
  return new Outgoing([
    field(':status', '200'),
    field('content-type', 'application/grpc'),
    ...statusFields(grpcStatus, reason),
  ]);
}

/** Where the response has begun already. */
export function grpcTrailers({ grpcStatus, reason }: Refusal): Outgoing {
  return new Outgoing(statusFields(grpcStatus, reason));
}

/** Problem details (RFC 9457). */
export function problem({ httpStatus, title, reason }: Refusal): { headers: Outgoing; body: Uint8Array } {
  const { text, decision } = reason;
  const document = { title, status: httpStatus, detail: text, ...(decision ? { decision } : {}) };
  const body = Buffer.from(`${JSON.stringify(document)}\n`);
  const fields = [
    field(':status', String(httpStatus)),
    field('content-type', 'application/problem+json'),
    field('content-length', String(body.byteLength)),
    field('cache-control', 'no-store'),
  ];
  // RFC 6750 section 3.
  if (httpStatus === 401) fields.push(field('www-authenticate', 'Bearer'));
  return { headers: new Outgoing(fields), body };
}

function statusFields(grpcStatus: number, { text, decision }: CloseReason): Field[] {
  const fields = [field('grpc-status', String(grpcStatus)), field('grpc-message', encodeStatusMessage(text))];
  if (decision) fields.push(field('x-lockwire-decision', decision));
  return fields;
}

function field(name: string, value: string): Field {
  return { name, value, sensitive: false };
}
