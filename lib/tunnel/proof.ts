import { createHmac, createPublicKey, timingSafeEqual, verify } from 'node:crypto';
import type { Role } from '../wire/tunnel/frames.ts';

/**
 * What both ends sign, so that neither can be taken in by a box in the middle that ends TLS: the connection's exporter
 * (RFC 8446 section 7.5, RFC 9266) differs on its two sides. `docs/tunnel.md` section "Proof of the connection".
 */

/** Signed by the gateway before it knows the role: the client then shows its credential to nobody else. */
export function challengeMessage(exporter: Uint8Array, gatewayNonce: Uint8Array): Uint8Array {
  return Buffer.concat([Buffer.from('lockwire/1 challenge\0'), exporter, gatewayNonce]);
}

export function helloMessage(bound: Bound): Uint8Array {
  return boundMessage('lockwire/1 hello\0', bound);
}

export function welcomeMessage(bound: Bound): Uint8Array {
  return boundMessage('lockwire/1 welcome\0', bound);
}

export interface Bound {
  readonly exporter: Uint8Array;
  readonly role: Role;
  readonly gatewayNonce: Uint8Array;
  readonly clientNonce: Uint8Array;
}

function boundMessage(label: string, { exporter, role, gatewayNonce, clientNonce }: Bound): Uint8Array {
  return Buffer.concat([Buffer.from(label), exporter, Buffer.from(`${role}\0`), gatewayNonce, clientNonce]);
}

export interface ResumeClaim {
  readonly session: string;
  readonly attempt: number;
  readonly received: number;
}

/** Proof of a Resume: HMAC-SHA-256 (RFC 2104) under the session's secret, bound to the new connection by its exporter. */
export function resumeProof(secret: Uint8Array, exporter: Uint8Array, claim: ResumeClaim): Uint8Array {
  const numbers = Buffer.alloc(16);
  numbers.writeBigUInt64BE(BigInt(claim.attempt), 0);
  numbers.writeBigUInt64BE(BigInt(claim.received), 8);
  return createHmac('sha256', secret)
    .update('lockwire/1 resume\0')
    .update(exporter)
    .update(`${claim.session}\0`)
    .update(numbers)
    .digest();
}

export function sameProof(a: Uint8Array, b: Uint8Array): boolean {
  return a.byteLength === b.byteLength && timingSafeEqual(a, b);
}

// SubjectPublicKeyInfo of an Ed25519 key is this prefix and the 32 raw bytes (RFC 8410 section 4).
const spkiPrefix = Buffer.from('302a300506032b6570032100', 'hex');

/** Whether `signature` is the key's over the message. Never throws: a key that is none verifies nothing. */
export function verifyProof(publicKey: Uint8Array, message: Uint8Array, signature: Uint8Array): boolean {
  try {
    const key = createPublicKey({ key: Buffer.concat([spkiPrefix, publicKey]), format: 'der', type: 'spki' });
    return verify(null, message, key, signature);
  } catch {
    return false;
  }
}
