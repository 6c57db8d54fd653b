/** gRPC's answers on a call's stream, and its status out of a header section. */
import type { CallField, CallStream } from '../../core/ports.ts';
import {
  decodeStatusMessage,
  encodeStatusMessage,
  GrpcStatus,
  statusOfHttp,
} from '../../wire/grpc/status.ts';

export interface Status {
  readonly code: number;
  readonly text: string;
  /** The decision that refused it. */
  readonly decision?: string;
}

export const okStatus: Status = { code: GrpcStatus.ok, text: '' };

export function field(name: string, value: string): CallField {
  return { name, value, sensitive: false };
}

export function responseHeaders(): readonly CallField[] {
  return [
    field(':status', '200'),
    field('content-type', 'application/grpc'),
    field('grpc-accept-encoding', 'identity'),
  ];
}

export function trailers({ code, text, decision }: Status): readonly CallField[] {
  const fields = [field('grpc-status', String(code))];
  if (text !== '') fields.push(field('grpc-message', encodeStatusMessage(text)));
  if (decision) fields.push(field('x-lockwire-decision', decision));
  return fields;
}

/** Ends a call that has sent nothing yet (Trailers-Only), or one whose headers are out. */
export function endWith(stream: CallStream, status: Status, headersSent: boolean): void {
  if (headersSent) stream.end(trailers(status));
  else
    stream.sendHeaders(
      [field(':status', '200'), field('content-type', 'application/grpc'), ...trailers(status)],
      true,
    );
}

/** Undefined where the section has none and HTTP's own status says nothing amiss. */
export function statusOf(fields: readonly CallField[]): Status | undefined {
  const grpcStatus = fieldValue(fields, 'grpc-status');
  const httpStatus = fieldValue(fields, ':status');
  if (grpcStatus !== undefined) {
    const code = /^[0-9]{1,2}$/.test(grpcStatus) ? Number(grpcStatus) : GrpcStatus.unknown;
    return { code, text: decodeStatusMessage(fieldValue(fields, 'grpc-message') ?? '') };
  }
  if (httpStatus === undefined || httpStatus === '200') return undefined;
  return { code: statusOfHttp(Number(httpStatus)), text: `the host answered with HTTP status ${httpStatus}` };
}

export function fieldValue(fields: readonly CallField[], name: string): string | undefined {
  return fields.find(f => f.name === name)?.value;
}
