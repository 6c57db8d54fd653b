import { safeText } from './core/bytes.ts';
import type { Clock } from './core/clock.ts';
import { LockwireError, messageOf } from './core/errors.ts';
import type {
  AcceptedConnection,
  Authenticator,
  Authorizer,
  InstanceKey,
  Log,
  Metrics,
} from './core/ports.ts';
import { type CloseReason, type Identified, type Identity, principalName } from './core/session.ts';
import type { Admissions } from './gateway-admissions.ts';
import { CredentialLife } from './gateway-credential-life.ts';
import { denial } from './gateway-denial.ts';
import type { Joiner } from './gateway-joiner.ts';
import { fingerprintOf, type Judge, WrongCode } from './gateway-judge.ts';
import type { LiveSessions, LiveTunnel } from './gateway-live.ts';
import type { Resumable, ResumableTunnels } from './gateway-resume.ts';
import type { Enrolment } from './store/enrolments.ts';
import type { Exposers } from './tunnel/exposers.ts';
import {
  type Admission,
  type Admitted,
  acceptTunnel,
  LeftAtChallenge,
  RefusedResume,
} from './tunnel/handshake-accept.ts';
import { exposeLimits, type TunnelLimits } from './tunnel/options.ts';
import { RefusedHello } from './tunnel/refused-hello.ts';
import type { TunnelSession } from './tunnel/session.ts';
import type { SessionPorts } from './tunnel/session-ports.ts';
import type { TunnelStream } from './tunnel/stream.ts';
import type { WindowPool } from './tunnel/window-pool.ts';
import type { Hello, Open, Resume } from './wire/tunnel/frames.ts';

export interface TunnelDoorPorts {
  readonly clock: Clock;
  readonly log: Log;
  readonly metrics: Metrics;
  readonly limits: TunnelLimits;
  readonly admissions: Admissions;
  readonly pool: WindowPool;
  readonly key: { readonly current: InstanceKey; readonly rotation: Uint8Array };
  /** This gateway process, and how many stand behind its address. */
  readonly instance: string;
  readonly instances: number;
  readonly authenticator: Authenticator;
  readonly authorizer: Authorizer;
  readonly exposers: Exposers;
  /** Whether a target of this name is reached through an expose. */
  readonly exposable: (target: string) => boolean;
  readonly joiner: Joiner;
  readonly live: LiveSessions;
  readonly resumable: ResumableTunnels;
  readonly judge: Judge;
}

/** Where tunnels come in: identity, role, session; each stream then goes to the joiner. */
export class TunnelDoor {
  readonly #ports: TunnelDoorPorts;
  readonly #states = new Map<TunnelSession, TunnelState>();
  readonly #refusals: (code: string) => { add(): void };
  readonly #looks: { add(): void };
  readonly #lives: CredentialLife;

