import type { Clock } from './core/clock.ts';
import { LockwireError, messageOf } from './core/errors.ts';
import type { AcceptedConnection, Authenticator, Log } from './core/ports.ts';
import { type CloseReason, type Identity, principalName } from './core/session.ts';
import { TokenBucket } from './core/token-bucket.ts';
import { Expiry } from './gateway-expiry.ts';
import { fingerprintOf, type Judge } from './gateway-judge.ts';
import type { LiveDirect, LiveSessions } from './gateway-live.ts';
import { Bearer } from './relay/http2/bearer.ts';
import { type Refusal, refusalOf } from './relay/http2/refusal.ts';
import type { RequestHead } from './relay/http2/request.ts';
import { RefusedHello } from './tunnel/refused-hello.ts';

export interface HttpBearersPorts {
  readonly clock: Clock;
  readonly log: Log;
  readonly authenticator: Authenticator;
  readonly judge: Judge;
  readonly live: LiveSessions;
}

/** Somebody whose credential was verified on this connection. */
export interface KnownBearer {
  readonly identity: Identity;
  readonly bearer: Bearer;
  /** Wall time from which the credential is looked at again. */
  readonly expiresAtMs: number;
}

interface Entry extends KnownBearer {
  readonly direct: LiveDirect;
  readonly expiry: Expiry;
}

/** Credentials of one connection that are remembered. */
const maxBearers = 1_024;
/** Refused credentials in a minute after which the connection ends; the source's own count shuts out only new ones. */
const maxFailures = 20;
/** A refused credential is refused again without a look for so long. */
const refusedForMs = 10_000;
/** Refused credentials that are known: each counts once, and not at all where it was good before. */
const maxRefused = 64;
/** A verified credential counts for so long, then it is verified anew. */
const verifiedForMs = 300_000;

/**
 * Who is who on one direct HTTP/2 connection. A token in a request counts for that request alone, the client's
 * certificate for those without one. Each lives in `live.direct`, so a revocation finds it.
 */
export class HttpBearers {
  readonly #ports: HttpBearersPorts;
  readonly #connection: AcceptedConnection;
  readonly #onChange: () => void;
  readonly #onTooMany: () => void;
  readonly #failures: TokenBucket;
  readonly #fingerprints: readonly string[];
  /** By token; '' is the certificate. The one used longest ago is first. */
  readonly #entries = new Map<string, Entry>();
  /** By token; the oldest is first. */
  readonly #refused = new Map<string, { readonly refusal: Refusal; readonly untilMs: number }>();
  /** By token: requests that come with it meanwhile wait for the same answer. */
  readonly #verifying = new Map<string, Promise<KnownBearer | Refusal>>();

  /** `onChange`: a verdict given before may not hold. `onTooMany`: credentials were refused once too often. */
  constructor(
    ports: HttpBearersPorts,
    connection: AcceptedConnection,
    onChange: () => void,
    onTooMany: () => void,
  ) {
    this.#ports = ports;
    this.#connection = connection;
    this.#onChange = onChange;
    this.#onTooMany = onTooMany;
    this.#failures = new TokenBucket(maxFailures / 60, maxFailures, ports.clock.monotonic());
    this.#fingerprints = connection.certificates.map(fingerprintOf);
  }

