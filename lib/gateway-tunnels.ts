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
import { Expiry } from './gateway-expiry.ts';
import { denial, type Joiner } from './gateway-joiner.ts';
import type { LiveSessions, LiveTunnel } from './gateway-live.ts';
import type { Exposers } from './tunnel/exposers.ts';
import { acceptTunnel, RefusedHello } from './tunnel/handshake-accept.ts';
import type { TunnelLimits } from './tunnel/options.ts';
import type { SessionPorts } from './tunnel/session.ts';
import type { TunnelStream } from './tunnel/stream.ts';
import type { WindowPool } from './tunnel/window-pool.ts';
import type { Hello, Open } from './wire/tunnel/frames.ts';

export interface TunnelDoorPorts {
  readonly clock: Clock;
  readonly log: Log;
  readonly metrics: Metrics;
  readonly limits: TunnelLimits;
  readonly admissions: Admissions;
  readonly pool: WindowPool;
  readonly key: InstanceKey;
  /** This gateway process. */
  readonly instance: string;
  readonly authenticator: Authenticator;
  readonly authorizer: Authorizer;
  readonly exposers: Exposers;
  /** Whether a target of this name is reached through an expose. */
  readonly exposable: (target: string) => boolean;
  readonly joiner: Joiner;
  readonly live: LiveSessions;
}

/** Where tunnels come in: identity, role, session; each stream then goes to the joiner. */
export class TunnelDoor {
  readonly #ports: TunnelDoorPorts;
  readonly #refusals: (code: string) => { add(): void };

  constructor(ports: TunnelDoorPorts) {
    this.#ports = ports;
    this.#refusals = ports.metrics.counters('lockwire_tunnel_refusals_total', 'Tunnels refused, by reason.', [
      'reason',
    ]);
  }

  async enter(connection: AcceptedConnection): Promise<void> {
    const { clock, limits, key, instance, log } = this.#ports;
    const { facts } = connection;
    const state: TunnelState = { tunnel: undefined, expiry: undefined, leave() {}, over: false };
    try {
      const { session, hello, identity } = await acceptTunnel(
        connection.carrier,
        { session: facts.session, gatewayKey: key, instance, instances: 1, exporter: connection.exporter() },
        async hello => {
          const admitted = await this.#admit(connection, hello, state);
          connection.permitted();
          return { ...admitted, name: safeText(principalName(admitted.principal), 512) };
        },
        { clock, limits },
        (hello, identity) => this.#sessionPorts(connection, hello, identity, state),
      );
      const tunnel: LiveTunnel = {
        session,
        role: hello.role,
        target: hello.target,
        startedAtMs: clock.now(),
        peer: facts.peerAddress,
        identity: state.renewed ?? identity,
      };
      if (session.state === 'closed') return;
      state.tunnel = tunnel;
      this.#begin(tunnel, state);
    } catch (error) {
      state.over = true;
      state.leave();
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

  #begin(tunnel: LiveTunnel, state: TunnelState): void {
    const { live, exposers, log } = this.#ports;
    live.tunnels.add(tunnel);
    if (tunnel.role === 'expose') exposers.add(tunnel.target, tunnel.session);
    this.#watchExpiry(tunnel, state);
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
  }

  /** Credential, then role: `RefusedHello` carries what the peer may know. */
  async #admit(connection: AcceptedConnection, hello: Hello, state: TunnelState): Promise<Identity> {
    const identity = await this.#identify(connection, hello).catch((error: unknown) => {
      connection.failed();
      if (!(error instanceof LockwireError)) this.#logInternal(error);
      const text = error instanceof LockwireError ? error.message : 'internal error';
      throw new RefusedHello({ code: 'unauthenticated', text });
    });
    // Gone while its credential was looked at: a place that it took now would never be freed.
    if (state.over)
      throw new LockwireError('closed', 'the connection ended before its credential was judged');
    if (hello.role === 'expose') this.#permitExpose(identity, hello.target);
    state.leave = this.#ports.admissions.enter(principalName(identity.principal));
    return identity;
  }

  /** The skew that is forgiven is for judging a credential; a session with one that has run out would end at once. */
  async #identify(connection: AcceptedConnection, hello: Hello): Promise<Identity> {
    const identity = await this.#verify(connection, hello);
    const { expiresAtMs } = identity.credential;
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

  #sessionPorts(
    connection: AcceptedConnection,
    hello: Hello,
    identity: Identity,
    state: TunnelState,
  ): SessionPorts {
    const { clock, limits, pool } = this.#ports;
    return {
      clock,
      limits,
      pool,
      onOpen: (stream, request) => {
        const current = state.tunnel?.identity ?? state.renewed ?? identity;
        void this.#open({ ...connection.facts, ...current }, stream, request, state);
      },
      onNotice() {},
      onGoAway() {},
      onRenew: token => this.#renew(connection, hello, identity, token, state),
      onRenewed() {},
      onClosed: reason => this.#ended(connection, hello, reason, state),
    };
  }

  async #open(
    identified: Identified,
    stream: TunnelStream,
    request: Open,
    state: TunnelState,
  ): Promise<void> {
    await this.#ports.joiner.join(identified, request.target, {
      stream,
      ingress: request.ingress,
      permitted() {},
      accept: () => stream.accept(),
      refused: reason => void state.tunnel?.session.notice(reason),
      closed() {},
    });
  }

  /** The same issuer and subject, or the session ends. */
  async #renew(
    connection: AcceptedConnection,
    hello: Hello,
    first: Identity,
    token: string,
    state: TunnelState,
  ): Promise<{ expiresAt: number }> {
    const renewed = await this.#identify(connection, { ...hello, token });
    if (principalName(renewed.principal) !== principalName(first.principal)) {
      throw new LockwireError('unauthenticated', 'the new token is not of the same issuer and subject');
    }
    state.renewed = renewed;
    if (state.tunnel) {
      state.tunnel.identity = renewed;
      this.#watchExpiry(state.tunnel, state);
    }
    return { expiresAt: renewed.credential.expiresAtMs };
  }

  #watchExpiry(tunnel: LiveTunnel, state: TunnelState): void {
    state.expiry ??= new Expiry(this.#ports.clock, () =>
      tunnel.session.close({ code: 'expired', text: 'the credential ran out and was not renewed' }),
    );
    state.expiry.watch(tunnel.identity.credential.expiresAtMs);
  }

  #ended(connection: AcceptedConnection, hello: Hello, reason: CloseReason, state: TunnelState): void {
    state.expiry?.cancel();
    state.leave();
    const { tunnel } = state;
    if (tunnel === undefined) return;
    const { live, exposers, log, clock } = this.#ports;
    if (hello.role === 'expose') exposers.remove(hello.target, tunnel.session);
    live.endTunnel(tunnel);
    log.info(
      {
        session: tunnel.session.facts.id,
        who: principalName(tunnel.identity.principal),
        role: hello.role,
        ...(hello.target ? { target: hello.target } : {}),
        listener: connection.facts.listener,
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

/** What changes while a tunnel lives. */
interface TunnelState {
  tunnel: LiveTunnel | undefined;
  expiry: Expiry | undefined;
  /** Frees its place among the sessions. */
  leave: () => void;
  /** The handshake came to nothing. */
  over: boolean;
  renewed?: Identity;
}
