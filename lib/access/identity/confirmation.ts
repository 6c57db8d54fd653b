import { createHash } from 'node:crypto';
import type { Presented } from '../../core/ports.ts';
import { Refusal } from './refusal.ts';
import { isObject } from './token.ts';

/** What the presenter of a token must prove to hold (RFC 7800). */
export interface Confirmation {
  /** SHA-256 thumbprint of the instance's Ed25519 key as a JWK (RFC 7638, RFC 8037 appendix A.3), base64url. */
  readonly jkt?: string;
  /** SHA-256 of the client certificate's DER, base64url (RFC 8705 section 3.1). */
  readonly certificateSha256?: string;
}

/** Reads `cnf`. A method that can't be checked here is refused: ignoring it would make the token a bearer's. */
export function readConfirmation(cnf: unknown): Confirmation | undefined {
  if (cnf === undefined) return undefined;
  if (!isObject(cnf)) throw new Refusal('confirmation', 'cnf is not an object');
  for (const method of Object.keys(cnf)) {
    if (method !== 'jkt' && method !== 'x5t#S256')
      throw new Refusal('confirmation', 'cnf has a method other than jkt and x5t#S256');
  }
  const { jkt, 'x5t#S256': certificateSha256 } = cnf;
  if (jkt === undefined && certificateSha256 === undefined)
    throw new Refusal('confirmation', 'cnf has no method');
  return {
    ...(jkt === undefined ? {} : { jkt: digest(jkt, 'jkt') }),
    ...(certificateSha256 === undefined ? {} : { certificateSha256: digest(certificateSha256, 'x5t#S256') }),
  };
}

/** Throws Refusal unless all that the token is bound to was proved on the same connection. */
export function checkConfirmation(confirmation: Confirmation | undefined, presented: Presented): void {
  if (confirmation === undefined) return;
  const { jkt, certificateSha256 } = confirmation;
  if (jkt !== undefined && (!presented.instanceKey || jkt !== instanceThumbprint(presented.instanceKey)))
    throw new Refusal('confirmation', 'the token is bound to another instance key (cnf.jkt)');
  if (
    certificateSha256 !== undefined &&
    (!presented.certificate || certificateSha256 !== sha256(presented.certificate))
  )
    throw new Refusal('confirmation', 'the token is bound to another client certificate (cnf.x5t#S256)');
}

/** RFC 7638 section 3: the required members in alphabetical order, without white space. */
export function instanceThumbprint(publicKey: Uint8Array): string {
  const x = Buffer.from(publicKey).toString('base64url');
  return sha256(Buffer.from(`{"crv":"Ed25519","kty":"OKP","x":"${x}"}`));
}

function sha256(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('base64url');
}

function digest(value: unknown, name: string): string {
  if (typeof value !== 'string' || !/^[A-Za-z0-9_-]{43}$/.test(value))
    throw new Refusal('confirmation', `cnf.${name} is not a SHA-256 in base64url`);
  return value;
}