  /** Whose request it is; a refusal where that is nobody. */
  of({ token }: RequestHead): KnownBearer | Refusal | Promise<KnownBearer | Refusal> {
    const key = token ?? '';
    const known = this.#entries.get(key);
    if (known !== undefined && known.expiresAtMs > this.#ports.clock.now()) {
      this.#entries.delete(key);
      this.#entries.set(key, known);
      return known;
    }
    if (token === undefined && this.#connection.certificates.length === 0) {
      const text = 'neither a token (authorization: Bearer) nor a client certificate was shown';
      return refusalOf({ code: 'unauthenticated', text });
    }
    const refused = this.#refused.get(key);
    if (refused !== undefined && refused.untilMs > this.#ports.clock.monotonic()) return refused.refusal;
    const underWay = this.#verifying.get(key) ?? this.#verify(key);
    this.#verifying.set(key, underWay);
    return underWay;
  }

  /** Names, each once. */
  principals(): string[] {
    return [...new Set([...this.#entries.values()].map(({ bearer }) => bearer.principal))];
  }

  close(): void {
    for (const key of [...this.#entries.keys()]) this.#drop(key);
  }

  async #verify(key: string): Promise<KnownBearer | Refusal> {
    const { judge } = this.#ports;
    try {
      const identity = await this.#identify(key);
      judge.admit({ identity, instance: '', certificates: this.#fingerprints });
      if (identity.credential.expiresAtMs <= this.#ports.clock.now())
        throw new LockwireError('unauthenticated', `the ${identity.credential.kind} has run out`);
      this.#refused.delete(key);
      return this.#remember(key, identity);
    } catch (error) {
      return this.#refusal(key, error);
    } finally {
      this.#verifying.delete(key);
    }
  }

  #refusal(key: string, error: unknown): Refusal {
    if (error instanceof RefusedHello) return refusalOf(error.reason);
    if (!(error instanceof LockwireError)) {
      this.#ports.log.error({ error: messageOf(error) }, 'internal error while a credential was checked');
      return refusalOf({ code: 'internal', text: 'internal error' });
    }
    // Keys that can't be had just now are nobody's fault.
    if (error.code === 'unavailable' || error.code === 'limit')
      return refusalOf({ code: error.code, text: error.message });
    const isNew = !this.#refused.has(key);
    const refusal = this.#rememberRefusal(key, { code: 'unauthenticated', text: error.message });
    if (isNew) {
      this.#connection.failed();
      if (!this.#failures.take(this.#ports.clock.monotonic())) this.#onTooMany();
    }
    return refusal;
  }

  #rememberRefusal(key: string, reason: CloseReason): Refusal {
    const refusal = refusalOf(reason);
    this.#refused.delete(key);
    this.#refused.set(key, { refusal, untilMs: this.#ports.clock.monotonic() + refusedForMs });
    for (const oldest of this.#refused.keys()) {
      if (this.#refused.size <= maxRefused) break;
      this.#refused.delete(oldest);
    }
    return refusal;
  }

  async #identify(key: string): Promise<Identity> {
    const { authenticator } = this.#ports;
    const { certificates } = this.#connection;
    if (key === '') return authenticator.certificate(certificates);
    const [certificate] = certificates;
    return await authenticator.token(key, certificate ? { certificate } : {});
  }

  #remember(key: string, identity: Identity): KnownBearer | Refusal {
    // Two requests may have come with it in the same moment.
    const former = this.#entries.get(key);
    if (former?.identity === identity) return former;
    const live = former?.bearer;
    if (former) this.#drop(key);
    if (!this.#makeRoom())
      return refusalOf({
        code: 'limit',
        text: `${maxBearers} credentials are in use on this connection, the limit`,
      });
    const bearer = live ?? new Bearer(principalName(identity.principal));
    const { clock } = this.#ports;
    const expiry = new Expiry(clock, () =>
      this.#end(key, { code: 'expired', text: `the ${identity.credential.kind} has run out` }),
    );
    expiry.watch(identity.credential.expiresAtMs);
    const direct: LiveDirect = {
      session: this.#connection.facts.session,
      instance: '',
      certificates: this.#fingerprints,
      identity,
      verify: () => this.#identify(key),
      close: reason => this.#end(key, reason),
    };
    const expiresAtMs = Math.min(identity.credential.expiresAtMs, clock.now() + verifiedForMs);
    const entry: Entry = { identity, bearer, expiresAtMs, direct, expiry };
    this.#entries.set(key, entry);
    this.#ports.live.direct.add(direct);
    return entry;
  }

  /** Forgets whoever has nothing going on; false where all have. */
  #makeRoom(): boolean {
    if (this.#entries.size < maxBearers) return true;
    for (const [key, { bearer }] of this.#entries) {
      if (bearer.live.size > 0) continue;
      this.#drop(key);
      this.#onChange();
      return true;
    }
    return false;
  }

  #end(key: string, reason: CloseReason): void {
    const entry = this.#entries.get(key);
    if (entry === undefined) return;
    this.#drop(key);
    // It was good once: a client that tries it again must not cost the others their connection.
    if (reason.code === 'expired') this.#rememberRefusal(key, reason);
    // What was decided for it before must not be kept.
    this.#onChange();
    entry.bearer.close(reason);
  }

  #drop(key: string): void {
    const entry = this.#entries.get(key);
    if (entry === undefined) return;
    this.#entries.delete(key);
    entry.expiry.cancel();
    this.#ports.live.direct.delete(entry.direct);
  }
}