  constructor(ports: TunnelDoorPorts) {
    this.#ports = ports;
    this.#refusals = ports.metrics.counters('lockwire_tunnel_refusals_total', 'Tunnels refused, by reason.', [
      'reason',
    ]);
    this.#looks = ports.metrics.counter(
      'lockwire_tunnel_looks_total',
      'Connections for a tunnel that ended at the Challenge: made to see which gateway process answers.',
    );
    this.#lives = new CredentialLife(ports);
  }

  async enter(connection: AcceptedConnection): Promise<void> {
    const { clock, limits, key, instance, instances, log } = this.#ports;
    const { facts } = connection;
    const state: TunnelState = { connection, tunnel: undefined, leave() {}, over: false };
    try {
      const admitted = await acceptTunnel(
        connection.carrier,
        {
          session: facts.session,
          gatewayKey: key.current,
          rotation: key.rotation,
          instance,
          instances,
          exporter: connection.exporter(),
        },
        async (hello, resume) => {
          const admission = await this.#admit(connection, hello, resume, state);
          connection.permitted();
          return { ...admission, name: safeText(principalName(admission.principal), 512) };
        },
        { clock, limits },
        (hello, identity) => this.#sessionPorts(hello, identity, state),
      );
      if (admitted.resumed) this.#goOn(admitted, connection);
      else if (admitted.session.state !== 'closed') this.#begin(admitted, state);
      // A reload came between its Welcome and its place among those that are told.
      if (this.#ports.instances !== instances) admitted.session.tellInstances(this.#ports.instances);
    } catch (error) {
      state.over = true;
      state.leave();
      if (error instanceof LeftAtChallenge) return this.#left(facts);
      if (error instanceof RefusedResume) connection.failed();
      const code = error instanceof LockwireError ? error.code : 'internal';
      this.#refusals(code).add();
      const fields = {
        session: facts.session,
        peer: facts.peerAddress,
        listener: facts.listener,
        reason: code,
      };
      log.warn({ ...fields, detail: messageOf(error) }, 'tunnel refused');
    }
  }

  /** No refusal, and nothing was asked: each `expose` that looks for another gateway process does so. */
  #left({ session, peerAddress, listener }: AcceptedConnection['facts']): void {
    this.#looks.add();
    this.#ports.log.debug({ session, peer: peerAddress, listener }, 'left at the Challenge');
  }

  #begin({ session, hello, identity, secret }: Admitted, state: TunnelState): void {
    const { live, exposers, log, clock, resumable } = this.#ports;
    const tunnel: LiveTunnel = {
      session,
      role: hello.role,
      target: hello.target,
      startedAtMs: clock.now(),
      peer: state.connection.facts.peerAddress,
      instance: fingerprintOf(hello.instanceKey),
      certificates: state.connection.certificates.map(fingerprintOf),
      enrolment: state.enrolment,
      identity: state.renewed ?? identity,
      verify: () => this.#identify(state.connection, state.hello ?? hello),
    };
    state.tunnel = tunnel;
    state.hello ??= hello;
    state.resumable = { tunnel, secret, instanceKey: hello.instanceKey };
    this.#states.set(session, state);
    resumable.add(state.resumable);
    live.tunnels.add(tunnel);
    // One that only looks must not take a stream from one that serves.
    if (tunnel.role === 'expose' && hello.purpose === 'serve') exposers.add(tunnel.target, tunnel.session);
    this.#lives.watch(tunnel);
    log.info(
      {
        session: tunnel.session.facts.id,
        who: principalName(tunnel.identity.principal),
        role: tunnel.role,
        ...(tunnel.target ? { target: tunnel.target } : {}),
        peer: tunnel.peer,
      },
      'tunnel up',
    );
    this.#ports.judge.begun(tunnel);
    // It may be lost again already: before there was anybody to tell.
    if (session.resumable && !session.attached) resumable.detached(state.resumable);
  }

  /** A tunnel's new connection: what was shown with it counts from now on. */
  #goOn({ session, hello, identity }: Admitted, connection: AcceptedConnection): void {
    const state = this.#states.get(session);
    if (state?.tunnel === undefined || state.resumable === undefined) return;
    const { resumable, log, clock } = this.#ports;
    // It may be lost again already.
    if (session.attached) resumable.attached(state.resumable);
    state.connection = connection;
    state.renewed = identity;
    state.hello = hello;
    state.tunnel.identity = identity;
    state.tunnel.certificates = connection.certificates.map(fingerprintOf);
    this.#lives.watch(state.tunnel);
    this.#ports.judge.begun(state.tunnel);
    log.info(
      {
        session: session.facts.id,
        who: principalName(identity.principal),
        role: state.tunnel.role,
        peer: connection.facts.peerAddress,
        awayMs: Math.round(clock.monotonic() - session.detachedAtMs),
        streams: session.streamCount,
      },
      'tunnel resumed',
    );
  }

  /** Credential, then role: `RefusedHello` carries what the peer may know. */
  async #admit(
    connection: AcceptedConnection,
    hello: Hello,
    resume: Resume | undefined,
    state: TunnelState,
  ): Promise<Omit<Admission, 'name'>> {
    const identity = await this.#identify(connection, hello).catch((error: unknown) => {
      // Revoked: it was real once, and must not cost its neighbours behind the same address theirs.
      if (error instanceof RefusedHello) throw error;
      connection.failed();
      if (!(error instanceof LockwireError)) this.#logInternal(error);
      const text = error instanceof LockwireError ? error.message : 'internal error';
      // Keys that cannot be had just now say nothing of the credential: it may be shown again soon.
      throw new RefusedHello({ code: cannotTell(error) ? 'unavailable' : 'unauthenticated', text });
    });
    // Gone while its credential was looked at: a place that it took now would never be freed.
    if (state.over)
      throw new LockwireError('closed', 'the connection ended before its credential was judged');
    if (hello.role === 'expose') this.#permitExpose(identity, hello.target);
    state.enrolment = this.#enrolled(connection, hello, identity);
    const known = resume && this.#ports.resumable.find(resume, hello, identity);
    // It has its place already.
    if (known) return { ...identity, resume: { session: known.tunnel.session, secret: known.secret } };
    if (hello.purpose === 'serve') this.#ports.resumable.replacedBy(hello);
    state.leave = this.#ports.admissions.enter(principalName(identity.principal));
    return identity;
  }

  /** The skew that is forgiven is for judging a credential; a session with one that has run out would end at once. */
  async #identify(connection: AcceptedConnection, hello: Hello): Promise<Identity> {
    const identity = await this.#verify(connection, hello);
    const { expiresAtMs } = identity.credential;
    const certificates = connection.certificates.map(fingerprintOf);
    this.#ports.judge.admit({ identity, instance: fingerprintOf(hello.instanceKey), certificates });
    if (expiresAtMs > this.#ports.clock.now()) return identity;
    const at = new Date(expiresAtMs).toISOString();
    throw new LockwireError('unauthenticated', `${identity.credential.kind} expired at ${at}`);
  }

  async #verify(connection: AcceptedConnection, hello: Hello): Promise<Identity> {
    const { authenticator } = this.#ports;
    const { certificates } = connection;
    const [certificate] = certificates;
    if (hello.token !== '') {
      const presented = { instanceKey: hello.instanceKey, ...(certificate ? { certificate } : {}) };
      return await authenticator.token(hello.token, presented);
    }
    if (certificate === undefined) {
      throw new LockwireError('unauthenticated', 'neither a token nor a client certificate was shown');
    }
    return authenticator.certificate(certificates);
  }

  #enrolled(connection: AcceptedConnection, hello: Hello, identity: Identity): Enrolment | undefined {
    try {
      return this.#ports.judge.enrolled(hello, identity);
    } catch (error) {
      if (error instanceof WrongCode) connection.failed();
      throw error;
    }
  }

  #permitExpose({ principal }: Identity, target: string): void {
    const decision = this.#ports.authorizer.decide({
      principal,
      action: 'expose',
      resource: { type: 'Target', id: target },
      context: {},
    });
    if (!decision.allow) throw new RefusedHello(denial(target, decision, 'expose'));
    if (this.#ports.exposable(target)) return;
    throw new RefusedHello({
      code: 'unknown-target',
      text: `no target "${target}" is reached through an expose`,
    });
  }

  #sessionPorts(hello: Hello, identity: Identity, state: TunnelState): SessionPorts {
    const { clock, limits, pool, exposers } = this.#ports;
    return {
      clock,
      limits: hello.role === 'expose' ? { ...limits, ...exposeLimits } : limits,
      pool,
      onOpen: (stream, request) => {
        const current = state.tunnel?.identity ?? state.renewed ?? identity;
        // A resumed session keeps its id, whatever connection carries it.
        const session = state.tunnel?.session.facts.id ?? state.connection.facts.session;
        void this.#open({ ...state.connection.facts, session, ...current }, stream, request, state);
      },
      onNotice() {},
      onGoAway() {
        if (hello.role === 'expose') exposers.leaves(hello.target);
      },
      onRenew: token => this.#renew(hello, identity, token, state),
      onRenewed() {},
      onDetached: reason => this.#detached(reason, state),
      onClosed: reason => this.#ended(hello, reason, state),
    };
  }

  async #open(
    identified: Identified,
    stream: TunnelStream,
    request: Open,
    state: TunnelState,
  ): Promise<void> {
    const bound = (state.tunnel?.enrolment ?? state.enrolment)?.target ?? '';
    if (bound !== '' && bound !== request.target)
      return stream.reset({ code: 'denied', text: `this instance is enrolled for target ${bound} only` });
    await this.#ports.joiner.join(identified, request.target, {
      stream,
      ingress: request.ingress,
      identity: () => state.tunnel?.identity ?? state.renewed ?? identified,
      permitted() {},
      accept: () => stream.accept(),
      refused: reason => void state.tunnel?.session.notice(reason),
      notice: reason => void state.tunnel?.session.notice(reason),
      closed() {},
    });
  }

  /** The same issuer and subject, or the session ends. What cannot be checked just now leaves the old one in force. */
  async #renew(
    hello: Hello,
    first: Identity,
    token: string,
    state: TunnelState,
  ): Promise<{ expiresAt: number }> {
    let renewed: Identity;
    try {
      renewed = await this.#identify(state.connection, { ...hello, token });
    } catch (error) {
      if (!cannotTell(error)) throw error;
      const { session, peerAddress } = state.connection.facts;
      this.#ports.log.warn(
        { session: state.tunnel?.session.facts.id ?? session, peer: peerAddress, detail: messageOf(error) },
        'a renewed credential cannot be checked now; the old one stays in force',
      );
      return { expiresAt: (state.tunnel?.identity ?? state.renewed ?? first).credential.expiresAtMs };
    }
    if (principalName(renewed.principal) !== principalName(first.principal)) {
      throw new LockwireError('unauthenticated', 'the new token is not of the same issuer and subject');
    }
    state.renewed = renewed;
    state.hello = { ...hello, token };
    if (state.tunnel) {
      state.tunnel.identity = renewed;
      this.#lives.watch(state.tunnel);
      this.#ports.judge.begun(state.tunnel);
    }
    return { expiresAt: renewed.credential.expiresAtMs };
  }

  #detached(reason: CloseReason, state: TunnelState): void {
    const { tunnel, resumable } = state;
    if (tunnel === undefined || resumable === undefined) return;
    const { session } = tunnel;
    this.#ports.log.info(
      {
        session: session.facts.id,
        who: principalName(tunnel.identity.principal),
        role: tunnel.role,
        streams: session.streamCount,
        patienceMs: session.waitMs,
        detail: reason.text,
      },
      'connection lost; waiting for another',
    );
    this.#ports.resumable.detached(resumable);
  }

  #ended(hello: Hello, reason: CloseReason, state: TunnelState): void {
    state.leave();
    const { tunnel } = state;
    if (tunnel === undefined) return;
    this.#lives.forget(tunnel);
    const { live, exposers, log, clock, resumable } = this.#ports;
    this.#states.delete(tunnel.session);
    if (state.resumable) resumable.remove(state.resumable);
    if (hello.role === 'expose') exposers.remove(hello.target, tunnel.session);
    live.endTunnel(tunnel);
    log.info(
      {
        session: tunnel.session.facts.id,
        who: principalName(tunnel.identity.principal),
        role: hello.role,
        ...(hello.target ? { target: hello.target } : {}),
        listener: state.connection.facts.listener,
        durationMs: clock.now() - tunnel.startedAtMs,
        reason: reason.code,
        ...(reason.text ? { detail: reason.text } : {}),
      },
      'tunnel ended',
    );
  }

  #logInternal(error: unknown): void {
    this.#ports.log.error({ error: messageOf(error) }, 'internal error while a credential was checked');
  }
}

/** It says nothing of the credential. */
function cannotTell(error: unknown): boolean {
  return error instanceof LockwireError && (error.code === 'unavailable' || error.code === 'limit');
}

/** What changes while a tunnel lives. */
interface TunnelState {
  /** The one that it goes over now, or went over last. */
  connection: AcceptedConnection;
  tunnel: LiveTunnel | undefined;
  /** Frees its place among the sessions. */
  leave: () => void;
  /** The handshake came to nothing. */
  over: boolean;
  renewed?: Identity;
  /** The last one, with the token that counts now. */
  hello?: Hello;
  enrolment?: Enrolment | undefined;
  resumable?: Resumable;
}
