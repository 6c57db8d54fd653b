import { randomUUID } from 'node:crypto';
import { calculateJwkThumbprint, exportJWK, importPKCS8, type JWK, SignJWT } from 'jose';
import type { Clock } from '../core/clock.ts';
import { developmentIssuerPrefix } from '../core/development.ts';
import { LockwireError } from '../core/errors.ts';
import { developmentLimits } from './options.ts';

export interface TokenRequest {
  readonly subject: string;
  /** One hour by default. */
  readonly lifetimeMs?: number;
  /** `lockwire` by default. */
  readonly audience?: string;
}

export const developmentAudience = 'lockwire';

/** Signs development tokens; its name is bound to its key, so a new key is a new issuer. */
export class DevelopmentIssuer {
  readonly issuer: string;
  /** A JWKS document with the public key. */
  readonly jwks: string;
  readonly #key: CryptoKey;
  readonly #kid: string;
  readonly #clock: Clock;

  private constructor(key: CryptoKey, publicKey: JWK, kid: string, clock: Clock) {
    this.#key = key;
    this.#kid = kid;
    this.#clock = clock;
    this.issuer = `${developmentIssuerPrefix}${kid.slice(0, 22)}`;
    this.jwks = `${JSON.stringify({ keys: [{ ...publicKey, kid, alg: 'ES256', use: 'sig' }] }, null, 2)}\n`;
  }

  /** Throws where the PEM is no P-256 private key. */
  static async from(privateKeyPem: string, clock: Clock): Promise<DevelopmentIssuer> {
    const key = await importPKCS8(privateKeyPem, 'ES256', { extractable: true });
    const { kty, crv, x, y } = await exportJWK(key);
    const publicKey: JWK = { kty: kty ?? '', crv: crv ?? '', x: x ?? '', y: y ?? '' };
    return new DevelopmentIssuer(key, publicKey, await calculateJwkThumbprint(publicKey), clock);
  }

  /** An access token (RFC 9068). */
  async mint(request: TokenRequest): Promise<string> {
    const { tokenLifeMs, maxTokenLifeMs } = developmentLimits;
    const lifetimeMs = request.lifetimeMs ?? tokenLifeMs;
    if (!(lifetimeMs >= 1_000 && lifetimeMs <= maxTokenLifeMs))
      throw new LockwireError(
        'usage',
        `a token of ${lifetimeMs} ms: it must live 1000 to ${maxTokenLifeMs} ms`,
      );
    const now = Math.floor(this.#clock.now() / 1_000);
    return new SignJWT({ client_id: 'lockwire-up' })
      .setProtectedHeader({ alg: 'ES256', typ: 'at+jwt', kid: this.#kid })
      .setIssuer(this.issuer)
      .setSubject(request.subject)
      .setAudience(request.audience ?? developmentAudience)
      .setJti(randomUUID())
      .setIssuedAt(now)
      .setNotBefore(now)
      .setExpirationTime(now + Math.floor(lifetimeMs / 1_000))
      .sign(this.#key);
  }
}
