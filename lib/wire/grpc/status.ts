/** Status codes of gRPC and what carries them: grpc-status, grpc-message, and HTTP's where the server spoke no gRPC. */

export const GrpcStatus = {
  ok: 0,
  cancelled: 1,
  unknown: 2,
  invalidArgument: 3,
  deadlineExceeded: 4,
  notFound: 5,
  alreadyExists: 6,
  permissionDenied: 7,
  resourceExhausted: 8,
  failedPrecondition: 9,
  aborted: 10,
  outOfRange: 11,
  unimplemented: 12,
  internal: 13,
  unavailable: 14,
  dataLoss: 15,
  unauthenticated: 16,
} as const;

const names: readonly string[] = [
  'OK',
  'CANCELLED',
  'UNKNOWN',
  'INVALID_ARGUMENT',
  'DEADLINE_EXCEEDED',
  'NOT_FOUND',
  'ALREADY_EXISTS',
  'PERMISSION_DENIED',
  'RESOURCE_EXHAUSTED',
  'FAILED_PRECONDITION',
  'ABORTED',
  'OUT_OF_RANGE',
  'UNIMPLEMENTED',
  'INTERNAL',
  'UNAVAILABLE',
  'DATA_LOSS',
  'UNAUTHENTICATED',
];

/** gRPC's name of a code; of an unknown one its number. */
export function statusName(code: number): string {
  return names[code] ?? `status ${code}`;
}

/** The status of an answer without grpc-status, by its HTTP status (gRPC's http-grpc-status-mapping). */
export function statusOfHttp(httpStatus: number): number {
  switch (httpStatus) {
    case 400:
      return GrpcStatus.internal;
    case 401:
      return GrpcStatus.unauthenticated;
    case 403:
      return GrpcStatus.permissionDenied;
    case 404:
      return GrpcStatus.unimplemented;
    case 429:
    case 502:
    case 503:
    case 504:
      return GrpcStatus.unavailable;
    default:
      return GrpcStatus.unknown;
  }
}

/** Encoded bytes of a grpc-message that we send; what is longer is cut at a character. */
export const maxStatusMessageBytes = 1_024;

const hex = '0123456789ABCDEF';

/**
 * Text as grpc-message: printable ASCII but `%` stands for itself, each other byte of its UTF-8 as %XX. So no text can
 * break out of its header field. A lone surrogate becomes U+FFFD.
 */
export function encodeStatusMessage(text: string, maxBytes: number = maxStatusMessageBytes): string {
  let out = '';
  // A character takes a byte at least: more of them cannot fit, and a huge text is not walked through.
  for (const character of text.slice(0, maxBytes)) {
    const encoded = encodeCharacter(character);
    if (out.length + encoded.length > maxBytes) break;
    out += encoded;
  }
  return out;
}

function encodeCharacter(character: string): string {
  const code = character.charCodeAt(0);
  if (code >= 0x20 && code <= 0x7e && code !== 0x25) return character;
  let out = '';
  for (const byte of Buffer.from(character, 'utf8')) out += `%${hex[byte >> 4]}${hex[byte & 0x0f]}`;
  return out;
}

const percentEncoded = /%[0-9A-Fa-f]{2}/g;

/**
 * A peer's grpc-message as text. Never fails, as the protocol asks: a `%` that begins no byte stays as it is, bytes that
 * are no UTF-8 become U+FFFD. The text may hold anything, controls too: `safeText` makes it fit to be shown.
 */
export function decodeStatusMessage(encoded: string): string {
  if (!encoded.includes('%')) return encoded;
  const bytes = Buffer.from(encoded, 'utf8');
  const out = Buffer.allocUnsafe(bytes.byteLength);
  let at = 0;
  let from = 0;
  for (const { index, 0: match } of bytes.toString('latin1').matchAll(percentEncoded)) {
    at += bytes.copy(out, at, from, index);
    out[at] = Number.parseInt(match.slice(1), 16);
    at += 1;
    from = index + match.length;
  }
  at += bytes.copy(out, at, from);
  return out.toString('utf8', 0, at);
}
