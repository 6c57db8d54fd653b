import type { X509Certificate } from 'node:crypto';
import { safeText } from '../core/bytes.ts';
import { codeOf, LockwireError, messageOf } from '../core/errors.ts';
import { certificateDates, issuerName } from './certificates.ts';

/** What OpenSSL's verdicts mean to the person who has to do something about it. */
const unknownIssuer = 'its certificate comes from no authority that is trusted here';
const verdicts: Record<string, string> = {
  UNABLE_TO_GET_ISSUER_CERT: unknownIssuer,
  UNABLE_TO_GET_ISSUER_CERT_LOCALLY: unknownIssuer,
  UNABLE_TO_VERIFY_LEAF_SIGNATURE: unknownIssuer,
  SELF_SIGNED_CERT_IN_CHAIN: unknownIssuer,
  DEPTH_ZERO_SELF_SIGNED_CERT: 'its certificate is self-signed and is not trusted here',
  INVALID_PURPOSE: 'its certificate is not for TLS servers',
  CERT_SIGNATURE_FAILURE: 'the signature of its certificate is wrong',
  CERT_REVOKED: 'its certificate is revoked',
  ERR_SSL_WRONG_VERSION_NUMBER: 'it does not speak TLS on this port',
  ERR_SSL_PACKET_LENGTH_TOO_LONG: 'it does not speak TLS on this port',
  ERR_SSL_TLSV1_ALERT_PROTOCOL_VERSION: 'it does not speak a TLS version that is allowed here',
  ERR_SSL_UNSUPPORTED_PROTOCOL: 'it does not speak a TLS version that is allowed here',
};

/** The connection broke, which says nothing of trust. */
const networkCodes = new Set([
  'ECONNRESET',
  'EPIPE',
  'ETIMEDOUT',
  'ENETUNREACH',
  'EHOSTUNREACH',
  'ECONNABORTED',
]);

export interface Attempted {
  readonly where: string;
  /** The name that the certificate was to be for. */
  readonly name: string;
  readonly leaf: X509Certificate | undefined;
  /** Protocols, by ALPN. */
  readonly offered?: readonly string[];
}

/** A failed handshake as an error that says what was seen and what was expected. */
export function handshakeFailure(error: Error, attempted: Attempted): LockwireError {
  const { where, leaf } = attempted;
  const code = codeOf(error);
  if (networkCodes.has(code)) {
    const text = `${where}: the connection was closed during the TLS handshake (${code})`;
    return new LockwireError('unavailable', text, { cause: error });
  }
  const issuer = leaf ? `; certificate issued by CN=${issuerName(leaf)}` : '';
  return new LockwireError('tls', `${where}: ${reason(error, code, attempted)}${issuer}`, { cause: error });
}

function reason(error: Error, code: string, { name, leaf, offered = [] }: Attempted): string {
  if (code === 'ERR_TLS_CERT_ALTNAME_INVALID') {
    const names = safeText(leaf?.subjectAltName ?? 'no name at all', 300);
    return `its certificate is not for ${name} but for ${names}`;
  }
  if (code === 'ERR_SSL_TLSV1_ALERT_NO_APPLICATION_PROTOCOL')
    return `it does not speak ${offered.join(' or ') || 'what was asked for'}: it agreed to no such protocol (ALPN)`;
  if (code === 'CERT_HAS_EXPIRED') return outOfDate(leaf, 'has expired', 'notAfterMs');
  if (code === 'CERT_NOT_YET_VALID') return outOfDate(leaf, 'is not valid yet', 'notBeforeMs');
  return verdicts[code] ? `${verdicts[code]} (${code})` : `TLS failed: ${safeText(messageOf(error))}`;
}

function outOfDate(
  leaf: X509Certificate | undefined,
  what: string,
  which: 'notAfterMs' | 'notBeforeMs',
): string {
  if (!leaf) return `its certificate ${what}`;
  const bound = certificateDates(leaf)[which];
  const date = new Date(bound).toISOString();
  const preposition = which === 'notAfterMs' ? 'until' : 'from';
  return `its certificate or one above it ${what} (the leaf is valid ${preposition} ${date})`;
}
