import { importJWK, type JWK } from 'jose';
import { LockwireError } from '../../core/errors.ts';
import { maxKeyCandidates, maxKeys } from './options.ts';
import { isObject, type JsonObject } from './token.ts';

export type VerifyKey = Awaited<ReturnType<typeof importJWK>>;

/** Which keys an algorithm takes: an RSA key never verifies for an EC algorithm, nor a secret for either. */
const keyShapes: Readonly<Record<string, { readonly kty: string; readonly crv?: string }>> = {
  ES256: { kty: 'EC', crv: 'P-256' },
  ES384: { kty: 'EC', crv: 'P-384' },
  ES512: { kty: 'EC', crv: 'P-521' },
  EdDSA: { kty: 'OKP', crv: 'Ed25519' },
  Ed25519: { kty: 'OKP', crv: 'Ed25519' },
  RS256: { kty: 'RSA' },
  RS384: { kty: 'RSA' },
  RS512: { kty: 'RSA' },
  PS256: { kty: 'RSA' },
  PS384: { kty: 'RSA' },
  PS512: { kty: 'RSA' },
};

const minRsaBytes = 2048 / 8;
/** Larger moduli cost more to verify than any issuer's key is worth. */
const maxRsaBytes = 8192 / 8;

/** One issuer's public key. */
export class IssuerKey {
  readonly kid: string | undefined;
  readonly #algorithm: string | undefined;
  readonly #jwk: JWK & { kty: string };
  readonly #imported = new Map<string, Promise<VerifyKey>>();

  constructor(jwk: JWK & { kty: string }) {
    this.#jwk = jwk;
    this.kid = jwk.kid;
    this.#algorithm = jwk.alg;
  }

  fits(algorithm: string): boolean {
    const shape = Object.hasOwn(keyShapes, algorithm) ? keyShapes[algorithm] : undefined;
    if (shape === undefined || shape.kty !== this.#jwk.kty || shape.crv !== this.#jwk.crv) return false;
    return this.#algorithm === undefined || this.#algorithm === algorithm;
  }

  /** Imported once for each algorithm; there are few. */
  imported(algorithm: string): Promise<VerifyKey> {
    let key = this.#imported.get(algorithm);
    if (key === undefined) {
      key = importJWK(this.#jwk, algorithm);
      this.#imported.set(algorithm, key);
    }
    return key;
  }
}

/** The verification keys of one issuer. */
export class KeySet {
  readonly #keys: readonly IssuerKey[];
  /** Keys that can't be used here: other types and uses, weak, private or broken ones. */
  readonly ignored: number;

  private constructor(keys: readonly IssuerKey[], ignored: number) {
    this.#keys = keys;
    this.ignored = ignored;
  }

  /** Reads a JWK set (RFC 7517 section 5), leaving out what it can't use. Throws `config` where nothing is left. */
  static parse(text: string, source: string): KeySet {
    const all = readKeys(text, source);
    if (all.length > maxKeys)
      throw new LockwireError('config', `${source} has ${all.length} keys, at most ${maxKeys} are read`);
    const keys = all.map(readKey).filter(key => key !== undefined);
    if (keys.length === 0)
      throw new LockwireError('config', `${source} has no usable signature key among ${all.length}`);
    return new KeySet(keys, all.length - keys.length);
  }

  get size(): number {
    return this.#keys.length;
  }

  /** How many of them one of these algorithms could use. */
  usableFor(algorithms: readonly string[]): number {
    return this.#keys.filter(key => algorithms.some(algorithm => key.fits(algorithm))).length;
  }

  /** The keys that may verify such a token. Without a kid only an only key is taken: none is guessed. */
  candidates(algorithm: string, kid: string | undefined): readonly IssuerKey[] {
    const fitting = this.#keys.filter(key => key.fits(algorithm));
    if (kid === undefined) return fitting.length === 1 ? fitting : [];
    return fitting.filter(key => key.kid === kid).slice(0, maxKeyCandidates);
  }
}

function readKeys(text: string, source: string): readonly unknown[] {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    throw new LockwireError('config', `${source} is not JSON`);
  }
  const keys = isObject(value) ? value.keys : undefined;
  if (!Array.isArray(keys)) throw new LockwireError('config', `${source} has no array 'keys'`);
  return keys;
}

function readKey(value: unknown): IssuerKey | undefined {
  if (!isObject(value)) return undefined;
  const { kty, crv, kid, alg, use, key_ops: operations } = value;
  // A published private key is nobody's secret: tokens made with it prove nothing.
  if (typeof kty !== 'string' || value.d !== undefined) return undefined;
  if (use !== undefined && use !== 'sig') return undefined;
  if (Array.isArray(operations) && !operations.includes('verify')) return undefined;
  if (!optionalString(kid) || !optionalString(alg) || !optionalString(crv)) return undefined;
  const material = readMaterial(kty, value);
  if (material === undefined) return undefined;
  const names = { ...(kid === undefined ? {} : { kid }), ...(alg === undefined ? {} : { alg }) };
  return new IssuerKey({ kty, ...(crv === undefined ? {} : { crv }), ...material, ...names });
}

function readMaterial(kty: string, { x, y, n, e }: JsonObject): JWK | undefined {
  if (kty === 'EC') return typeof x === 'string' && typeof y === 'string' ? { x, y } : undefined;
  if (kty === 'OKP') return typeof x === 'string' ? { x } : undefined;
  if (kty !== 'RSA' || typeof n !== 'string' || typeof e !== 'string') return undefined;
  const { byteLength } = Buffer.from(n, 'base64url');
  return byteLength >= minRsaBytes && byteLength <= maxRsaBytes ? { n, e } : undefined;
}

function optionalString(value: unknown): value is string | undefined {
  return value === undefined || typeof value === 'string';
}
