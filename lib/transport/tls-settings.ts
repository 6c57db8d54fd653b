import { constants } from 'node:crypto';
import type { SecureContextOptions } from 'node:tls';

/** Both ends: what may be negotiated. */

/** Post-quantum first, so that what is recorded today stays closed to a quantum computer. */
const keyExchangeGroups = 'X25519MLKEM768:X25519:prime256v1:secp384r1';

/**
 * The TLS 1.3 suites, AES-128 first as it is the fastest where there is AES in hardware; then for the listeners that
 * allow TLS 1.2 only those with forward secrecy and authenticated encryption (RFC 9325 section 4.2).
 */
const cipherSuites: string = [
  'TLS_AES_128_GCM_SHA256',
  'TLS_AES_256_GCM_SHA384',
  'TLS_CHACHA20_POLY1305_SHA256',
  'ECDHE-ECDSA-AES128-GCM-SHA256',
  'ECDHE-RSA-AES128-GCM-SHA256',
  'ECDHE-ECDSA-AES256-GCM-SHA384',
  'ECDHE-RSA-AES256-GCM-SHA384',
  'ECDHE-ECDSA-CHACHA20-POLY1305',
  'ECDHE-RSA-CHACHA20-POLY1305',
].join(':');

export type TlsVersion = 'TLSv1.3' | 'TLSv1.2';

/** TCP keep-alive: finds peers that went without a word, on either side. */
export const keepAliveDelayMs = 30_000;

export function commonTlsOptions(minVersion: TlsVersion = 'TLSv1.3'): SecureContextOptions {
  return {
    minVersion,
    maxVersion: 'TLSv1.3',
    ecdhCurve: keyExchangeGroups,
    ciphers: cipherSuites,
    secureOptions: constants.SSL_OP_NO_RENEGOTIATION | constants.SSL_OP_NO_COMPRESSION,
  };
}
