import { createHash } from 'node:crypto';
import { compactVerify } from 'jose';
import { safeText } from '../../core/bytes.ts';
import type { Clock } from '../../core/clock.ts';
import type { Presented } from '../../core/ports.ts';
import type { Identity } from '../../core/session.ts';
import { Lru } from '../lru.ts';
import { checkTimes, readClaims, type TokenFacts } from './claims.ts';
import { checkConfirmation } from './confirmation.ts';
import type { IssuerKey } from './key-set.ts';
import type { KeySource } from './key-source.ts';
import { defaultAlgorithms, type IssuerOptions, maxCachedTokens, tokenCacheMs } from './options.ts';
import { Refusal, tokenRefused } from './refusal.ts';
import type { SignatureSlots } from './signature-slots.ts';
import { type ParsedToken, parseJson, parseToken } from './token.ts';

/** An issuer's rules with its keys. */
export interface TrustedIssuer {
  readonly options: IssuerOptions;
  readonly keys: KeySource;
}

/** A verified token. */
interface CachedToken {
  readonly facts: TokenFacts;
  readonly issuer: string;
  /** Monotonic: setting the clock back must not make it live longer. */
  readonly untilMs: number;
}

export interface VerifiedToken {
  readonly identity: Identity;
  /** The configured name of the issuer. */
  readonly issuer: string;
  readonly cached: boolean;
}

/** Tells the caller which issuer a token claimed to be of, whatever becomes of it: for the log. */
export interface TokenTrace {
  /** The configured name, once it is known. */
  issuer: string;
}

/** Judges tokens by one configuration; a reload makes a new one. */
export class TokenVerifier {
  readonly #issuers: ReadonlyMap<string, TrustedIssuer>;
  readonly #slots: SignatureSlots;
  readonly #clock: Clock;
  readonly #cache = new Lru<CachedToken>(maxCachedTokens);

  constructor(issuers: readonly TrustedIssuer[], slots: SignatureSlots, clock: Clock) {
    this.#issuers = new Map(issuers.map(issuer => [issuer.options.issuer, issuer]));
    this.#slots = slots;
    this.#clock = clock;
  }

  get cachedTokens(): number {
    return this.#cache.size;
  }

  /** Throws Refusal. */
  async verify(token: string, presented: Presented, trace: TokenTrace): Promise<VerifiedToken> {
    const parsed = parseToken(token);
    const hash = createHash('sha256').update(token).digest('hex');
    const cached = this.#cached(hash);
    const facts = cached?.facts ?? (await this.#check(token, parsed, hash, trace));
    // Not part of what is cached: it depends on the connection.
    if (cached) trace.issuer = cached.issuer;
    checkConfirmation(facts.confirmation, presented);
    const { principal, credential } = facts;
    return { identity: { principal, credential }, issuer: trace.issuer, cached: cached !== undefined };
  }

  #cached(hash: string): CachedToken | undefined {
    const cached = this.#cache.get(hash);
    if (cached === undefined) return undefined;
    const { notBeforeMs, credential } = cached.facts;
    const nowMs = this.#clock.now();
    // The skew is for the first look; a cached token never lives past its own end.
    if (this.#clock.monotonic() < cached.untilMs && nowMs < credential.expiresAtMs) {
      checkTimes(notBeforeMs, credential.expiresAtMs, nowMs);
      return cached;
    }
    this.#cache.delete(hash);
    return undefined;
  }

  async #check(token: string, parsed: ParsedToken, hash: string, trace: TokenTrace): Promise<TokenFacts> {
    const issuer = this.#issuers.get(parsed.issuer);
    if (issuer === undefined)
      throw new Refusal('issuer', `issuer '${safeText(parsed.issuer, 128)}' is not configured`, tokenRefused);
    const { options, keys } = issuer;
    trace.issuer = options.name;
    // Before any key is looked at: the header chooses among what is configured, never beyond it (RFC 8725 section 3.1).
    if (!(options.algorithms ?? defaultAlgorithms).includes(parsed.algorithm))
      throw new Refusal('algorithm', `alg '${safeText(parsed.algorithm, 32)}' is not taken`, tokenRefused);
    const candidates = await keys.find(parsed.algorithm, parsed.kid);
    if (candidates.length === 0)
      throw new Refusal(
        'key',
        parsed.kid === undefined
          ? `no kid, and not exactly one key for '${parsed.algorithm}'`
          : `no key '${safeText(parsed.kid, 64)}' for '${parsed.algorithm}'`,
        tokenRefused,
      );
    const payload = await this.#slots.run(() => verifySignature(token, parsed.algorithm, candidates));
    const nowMs = this.#clock.now();
    const facts = readClaims(parseJson(payload, 'payload'), parsed.type, options, nowMs, hash);
    this.#cache.set(hash, { facts, issuer: options.name, untilMs: this.#clock.monotonic() + tokenCacheMs });
    return facts;
  }
}

/** The payload, if one of the keys signed it. */
async function verifySignature(
  token: string,
  algorithm: string,
  candidates: readonly IssuerKey[],
): Promise<Uint8Array> {
  for (const candidate of candidates) {
    try {
      const key = await candidate.imported(algorithm);
      const { payload } = await compactVerify(token, key, { algorithms: [algorithm] });
      return payload;
    } catch {
      // Several keys may share a kid (RFC 7517 section 4.5); and why one failed is nobody's business.
    }
  }
  throw new Refusal('signature', 'signature does not verify', tokenRefused);
}
