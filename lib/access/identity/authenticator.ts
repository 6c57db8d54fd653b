import type { Clock } from '../../core/clock.ts';
import { type ErrorCode, LockwireError } from '../../core/errors.ts';
import type { Authenticator, Log, Metrics, Presented } from '../../core/ports.ts';
import type { Identity } from '../../core/session.ts';
import { LimitedLog } from '../limited-log.ts';
import { Authority } from './authority.ts';
import { CertificateVerifier } from './certificate-verifier.ts';
import { createHttpsGet, type HttpsGet } from './https-get.ts';
import { createKeySource, type KeySource } from './key-source.ts';
import { type AuthenticatorOptions, checkAuthenticatorOptions } from './options.ts';
import { Refusal } from './refusal.ts';
import { SignatureSlots } from './signature-slots.ts';
import { TokenVerifier, type TrustedIssuer } from './token-verifier.ts';

export interface IdentityPorts {
  readonly clock: Clock;
  readonly log: Log;
  readonly metrics: Metrics;
  /** How key sets are fetched; default: https, verified, without redirects. */
  readonly fetch?: HttpsGet;
}

/** An authenticator whose configuration can be replaced while it runs. */
export interface ReplaceableAuthenticator extends Authenticator {
  /**
   * Makes a new configuration ready, whole or, throwing `config`, not at all. The function that it gives puts it in
   * force and cannot fail. Verified tokens and paths are then forgotten; keys already fetched are kept for issuers that
   * stay the same, so that a reload works while an issuer is down.
   */
  prepare(options: AuthenticatorOptions): () => void;
  /** Rises with each: live sessions are judged anew when it does. */
  readonly generation: number;
}

/** One configuration at work; a reload makes another and lets this one go. */
interface Trust {
  readonly builtAtMs: number;
  readonly issuers: readonly TrustedIssuer[];
  readonly tokens: TokenVerifier;
  readonly certificates: CertificateVerifier;
}

/** Throws `config` with all that is wrong with the options. */
export function createAuthenticator(
  options: AuthenticatorOptions,
  ports: IdentityPorts,
): ReplaceableAuthenticator {
  return new IdentityRoom(options, ports);
}

class IdentityRoom implements ReplaceableAuthenticator {
  readonly #ports: IdentityPorts;
  readonly #get: HttpsGet;
  readonly #refusals: LimitedLog;
  readonly #slots = new SignatureSlots();
  #trust: Trust;
  #generation = 1;

  constructor(options: AuthenticatorOptions, ports: IdentityPorts) {
    this.#ports = ports;
    this.#get = ports.fetch ?? createHttpsGet(ports.clock);
    this.#refusals = new LimitedLog(ports.log, ports.clock);
    this.#trust = this.#build(options, []);
    ports.metrics.gauge(
      'lockwire_tokens_cached',
      'Verified tokens in the cache',
      () => this.#trust.tokens.cachedTokens,
    );
    ports.metrics.gauge(
      'lockwire_token_checks_pending',
      'Signature checks under way or waiting',
      () => this.#slots.pending,
    );
  }

  get generation(): number {
    return this.#generation;
  }

  prepare(options: AuthenticatorOptions): () => void {
    const trust = this.#build(options, this.#trust.issuers);
    return () => {
      this.#trust = trust;
      this.#generation += 1;
    };
  }

  async token(token: string, presented: Presented): Promise<Identity> {
    const trace = { issuer: '' };
    try {
      const { identity, cached } = await this.#verify(token, presented, trace);
      this.#count('token', trace.issuer, cached ? 'cached' : 'ok');
      return identity;
    } catch (error) {
      throw this.#refused('token', trace.issuer, error);
    }
  }

  certificate(chain: readonly Uint8Array[]): Identity {
    try {
      const identity = this.#trust.certificates.verify(chain, this.#nowMs());
      this.#count(
        'certificate',
        identity.principal.kind === 'workload' ? identity.principal.source : '',
        'ok',
      );
      return identity;
    } catch (error) {
      throw this.#refused('certificate', '', error);
    }
  }

  async #verify(
    token: string,
    presented: Presented,
    trace: { issuer: string },
  ): Promise<{ identity: Identity; cached: boolean }> {
    for (;;) {
      this.#nowMs();
      const { tokens } = this.#trust;
      const verified = await tokens.verify(token, presented, trace);
      // A reload came in between: what the old configuration says is worth nothing now.
      if (tokens === this.#trust.tokens) return verified;
    }
  }

  /** Wall time, unless it is plainly wrong: no date could be judged by it. */
  #nowMs(): number {
    const nowMs = this.#ports.clock.now();
    const { builtAtMs } = this.#trust;
    if (nowMs >= builtAtMs) return nowMs;
    throw new Refusal(
      'clock',
      `the gateway's clock says ${new Date(nowMs).toISOString()}, before this program was built (${new Date(builtAtMs).toISOString()}): set the clock`,
    );
  }

  #build(options: AuthenticatorOptions, previous: readonly TrustedIssuer[]): Trust {
    checkAuthenticatorOptions(options);
    const sources = previous.map(({ keys }) => keys);
    const issuers = options.issuers.map(issuer => ({
      options: issuer,
      keys: sources.find(source => source.serves(issuer)) ?? this.#keySource(issuer),
    }));
    const authorities = options.authorities.map(authority => new Authority(authority));
    checkAnchors(authorities);
    for (const { name, crlExpiresAtMs } of authorities) {
      if (crlExpiresAtMs <= this.#ports.clock.now())
        this.#ports.log.warn({ authority: name }, 'a CRL has run out: certificates of its CA are refused');
    }
    return {
      builtAtMs: options.builtAtMs,
      issuers,
      tokens: new TokenVerifier(issuers, this.#slots, this.#ports.clock),
      certificates: new CertificateVerifier(authorities),
    };
  }

  #keySource(issuer: AuthenticatorOptions['issuers'][number]): KeySource {
    const { clock, log, metrics } = this.#ports;
    return createKeySource(issuer, { clock, log, metrics, get: this.#get });
  }

  #count(kind: 'token' | 'certificate', source: string, result: string): void {
    this.#ports.metrics
      .counters('lockwire_credentials_total', 'Credentials judged, by configured source and result', [
        'kind',
        'source',
        'result',
      ])(kind, source, result)
      .add();
  }

  #refused(kind: 'token' | 'certificate', source: string, error: unknown): unknown {
    // Anything else is a bug of ours, and refuses as well.
    if (!(error instanceof Refusal)) return error;
    this.#count(kind, source, error.reason);
    this.#refusals.warn(
      source,
      { kind, source, reason: error.reason, detail: error.message },
      `refused a ${kind}`,
    );
    return new LockwireError(codes[error.reason] ?? 'unauthenticated', error.told);
  }
}

/** Two reasons are nobody's fault and worth another try. */
const codes: Readonly<Record<string, ErrorCode>> = { limit: 'limit', 'keys-unavailable': 'unavailable' };

/** One anchor under two names would leave it to chance who a certificate is. */
function checkAnchors(authorities: readonly Authority[]): void {
  const owners = new Map<string, string>();
  for (const { name, anchors } of authorities) {
    for (const { fingerprint, label } of anchors) {
      const owner = owners.get(fingerprint);
      if (owner !== undefined && owner !== name)
        throw new LockwireError('config', `CA '${label}' is in '${owner}' and in '${name}': one source only`);
      owners.set(fingerprint, name);
    }
  }
}
