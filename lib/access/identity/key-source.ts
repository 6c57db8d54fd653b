import { isDeepStrictEqual } from 'node:util';
import type { Clock } from '../../core/clock.ts';
import { LockwireError, messageOf } from '../../core/errors.ts';
import type { Log, Metrics } from '../../core/ports.ts';
import type { HttpsGet } from './https-get.ts';
import { type IssuerKey, KeySet } from './key-set.ts';
import {
  type IssuerOptions,
  isHttps,
  type JwksSource,
  jwksFreshMs,
  jwksRefetchMs,
  jwksRetryMs,
  jwksStaleMs,
  jwksTimeoutMs,
  maxJwksBytes,
  maxKeyWaiters,
} from './options.ts';
import { Refusal, tokenRefused } from './refusal.ts';
import { isObject } from './token.ts';

/** The keys of one issuer, wherever they are. */
export interface KeySource {
  /** Keys that may verify such a token; empty where there are none. Throws Refusal where they can't be had. */
  find(algorithm: string, kid: string | undefined): Promise<readonly IssuerKey[]>;
  /** True where this source would serve these options as well: it then survives a reload, with its keys. */
  serves(issuer: IssuerOptions): boolean;
}

export interface KeySourcePorts {
  readonly clock: Clock;
  readonly log: Log;
  readonly metrics: Metrics;
  readonly get: HttpsGet;
}

export function createKeySource(issuer: IssuerOptions, ports: KeySourcePorts): KeySource {
  return issuer.jwks.kind === 'file' ? new FileKeys(issuer.jwks) : new RemoteKeys(issuer, issuer.jwks, ports);
}

type RemoteSource = Exclude<JwksSource, { kind: 'file' }>;

class FileKeys implements KeySource {
  readonly #source: JwksSource;
  readonly #keys: KeySet;

  constructor(source: JwksSource & { kind: 'file' }) {
    this.#source = source;
    this.#keys = KeySet.parse(source.text, source.path);
  }

  find(algorithm: string, kid: string | undefined): Promise<readonly IssuerKey[]> {
    return Promise.resolve(this.#keys.candidates(algorithm, kid));
  }

  serves({ jwks }: IssuerOptions): boolean {
    return isDeepStrictEqual(jwks, this.#source);
  }
}

/**
 * Keys behind a URL. An unknown kid fetches them anew, at most every 30 s, and whoever asks meanwhile waits for the
 * fetch under way: refusing them would refuse good tokens at each rotation.
 */
class RemoteKeys implements KeySource {
  readonly #issuer: IssuerOptions;
  readonly #source: RemoteSource;
  readonly #ports: KeySourcePorts;
  #keys: KeySet | undefined;
  #fetchedAtMs = 0;
  #askedAtMs: number | undefined;
  #fetching: Promise<void> | undefined;
  #waiters = 0;

  constructor(issuer: IssuerOptions, source: RemoteSource, ports: KeySourcePorts) {
    this.#issuer = issuer;
    this.#source = source;
    this.#ports = ports;
  }

  serves({ name, issuer, jwks }: IssuerOptions): boolean {
    return (
      name === this.#issuer.name && issuer === this.#issuer.issuer && isDeepStrictEqual(jwks, this.#source)
    );
  }

  async find(algorithm: string, kid: string | undefined): Promise<readonly IssuerKey[]> {
    const known = this.#usable()?.candidates(algorithm, kid) ?? [];
    if (known.length > 0) {
      if (this.#ageMs() >= jwksFreshMs && this.#mayFetch()) void this.#fetch();
      return known;
    }
    if (this.#fetching !== undefined || this.#mayFetch()) await this.#wait();
    const keys = this.#usable();
    if (keys === undefined)
      throw new Refusal(
        'keys-unavailable',
        `the keys of issuer '${this.#issuer.name}' can't be had`,
        'the keys of the token issuer are not available; try again later',
      );
    return keys.candidates(algorithm, kid);
  }

  #ageMs(): number {
    return this.#ports.clock.monotonic() - this.#fetchedAtMs;
  }

  #usable(): KeySet | undefined {
    return this.#ageMs() < jwksStaleMs ? this.#keys : undefined;
  }

  #mayFetch(): boolean {
    if (this.#fetching !== undefined) return false;
    if (this.#askedAtMs === undefined) return true;
    const pauseMs = this.#usable() === undefined ? jwksRetryMs : jwksRefetchMs;
    return this.#ports.clock.monotonic() - this.#askedAtMs >= pauseMs;
  }

  async #wait(): Promise<void> {
    if (this.#waiters >= maxKeyWaiters)
      throw new Refusal(
        'limit',
        `${this.#waiters} tokens wait for keys, at most ${maxKeyWaiters}`,
        tokenRefused,
      );
    this.#waiters += 1;
    try {
      await this.#fetch();
    } finally {
      this.#waiters -= 1;
    }
  }

  /** One fetch at a time. Never rejects: a failure leaves the old keys in place and is logged. */
  #fetch(): Promise<void> {
    this.#fetching ??= this.#load().finally(() => {
      this.#fetching = undefined;
    });
    return this.#fetching;
  }

