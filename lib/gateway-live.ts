import type { Metrics } from './core/ports.ts';
import {
  type Accepted,
  type CloseReason,
  type Connected,
  type Identity,
  principalName,
} from './core/session.ts';
import type { RelayHandle } from './relay/tcp.ts';
import type { Enrolment } from './store/enrolments.ts';
import type { TunnelSession } from './tunnel/session.ts';

/** A tunnel session that lives, and whose it is. */
export interface LiveTunnel {
  readonly session: TunnelSession;
  readonly role: 'connect' | 'expose';
  /** What an expose serves; '' for a connect. */
  readonly target: string;
  readonly startedAtMs: number;
  readonly peer: string;
  /** SHA-256 of the instance's key, hex. */
  readonly instance: string;
  /** SHA-256 of each certificate that its connection showed, hex. */
  certificates: readonly string[];
  /** What its instance is bound to; undefined where it is not. */
  enrolment: Enrolment | undefined;
  /** Renewal replaces it. */
  identity: Identity;
  /** Judges the credential that it showed last anew. */
  verify(): Promise<Identity>;
}

/** A client of a `tcp` target that came without a tunnel. */
export interface LiveDirect {
  readonly session: string;
  readonly instance: '';
  readonly certificates: readonly string[];
  identity: Identity;
  verify(): Promise<Identity>;
  close(reason: CloseReason): void;
}

/** An HTTP/2 connection that came without a tunnel: each of its requests has a bearer of its own. */
export interface LiveHttp2 {
  readonly facts: Accepted;
  readonly startedAtMs: number;
  principals(): readonly string[];
  /** Requests that live. */
  requests(): number;
  drain(reason: CloseReason): void;
  close(reason: CloseReason): void;
  judgeAnew(): void;
}

/** What lives in this gateway: for limits, the admin socket, drain and metrics. Its size is bounded by those limits. */
export class LiveSessions {
  readonly tunnels: Set<LiveTunnel> = new Set();
  readonly direct: Set<LiveDirect> = new Set();
  readonly http2: Set<LiveHttp2> = new Set();
  /** What the messages of AutoGen's targets are decided by. */
  dialects: { judgeAnew(): void; describe(): unknown } | undefined;
  readonly relays: Map<Connected, RelayHandle> = new Map();
  readonly #relayIds = new WeakMap<Connected, string>();
  #relayCount = 0;
  /** Called with each relay that began. */
  onRelay: ((relay: Connected, handle: RelayHandle) => void) | undefined;
  /** Called whenever something ended. */
  onEnded: (() => void) | undefined;

  constructor(metrics: Metrics) {
    metrics.gauge('lockwire_tunnels', 'Tunnel sessions that live.', () => this.tunnels.size);
    metrics.gauge(
      'lockwire_http2_connections',
      'Connections of HTTP/2 clients without a tunnel.',
      () => this.http2.size,
    );
    metrics.gauge('lockwire_relays', 'Relayed streams and connections that live.', () => this.relays.size);
  }

  get empty(): boolean {
    return this.tunnels.size === 0 && this.relays.size === 0 && this.http2.size === 0;
  }

  endTunnel(tunnel: LiveTunnel): void {
    this.tunnels.delete(tunnel);
    this.onEnded?.();
  }

  beginRelay(relay: Connected, handle: RelayHandle): void {
    this.#relayCount += 1;
    this.#relayIds.set(relay, `${relay.session}.${this.#relayCount}`);
    this.relays.set(relay, handle);
    this.onRelay?.(relay, handle);
  }

  /** Names one relay: several may belong to one session. */
  relayId(relay: Connected): string {
    return this.#relayIds.get(relay) ?? '';
  }

  endRelay(relay: Connected): void {
    this.relays.delete(relay);
    this.onEnded?.();
  }

  drain(reason: CloseReason): void {
    for (const { session } of [...this.tunnels]) session.drain(reason);
    for (const connection of [...this.http2]) connection.drain(reason);
  }

  closeAll(reason: CloseReason): void {
    for (const relay of [...this.relays.values()]) relay.close(reason);
    for (const { session } of [...this.tunnels]) session.close(reason);
    for (const connection of [...this.http2]) connection.close(reason);
  }

  /** For `lockwire sessions`: plain data, no credential. */
  list(): unknown {
    return {
      tunnels: [...this.tunnels].map(({ session, role, target, startedAtMs, peer, identity, ...rest }) => ({
        session: session.facts.id,
        role,
        target,
        principal: principalName(identity.principal),
        instance: rest.instance,
        binding: rest.enrolment === undefined ? 'unbound' : 'bound',
        credential: { kind: identity.credential.kind, id: identity.credential.id },
        peer,
        startedAt: new Date(startedAtMs).toISOString(),
        expiresAt: new Date(identity.credential.expiresAtMs).toISOString(),
        streams: session.streamCount,
        offsets: session.offsets,
      })),
      relays: [...this.relays.keys()].map(relay => ({
        session: relay.session,
        id: this.relayId(relay),
        principal: principalName(relay.principal),
        target: relay.target,
        upstream: relay.upstream,
        connectedAt: new Date(relay.connectedAtMs).toISOString(),
      })),
      autogen: this.dialects?.describe() ?? {},
      http2: [...this.http2].map(({ facts, startedAtMs, principals, requests }) => ({
        session: facts.session,
        listener: facts.listener,
        peer: facts.peerAddress,
        principals: principals(),
        requests: requests(),
        startedAt: new Date(startedAtMs).toISOString(),
      })),
    };
  }
}
