import type { Timer } from '../core/clock.ts';
import { LockwireError, messageOf } from '../core/errors.ts';
import type { InstanceKey } from '../core/ports.ts';
import type { CloseReason } from '../core/session.ts';
import { TokenBucket } from '../core/token-bucket.ts';
import type { Role } from '../wire/tunnel/frames.ts';
import type { TunnelClientPorts } from './client-ports.ts';
import { CredentialRenewal, tokenDigest } from './credential-renewal.ts';
import { type GoneLimits, GoneWatch } from './gone.ts';
import { type Dialled, dialTunnel, type Fresh, OtherInstance, TunnelRefused } from './handshake-dial.ts';
import type { TunnelSession } from './session.ts';
import { timely } from './timely-dial.ts';

export interface TunnelClientOptions extends GoneLimits {
  readonly role: Role;
  /** The target that an expose serves; '' for a connect. */
  readonly target: string;
  readonly instanceKey: InstanceKey;
  readonly software: string;
  /** Delay before the second redial; it doubles up to the maximum. The first redial is at once. */
  readonly firstRedialMs: number;
  readonly maxRedialMs: number;
  /**
   * The longest wait between redials after the gateway went away, while its port refuses: a successor may listen at any
   * moment, and whoever comes to it meanwhile finds nobody. For so long; then it is down.
   */
  readonly successorRedialMs: number;
  readonly successorForMs: number;
  /** Go-aways after which the first redial comes soon, kept up and in a row, however short the gateway was there. */
  readonly followedPerSecond: number;
  readonly followedBurst: number;
  /** Calls of `session` that may wait at once. */
  readonly maxWaiting: number;
  /** Redials at once, without a delay: kept up, and in a row. A connection that breaks again and again is not hammered. */
  readonly promptRedialsPerSecond: number;
  readonly promptRedialsBurst: number;
  /**
   * A try to resume is given up after so long, the next after twice that, and so on to the handshake's own limit: the
   * gateway keeps what was cut off for seconds only, and a try may hang in a network that swallows it.
   */
  readonly firstResumeTimeoutMs: number;
  /**
   * A credential that was refused is shown again after so long, unless there is another one sooner: a source may fail
   * 20 times a minute, and its neighbours behind the same address need those too.
   */
  readonly refusedCredentialMs: number;
}

export const defaultRedial: Omit<TunnelClientOptions, 'role' | 'target' | 'instanceKey' | 'software'> = {
  firstRedialMs: 100,
  maxRedialMs: 5_000,
  successorRedialMs: 500,
  successorForMs: 60_000,
  followedPerSecond: 0.2,
  followedBurst: 20,
  maxWaiting: 64,
  promptRedialsPerSecond: 2,
  promptRedialsBurst: 20,
  firstResumeTimeoutMs: 2_000,
  refusedForMs: 3_000,
  elsewhereForMs: 3_000,
  elsewhereRedialMs: 200,
  refusedCredentialMs: 60_000,
};

/** Refusals of the credential itself: the same one would be refused again, and count as another failure. */
const refusedCredential: ReadonlySet<string> = new Set(['unauthenticated', 'expired']);

/** Keeps one tunnel session to a gateway: dials, and dials again when it is lost or the gateway drains. */
export class TunnelClient {
  readonly #options: TunnelClientOptions;
  readonly #ports: TunnelClientPorts;
  #session: TunnelSession | undefined;
  /** Of the session: what proves that we may resume it. */
  #secret: Uint8Array = new Uint8Array();
  #attempt = 0;
  /** Its gateway process, and how many stand behind the address. */
  #instance: string | undefined;
  #instances = 1;
  #dialling = false;
  readonly #gone: GoneWatch;
  /** Sessions whose gateway drains: their streams run on. */
  readonly #draining = new Set<TunnelSession>();
  readonly #renewal: CredentialRenewal;
  /** Digest of the token that was shown last; and of the one that was refused. */
  #shown = '';
  #refused: string | undefined;
  readonly #prompt: TokenBucket;
  readonly #followed: TokenBucket;
  /** Tries to resume since the session was last attached. */
  #tries = 0;
  readonly #waiting = new Set<(session: TunnelSession | undefined) => void>();
  #failures = 0;
  #upAtMs = 0;
  /** When the gateway last said that it goes away. */
  #wentAwayAtMs = Number.NEGATIVE_INFINITY;
  #redial: Timer | undefined;
  #stopped = false;

