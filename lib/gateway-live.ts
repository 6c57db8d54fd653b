import type { Metrics } from './core/ports.ts';
import { type CloseReason, type Connected, type Identity, principalName } from './core/session.ts';
import type { RelayHandle } from './relay/tcp.ts';
import type { TunnelSession } from './tunnel/session.ts';

/** A tunnel session that lives, and whose it is. */
export interface LiveTunnel {
  readonly session: TunnelSession;
  readonly role: 'connect' | 'expose';
  /** What an expose serves; '' for a connect. */
  readonly target: string;
  readonly startedAtMs: number;
  readonly peer: string;
  /** Renewal replaces it. */
  identity: Identity;
}

/** What lives in this gateway: for limits, the admin socket, drain and metrics. Its size is bounded by those limits. */
export class LiveSessions {
  readonly tunnels: Set<LiveTunnel> = new Set();
  readonly relays: Map<Connected, RelayHandle> = new Map();
  /** Called whenever something ended. */
  onEnded: (() => void) | undefined;

  constructor(metrics: Metrics) {
    metrics.gauge('lockwire_tunnels', 'Tunnel sessions that live.', () => this.tunnels.size);
    metrics.gauge('lockwire_relays', 'Relayed streams and connections that live.', () => this.relays.size);
  }

  get empty(): boolean {
    return this.tunnels.size === 0 && this.relays.size === 0;
  }

  endTunnel(tunnel: LiveTunnel): void {
    this.tunnels.delete(tunnel);
    this.onEnded?.();
  }

  endRelay(relay: Connected): void {
    this.relays.delete(relay);
    this.onEnded?.();
  }

  drain(reason: CloseReason): void {
    for (const { session } of [...this.tunnels]) session.drain(reason);
  }

  closeAll(reason: CloseReason): void {
    for (const relay of [...this.relays.values()]) relay.close(reason);
    for (const { session } of [...this.tunnels]) session.close(reason);
  }

  /** For `lockwire sessions`: plain data, no credential. */
  list(): unknown {
    return {
      tunnels: [...this.tunnels].map(({ session, role, target, startedAtMs, peer, identity }) => ({
        session: session.facts.id,
        role,
        target,
        principal: principalName(identity.principal),
        peer,
        startedAt: new Date(startedAtMs).toISOString(),
        expiresAt: new Date(identity.credential.expiresAtMs).toISOString(),
        streams: session.streamCount,
        offsets: session.offsets,
      })),
      relays: [...this.relays.keys()].map(({ session, principal, target, upstream, connectedAtMs }) => ({
        session,
        principal: principalName(principal),
        target,
        upstream,
        connectedAt: new Date(connectedAtMs).toISOString(),
      })),
    };
  }
}
