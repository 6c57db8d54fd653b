import {
  createHash,
  createHmac,
  generateKeyPairSync,
  type KeyObject,
  sign,
  type webcrypto,
} from 'node:crypto';
import type { HttpsGet } from '../../lib/access/identity/https-get.ts';
import type { AuthenticatorOptions, IssuerOptions } from '../../lib/access/identity/options.ts';
import type { Clock, Timer } from '../../lib/core/clock.ts';
import { LockwireError } from '../../lib/core/errors.ts';
import type { Counter, Log, LogFields, Metrics } from '../../lib/core/ports.ts';
import type { Principal } from '../../lib/core/session.ts';

type JsonWebKey = webcrypto.JsonWebKey;

/** Wall and monotonic time, turned apart: a wall clock can be set, a monotonic one can't. */
export class SetClock implements Clock {
  wallMs: number = Date.UTC(2027, 0, 15);
  elapsedMs = 0;
  readonly #timers = new Set<{ atMs: number; callback: () => void }>();

  now(): number {
    return this.wallMs;
  }

  monotonic(): number {
    return this.elapsedMs;
  }

  after(delayMs: number, callback: () => void): Timer {
    const timer = { atMs: this.elapsedMs + delayMs, callback };
    this.#timers.add(timer);
    return { cancel: () => this.#timers.delete(timer) };
  }

  /** Time goes by, on both. */
  advance(byMs: number): void {
    this.wallMs += byMs;
    this.elapsedMs += byMs;
    for (const timer of [...this.#timers].filter(({ atMs }) => atMs <= this.elapsedMs)) {
      this.#timers.delete(timer);
      timer.callback();
    }
  }

  get seconds(): number {
    return Math.floor(this.wallMs / 1000);
  }
}

/** A log that keeps its lines. */
export class KeptLog implements Log {
  readonly lines: { level: string; fields: LogFields; message: string }[] = [];

  debug(fields: LogFields, message: string): void {
    this.lines.push({ level: 'debug', fields, message });
  }
  info(fields: LogFields, message: string): void {
    this.lines.push({ level: 'info', fields, message });
  }
  warn(fields: LogFields, message: string): void {
    this.lines.push({ level: 'warn', fields, message });
  }
  error(fields: LogFields, message: string): void {
    this.lines.push({ level: 'error', fields, message });
  }
  child(): Log {
    return this;
  }

  get last(): { level: string; fields: LogFields; message: string } {
    const line = this.lines.at(-1);
    if (line === undefined) throw new Error('nothing was logged');
    return line;
  }
}

/** Counters by name and labels: `name{a,b}`. */
export class KeptMetrics implements Metrics {
  readonly counts: Map<string, number> = new Map();
  readonly gauges: Map<string, () => number> = new Map();

  counter(name: string): Counter {
    return { add: (amount = 1) => this.counts.set(name, (this.counts.get(name) ?? 0) + amount) };
  }
  counters(name: string): (...values: string[]) => Counter {
    return (...values) => this.counter(`${name}{${values.join(',')}}`);
  }
  gauge(name: string, _help: string, read: () => number): void {
    this.gauges.set(name, read);
  }
}

type KeyKind = 'ES256' | 'ES384' | 'EdDSA' | 'RS256' | 'PS256' | 'RS256-1024';

/** A signing key of an issuer. */
export interface SigningKey {
  readonly kid: string;
  readonly algorithm: string;
  readonly privateKey: KeyObject;
  readonly publicKey: KeyObject;
  readonly jwk: JsonWebKey;
}

export function makeKey(kid: string, kind: KeyKind = 'ES256'): SigningKey {
  const { privateKey, publicKey } = generate(kind);
  const algorithm = kind === 'RS256-1024' ? 'RS256' : kind;
  const jwk = { ...publicKey.export({ format: 'jwk' }), kid, use: 'sig' };
  return { kid, algorithm, privateKey, publicKey, jwk };
}

function generate(kind: KeyKind): { privateKey: KeyObject; publicKey: KeyObject } {
  switch (kind) {
    case 'ES256':
      return generateKeyPairSync('ec', { namedCurve: 'P-256' });
    case 'ES384':
      return generateKeyPairSync('ec', { namedCurve: 'P-384' });
    case 'EdDSA':
      return generateKeyPairSync('ed25519');
    case 'RS256-1024':
      return generateKeyPairSync('rsa', { modulusLength: 1024 });
    default:
      return generateKeyPairSync('rsa', { modulusLength: 2048 });
  }
}

export function jwks(...keys: readonly { jwk: JsonWebKey }[]): string {
  return JSON.stringify({ keys: keys.map(({ jwk }) => jwk) });
}

type Json = Record<string, unknown>;

/** A token of that key; members of `header` and `claims` that are undefined are left out. */
export function signToken(key: SigningKey, claims: Json, header: Json = {}): string {
  const input = `${encode({ alg: key.algorithm, kid: key.kid, ...header })}.${encode(claims)}`;
  return `${input}.${signature(key, input).toString('base64url')}`;
}

function signature(key: SigningKey, input: string): Buffer {
  const bytes = Buffer.from(input);
  switch (key.algorithm) {
    case 'ES256':
      return sign('sha256', bytes, { key: key.privateKey, dsaEncoding: 'ieee-p1363' });
    case 'ES384':
      return sign('sha384', bytes, { key: key.privateKey, dsaEncoding: 'ieee-p1363' });
    case 'EdDSA':
      return sign(null, bytes, key.privateKey);
    case 'PS256':
      return sign('sha256', bytes, { key: key.privateKey, padding: 6, saltLength: 32 });
    default:
      return sign('sha256', bytes, key.privateKey);
  }
}

/** What whoever takes the algorithm from the header would accept: an HMAC under the public key's own text. */
export function signWithPublicKey(key: SigningKey, claims: Json): string {
  const input = `${encode({ alg: 'HS256', kid: key.kid })}.${encode(claims)}`;
  const secret = key.publicKey.export({ format: 'pem', type: 'spki' });
  return `${input}.${createHmac('sha256', secret).update(input).digest('base64url')}`;
}

/** A token that nobody signed. */
export function unsignedToken(claims: Json, algorithm = 'none'): string {
  return `${encode({ alg: algorithm })}.${encode(claims)}.`;
}

export function encode(value: unknown): string {
  return Buffer.from(JSON.stringify(value)).toString('base64url');
}

export const corpIssuer = 'https://idp.example';

/** Claims that pass at this clock's time, and changes to them. */
export function honestClaims(clock: SetClock, changes: Json = {}): Json {
  return {
    iss: corpIssuer,
    sub: 'alice',
    aud: 'lockwire',
    iat: clock.seconds - 10,
    exp: clock.seconds + 3600,
    ...changes,
  };
}

/** An issuer `corp` with these keys in a file, and changes to it. */
export function corp(keys: readonly SigningKey[], changes: Partial<IssuerOptions> = {}): IssuerOptions {
  return {
    name: 'corp',
    issuer: corpIssuer,
    audience: 'lockwire',
    token: 'access',
    jwks: { kind: 'file', path: 'jwks.json', text: jwks(...keys) },
    ...changes,
  };
}

export function trust(
  issuers: readonly IssuerOptions[],
  authorities: AuthenticatorOptions['authorities'] = [],
): AuthenticatorOptions {
  return { issuers, authorities, builtAtMs: Date.UTC(2026, 10, 1) };
}

/** Answers from a table of URLs, counting; what is missing fails. */
export class FakeFetch {
  readonly answers: Map<string, string> = new Map();
  readonly asked: string[] = [];
  /** While set, answers wait for it. */
  gate: Promise<void> | undefined;

  readonly get: HttpsGet = async url => {
    this.asked.push(url);
    await this.gate;
    const answer = this.answers.get(url);
    if (answer === undefined) throw new LockwireError('io', `'${url}' answered 503, 200 wanted`);
    return answer;
  };
}

/** The code and message of the LockwireError that this ends with. */
export async function refusalOf(attempt: Promise<unknown> | (() => unknown)): Promise<LockwireError> {
  try {
    await (typeof attempt === 'function' ? attempt() : attempt);
  } catch (error) {
    if (error instanceof LockwireError) return error;
    throw error;
  }
  throw new Error('it was not refused');
}

export function sha256(bytes: Uint8Array, encoding: 'hex' | 'base64url' = 'base64url'): string {
  return createHash('sha256').update(bytes).digest(encoding);
}

/** Reads `User::issuer|sub` or `Workload::name|san`, as logs write them. */
export function principalOf(text: string, groups: readonly string[] = [], email?: string): Principal {
  const [, kind, source = '', name = ''] = /^(User|Workload)::([^|/]+)\|(.+)$/.exec(text) ?? [];
  if (kind === 'Workload') return { kind: 'workload', source, name, groups };
  if (kind === undefined) throw new Error(`'${text}' is no principal`);
  return { kind: 'user', issuer: source, subject: name, groups, ...(email === undefined ? {} : { email }) };
}