  constructor(options: TunnelClientOptions, ports: TunnelClientPorts) {
    this.#options = options;
    this.#ports = ports;
    this.#gone = new GoneWatch(options);
    const { promptRedialsPerSecond, promptRedialsBurst, followedPerSecond, followedBurst } = options;
    this.#followed = new TokenBucket(followedPerSecond, followedBurst, ports.clock.monotonic());
    this.#renewal = new CredentialRenewal(ports);
    this.#prompt = new TokenBucket(promptRedialsPerSecond, promptRedialsBurst, ports.clock.monotonic());
  }

  /** Dials until there is a session, and again whenever it is lost. */
  startPatiently(): void {
    this.#dialIn(0);
  }

  /** The session that takes new streams, waiting for one at most so long. */
  session(waitMs: number): Promise<TunnelSession> {
    if (this.#session?.state === 'open') return Promise.resolve(this.#session);
    const { maxWaiting } = this.#options;
    if (this.#waiting.size >= maxWaiting) {
      return Promise.reject(
        new LockwireError('limit', `${maxWaiting} connections wait for the gateway, the limit`),
      );
    }
    return new Promise((resolve, reject) => {
      const settle = (session: TunnelSession | undefined): void => {
        timer.cancel();
        this.#waiting.delete(settle);
        if (session) resolve(session);
        else reject(new LockwireError('unavailable', `no session with the gateway within ${waitMs} ms`));
      };
      const timer = this.#ports.clock.after(waitMs, () => settle(undefined));
      this.#waiting.add(settle);
    });
  }

  /** Ends all sessions: at once, or after their streams where `drain`. */
  stop(reason: CloseReason, drain: boolean): void {
    this.#stopped = true;
    for (const settle of [...this.#waiting]) settle(undefined);
    for (const session of [...this.#draining, ...(this.#session ? [this.#session] : [])]) {
      if (drain) session.drain(reason);
      else session.close(reason);
    }
    if (!this.#awaitsResume) this.#cancelRedial();
  }

  /** Streams of all its sessions. */
  get streamCount(): number {
    let count = this.#session?.streamCount ?? 0;
    for (const session of this.#draining) count += session.streamCount;
    return count;
  }

  async #dial(): Promise<void> {
    const claimed = new Set<string>();
    try {
      await this.#dialFor(claimed);
    } finally {
      // What came of it has its claim; what came to nothing has none.
      for (const instance of claimed) this.#ports.claims?.release(instance);
    }
  }

  async #dialFor(claimed: Set<string>): Promise<void> {
    const { role, target, instanceKey, software } = this.#options;
    const token = await this.#ports.token();
    this.#shown = tokenDigest(token);
    if (this.#shown !== this.#refused) this.#refused = undefined;
    const startedMs = this.#ports.clock.monotonic();
    const withinMs = this.#tryTimeoutMs();
    const connection = await timely(this.#ports.dial(), withinMs, this.#ports.clock);
    const lost = this.#awaitsResume ? this.#session : undefined;
    if (lost) this.#attempt += 1;
    const leftMs = Math.max(1, withinMs - (this.#ports.clock.monotonic() - startedMs));
    const { limits } = this.#ports;
    let own: TunnelSession | undefined;
    let instances: number | undefined;
    const dialled = await dialTunnel(
      connection.carrier,
      {
        role,
        target,
        token,
        instanceKey,
        exporter: connection.exporter(),
        certificateIssuer: connection.facts.peerIssuer ?? 'an unknown issuer',
        software,
        ...(lost ? { resume: { session: lost, secret: this.#secret, attempt: this.#attempt } } : {}),
        ...this.#ports.trust?.(),
        wants: instance => this.#wants(instance, lost, claimed),
      },
      {
        ...this.#ports,
        limits: { ...limits, handshakeTimeoutMs: Math.min(limits.handshakeTimeoutMs, leftMs) },
        onGoAway: reason => this.#goesAway(own, reason),
        onRenew: () => Promise.reject(new LockwireError('protocol', 'a gateway renews nothing')),
        onRenewed: expiresAt => {
          if (own) this.#renewal.renewed(own, expiresAt);
        },
        onInstances: count => {
          instances = count;
          if (own) this.#counted(own, count);
        },
        onDetached: reason => this.#detached(own, reason),
        onClosed: reason => this.#lost(own, reason),
      },
    );
    this.#gone.reset();
    this.#refused = undefined;
    if (dialled.resumed) return this.#resumed(dialled, token);
    own = dialled.session;
    if (dialled.welcome.instance === this.#instance) {
      // The same process, which forgot the session: its claim goes over to the new one.
      this.#instance = undefined;
      claimed.add(dialled.welcome.instance);
    }
    // Before the new one counts: the gateway knows the old one no more.
    lost?.close({ code: 'session-lost', text: 'the gateway was restarted and knows the session no more' });
    if (own.state !== 'open') {
      own.close({ code: 'shutdown', text: 'goes away at once' });
      throw new LockwireError('unavailable', 'the gateway ended the session at once');
    }
    if (this.#stopped) {
      own.close({ code: 'shutdown', text: 'stopping' });
      throw new LockwireError('closed', 'stopping');
    }
    claimed.clear();
    this.#up(dialled, token);
    // It came right behind the Welcome.
    if (instances !== undefined) this.#counted(own, instances);
  }

  /** Whether this process is the one: that of the session that waits, or one that is nobody's yet. */
  #wants(instance: string, lost: TunnelSession | undefined, claimed: Set<string>): boolean {
    if (lost && instance === this.#instance) return true;
    if (this.#stopped && !lost) return false;
    // Its own may well be behind the same address still.
    if (lost && this.#instances > 1) return false;
    if (this.#ports.claims?.claim(instance) === false) return false;
    claimed.add(instance);
    return true;
  }

  #counted(session: TunnelSession, instances: number): void {
    if (session !== this.#session) return;
    this.#instances = instances;
    this.#ports.onInstances?.(instances);
  }

  /** The session is over, or its gateway takes nothing new: another may have a session there. */
  #leave(): void {
    const instance = this.#instance;
    this.#instance = undefined;
    this.#gone.reset();
    if (instance !== undefined) this.#ports.claims?.release(instance);
  }

  /** How long the whole try may take, from the dial on. */
  #tryTimeoutMs(): number {
    const { handshakeTimeoutMs } = this.#ports.limits;
    if (this.#session === undefined || !this.#awaitsResume) return 2 * handshakeTimeoutMs;
    // A way that is long needs its time: two round trips for TCP and TLS, two for the handshake, and as much again.
    const leastMs = Math.max(this.#options.firstResumeTimeoutMs, 8 * this.#session.roundTripMs());
    const timeoutMs = leastMs * 2 ** Math.min(this.#tries, 8);
    this.#tries += 1;
    return Math.min(timeoutMs, 2 * handshakeTimeoutMs);
  }

  /** The session waits for another connection. */
  get #awaitsResume(): boolean {
    const session = this.#session;
    return session?.resumable === true && !session.attached;
  }

  #resumed({ session, expiresAt }: Extract<Dialled, { resumed: true }>, token: string): void {
    const awayMs = this.#ports.clock.monotonic() - session.detachedAtMs;
    this.#tries = 0;
    this.#upAtMs = this.#ports.clock.monotonic();
    this.#renewal.admitted(session, token, expiresAt);
    this.#ports.onResumed(awayMs);
  }

  #up(dialled: Fresh, token: string): void {
    this.#session = dialled.session;
    this.#secret = dialled.welcome.sessionSecret;
    this.#instance = dialled.welcome.instance;
    this.#instances = dialled.welcome.instances;
    this.#attempt = 0;
    this.#tries = 0;
    this.#upAtMs = this.#ports.clock.monotonic();
    this.#renewal.admitted(dialled.session, token, dialled.welcome.expiresAt);
    this.#ports.onUp(dialled);
    for (const settle of [...this.#waiting]) settle(dialled.session);
  }

  /**
   * There may be another token: shows it, without waiting for the old one to run out or to be tried again. `another`
   * where the client certificate is another one.
   */
  async renewNow(another = false): Promise<void> {
    for (const session of [...this.#draining, ...(this.#session ? [this.#session] : [])])
      void this.#renewal.look(session);
    if (this.#refused === undefined || this.#redial === undefined) return;
    // What cannot be read says why when it is dialled with.
    const token = await this.#ports.token().catch(() => undefined);
    if (another || (token !== undefined && tokenDigest(token) !== this.#refused)) void this.#dialAgain();
  }

  #goesAway(session: TunnelSession | undefined, reason: CloseReason): void {
    if (session === undefined || session !== this.#session) return;
    this.#session = undefined;
    this.#wentAwayAtMs = this.#ports.clock.monotonic();
    this.#draining.add(session);
    this.#ports.log.info(
      { session: session.facts.id, reason: reason.text },
      'gateway goes away; dialling again',
    );
    this.#leave();
    // It says good-bye and did not fail, however short it was there.
    if (this.#followed.take(this.#wentAwayAtMs)) this.#failures = 0;
    this.#redialAfterUp();
  }

  /** Another connection may take over; the streams go on meanwhile. */
  #detached(session: TunnelSession | undefined, reason: CloseReason): void {
    if (session === undefined) return;
    if (session !== this.#session) {
      return session.close({ code: 'session-lost', text: `tunnel lost: ${reason.text}` });
    }
    this.#ports.log.info(
      { session: session.facts.id, detail: reason.text },
      'connection lost; dialling again',
    );
    const nowMs = this.#ports.clock.monotonic();
    const prompt = this.#prompt.take(nowMs);
    // One that carried something for a while did not fail; only what breaks at once makes the next wait longer.
    if (prompt || nowMs - this.#upAtMs >= this.#options.firstRedialMs) this.#failures = 0;
    if (prompt) void this.#dialAgain();
    else this.#redialLater();
  }

  #lost(session: TunnelSession | undefined, reason: CloseReason): void {
    if (session) this.#renewal.forget(session);
    if (session === undefined || this.#draining.delete(session)) return;
    if (session !== this.#session || this.#stopped) return;
    this.#session = undefined;
    this.#leave();
    this.#ports.onDown(new LockwireError('unavailable', `tunnel lost: ${reason.text || reason.code}`));
    this.#redialAfterUp();
  }

  /** At once after a session that lasted; a gateway that takes us up and drops us again is not hammered. */
  #redialAfterUp(): void {
    if (this.#stopped) return;
    const lastedMs = this.#ports.clock.monotonic() - this.#upAtMs;
    if (lastedMs < this.#options.maxRedialMs) return this.#redialLater();
    this.#failures = 0;
    this.#dialIn(0);
  }

  async #dialAgain(): Promise<void> {
    if (this.#dialling || !this.#needsConnection) return;
    this.#dialling = true;
    this.#cancelRedial();
    try {
      await this.#dial();
    } catch (error) {
      if (!this.#needsConnection) return;
      const failure =
        error instanceof LockwireError ? error : new LockwireError('unavailable', messageOf(error));
      this.#failed(failure);
      this.#redialLater();
    } finally {
      this.#dialling = false;
    }
    // Lost again before anybody looked at it as ours.
    if (this.#awaitsResume && this.#redial === undefined) this.#redialLater();
  }

  /** While it stops, only the streams of a lost connection do. */
  get #needsConnection(): boolean {
    return this.#awaitsResume || (!this.#stopped && this.#session === undefined);
  }

  #cancelRedial(): void {
    this.#redial?.cancel();
    this.#redial = undefined;
  }

  /** Of a dial. A detached session ends before its patience where it is sure that nothing will take it up. */
  #failed(failure: LockwireError): void {
    if (failure instanceof OtherInstance) {
      this.#ports.log.debug({ detail: failure.message }, 'another process of the gateway; dialling again');
      // What answers does not hang.
      this.#tries = 0;
    } else this.#ports.onDown(failure);
    if (failure instanceof TunnelRefused && refusedCredential.has(failure.reason.code))
      this.#refused = this.#shown;
    const verdict = this.#gone.failed(failure, this.#ports.clock.monotonic());
    const session = this.#session;
    if (verdict && session && !session.attached) session.close(verdict);
  }

  /** Doubling, with up to half of it left to chance, so that a thousand clients don't come back at once. */
  #redialLater(): void {
    const { firstRedialMs, maxRedialMs, refusedCredentialMs } = this.#options;
    const most = (this.#session ? this.#gone.mostRedialMs : this.#successorRedialMs) ?? maxRedialMs;
    const backOffMs = Math.min(most, firstRedialMs * 2 ** Math.min(this.#failures, 16));
    const delayMs = this.#refused === undefined ? backOffMs : refusedCredentialMs;
    this.#failures += 1;
    this.#dialIn(delayMs * (0.5 + Math.random() / 2));
  }

  get #successorRedialMs(): number | undefined {
    const { successorRedialMs, successorForMs } = this.#options;
    const awaited = this.#ports.clock.monotonic() - this.#wentAwayAtMs < successorForMs;
    return awaited && this.#gone.refuses ? successorRedialMs : undefined;
  }

  #dialIn(delayMs: number): void {
    this.#cancelRedial();
    const waitMs = this.#awaitsResume ? delayMs : (this.#ports.claims?.pace(delayMs) ?? delayMs);
    if (waitMs <= 0) return void this.#dialAgain();
    this.#redial = this.#ports.clock.after(waitMs, () => {
      this.#redial = undefined;
      void this.#dialAgain();
    });
  }
}