  async #load(): Promise<void> {
    const { clock, log, metrics } = this.#ports;
    const { name } = this.#issuer;
    this.#askedAtMs = clock.monotonic();
    const fetches = metrics.counters('lockwire_jwks_fetches_total', 'Fetches of an issuer key set', [
      'issuer',
      'result',
    ]);
    try {
      const { keys, source: url } = await fetchKeys(this.#issuer.issuer, this.#source, this.#ports.get);
      this.#keys = keys;
      this.#fetchedAtMs = clock.monotonic();
      fetches(name, 'ok').add();
      log.info(
        { issuer: name, url, keys: keys.size, ignored: keys.ignored },
        'fetched the keys of an issuer',
      );
    } catch (error) {
      fetches(name, 'failed').add();
      log.warn({ issuer: name, error: messageOf(error) }, 'could not fetch the keys of an issuer');
    }
  }
}

/** An issuer's keys, and where they are from. */
export interface LoadedKeys {
  readonly keys: KeySet;
  readonly source: string;
}

/** The keys of an issuer as they are now, from wherever it has them. Throws where they can't be had. */
export async function loadKeys({ issuer, jwks }: IssuerOptions, get: HttpsGet): Promise<LoadedKeys> {
  if (jwks.kind === 'file') return { keys: KeySet.parse(jwks.text, jwks.path), source: jwks.path };
  return await fetchKeys(issuer, jwks, get);
}

async function fetchKeys(issuer: string, source: RemoteSource, get: HttpsGet): Promise<LoadedKeys> {
  const fetch = (url: string): Promise<string> =>
    get(url, {
      ...(source.ca === undefined ? {} : { ca: source.ca }),
      maxBytes: maxJwksBytes,
      timeoutMs: jwksTimeoutMs,
    });
  const url = source.kind === 'url' ? source.url : await discover(issuer, fetch);
  return { keys: KeySet.parse(await fetch(url), `key set '${url}'`), source: url };
}

/** OpenID Connect Discovery 1.0 section 4: the document must name the very issuer it was asked for. */
async function discover(issuer: string, fetch: (url: string) => Promise<string>): Promise<string> {
  const url = `${issuer.replace(/\/$/, '')}/.well-known/openid-configuration`;
  const found: unknown = JSON.parse(await fetch(url));
  if (!isObject(found) || found.issuer !== issuer)
    throw new LockwireError('config', `'${url}' is not of issuer '${issuer}'`);
  const keysUrl = found.jwks_uri;
  if (typeof keysUrl !== 'string' || !isHttps(keysUrl))
    throw new LockwireError('config', `jwks_uri in '${url}' is not an https URL`);
  return keysUrl;
}
