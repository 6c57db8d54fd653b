import type { Clock } from './core/clock.ts';
import type { Log, Metrics } from './core/ports.ts';
import { type CredentialFacts, principalName } from './core/session.ts';
import { Expiry } from './gateway-expiry.ts';
import type { LiveSessions, LiveTunnel } from './gateway-live.ts';

/** How long a renewal may take before it is warned of, where so long is left. */
export const renewalGraceMs = 60_000;

export interface CredentialLifePorts {
  readonly clock: Clock;
  readonly log: Log;
  readonly metrics: Metrics;
  readonly live: LiveSessions;
}

/** Ends a tunnel whose credential ran out, and warns before: whoever could renew it, and whoever runs the gateway. */
export class CredentialLife {
  readonly #ports: CredentialLifePorts;
  readonly #watched = new Map<LiveTunnel, { readonly end: Expiry; readonly warning: Expiry }>();
  /** Ids of the credentials that were warned of: once each. */
  readonly #warned = new WeakMap<LiveTunnel, string>();
  readonly #notRenewed: (kind: string) => { add(): void };

  constructor(ports: CredentialLifePorts) {
    const { clock, live, metrics } = ports;
    this.#ports = ports;
    this.#notRenewed = metrics.counters(
      'lockwire_credentials_not_renewed_total',
      'Credentials of tunnels that had a fifth of their life left and were not renewed, by kind.',
      ['kind'],
    );
    metrics.gauge(
      'lockwire_tunnels_expiring',
      'Tunnels whose credential has less than a fifth of its life left.',
      () => {
        const nowMs = clock.now();
        let count = 0;
        for (const { identity } of live.tunnels) if (nowMs >= lastFifthMs(identity.credential)) count += 1;
        return count;
      },
    );
  }

  /** From the credential that it has now; again with each new one. */
  watch(tunnel: LiveTunnel): void {
    const { clock } = this.#ports;
    let watched = this.#watched.get(tunnel);
    if (watched === undefined) {
      const over = { code: 'expired', text: 'the credential ran out and was not renewed' } as const;
      watched = {
        end: new Expiry(clock, () => tunnel.session.close(over)),
        warning: new Expiry(clock, () => this.#warn(tunnel)),
      };
      this.#watched.set(tunnel, watched);
    }
    const { credential } = tunnel.identity;
    watched.end.watch(credential.expiresAtMs);
    watched.warning.watch(warnAtMs(credential, clock.now()));
  }

  forget(tunnel: LiveTunnel): void {
    const watched = this.#watched.get(tunnel);
    watched?.end.cancel();
    watched?.warning.cancel();
    this.#watched.delete(tunnel);
  }

  #warn(tunnel: LiveTunnel): void {
    const { session, role, target, identity } = tunnel;
    const { id, kind, expiresAtMs } = identity.credential;
    if (this.#warned.get(tunnel) === id) return;
    this.#warned.set(tunnel, id);
    this.#notRenewed(kind).add();
    const { clock, log } = this.#ports;
    const expiresAt = new Date(expiresAtMs).toISOString();
    log.warn(
      {
        session: session.facts.id,
        who: principalName(identity.principal),
        role,
        ...(target ? { target } : {}),
        credential: id,
        kind,
        expiresAt,
        leftMs: expiresAtMs - clock.now(),
      },
      'a credential runs out soon and was not renewed',
    );
    const what = kind === 'token' ? 'the token' : 'the client certificate';
    session.notice({ code: 'expired', text: `${what} runs out at ${expiresAt} and was not renewed` });
  }
}

/** When a fifth of a credential's life is left. */
function lastFifthMs({ issuedAtMs, expiresAtMs }: CredentialFacts): number {
  return expiresAtMs - (expiresAtMs - issuedAtMs) / 5;
}

/** From then on whoever holds it renews it, and needs a moment for that. */
function warnAtMs(credential: CredentialFacts, nowMs: number): number {
  const fromMs = Math.max(lastFifthMs(credential), nowMs);
  return fromMs + Math.min(renewalGraceMs, (credential.expiresAtMs - fromMs) / 4);
}
