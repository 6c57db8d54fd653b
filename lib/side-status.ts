import type { LockwireError } from './core/errors.ts';
import type { Metrics } from './core/ports.ts';
import type { AdminHealth } from './observe/admin-routes.ts';
import type { TunnelSession } from './tunnel/session.ts';

/** How the tunnels of a `connect` or an `expose` fare: its metrics, and whether it is ready. */
export class SideStatus {
  readonly #sessions = new Set<TunnelSession>();
  readonly #dials: { add(): void };
  readonly #began: { add(): void };
  readonly #resumed: { add(): void };
  readonly #failed: (code: string) => { add(): void };
  #lastFailure = 'no tunnel yet';

  constructor(metrics: Metrics) {
    this.#dials = metrics.counter(
      'lockwire_tunnel_dials_total',
      'Connections to the gateway that were tried: the first, and each redial.',
    );
    this.#began = metrics.counter('lockwire_tunnel_sessions_total', 'Tunnel sessions that began.');
    this.#resumed = metrics.counter(
      'lockwire_tunnel_resumes_total',
      'Lost connections whose session went on over another one.',
    );
    this.#failed = metrics.counters(
      'lockwire_tunnel_failures_total',
      'Tunnels that were lost, and dials that failed, by reason.',
      ['reason'],
    );
    metrics.gauge('lockwire_tunnels_up', 'Tunnels that take new streams now.', () => this.#up);
    metrics.gauge('lockwire_tunnel_streams', 'Streams that are open.', () => this.#streams);
  }

  dialled(): void {
    this.#dials.add();
  }

  began(session: TunnelSession): void {
    this.#began.add();
    for (const earlier of this.#sessions) if (isOver(earlier)) this.#sessions.delete(earlier);
    this.#sessions.add(session);
  }

  resumed(): void {
    this.#resumed.add();
  }

  failed({ code, message }: LockwireError): void {
    this.#lastFailure = message;
    this.#failed(code).add();
  }

  /** Ready while at least one tunnel takes new streams; one whose connection is lost does not. */
  health(): AdminHealth {
    return this.#up > 0 ? { ready: true, reasons: [] } : { ready: false, reasons: [this.#lastFailure] };
  }

  get #up(): number {
    let up = 0;
    for (const { state, attached } of this.#sessions) if (state === 'open' && attached) up += 1;
    return up;
  }

  get #streams(): number {
    let streams = 0;
    for (const session of this.#sessions) streams += session.streamCount;
    return streams;
  }
}

function isOver({ state }: TunnelSession): boolean {
  return state === 'closing' || state === 'closed';
}
