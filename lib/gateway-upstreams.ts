import { BufferedStream } from './core/buffered-stream.ts';
import type { Clock } from './core/clock.ts';
import { LockwireError } from './core/errors.ts';
import type { ByteStream, Metrics } from './core/ports.ts';
import type { CloseReason } from './core/session.ts';
import type { Shares } from './gateway-shares.ts';
import type { Target } from './gateway-target.ts';
import { HeldBudget } from './relay/http2/held-budget.ts';
import { checkHttp2Limits, type Http2Limits, http2Defaults } from './relay/http2/options.ts';
import type { GrowthPool } from './relay/http2/receive-window.ts';
import { ownUpstream, sharedUpstream, Upstreams } from './relay/http2/upstreams.ts';
import { noExposeServes } from './stream-refusals.ts';
import type { Exposers } from './tunnel/exposers.ts';
import type { TunnelSession } from './tunnel/session.ts';
import type { Ingress } from './wire/tunnel/frames.ts';

export interface UpstreamPoolsPorts {
  readonly clock: Clock;
  readonly metrics: Metrics;
  readonly pool: GrowthPool;
  readonly exposers: Exposers;
  readonly shares: Shares;
}

/** How an upstream is reached for one client's connection. */
export interface OwnPorts {
  open(): Promise<ByteStream>;
  onLost?(reason: CloseReason, begun: boolean): void;
}

export interface DialledShare {
  readonly stream: ByteStream;
  leave(): void;
}

/** The HTTP/2 connections to targets: one set for all clients of a shared target, one a client's connection else. */
export class UpstreamPools {
  readonly limits: Http2Limits = http2Defaults;
  readonly pool: GrowthPool;
  readonly held: HeldBudget = new HeldBudget();
  readonly #ports: UpstreamPoolsPorts;
  /** By target's name; bounded by the config. */
  readonly #shared = new Map<string, { readonly target: Target; readonly upstreams: Upstreams }>();

  constructor(ports: UpstreamPoolsPorts) {
    this.#ports = ports;
    checkHttp2Limits(this.limits);
    this.pool = ports.pool;
    ports.metrics.gauge(
      'lockwire_http2_held_bytes',
      'Bytes that wait for slow readers in HTTP/2 streams.',
      () => this.held.heldBytes,
    );
    ports.metrics.gauge('lockwire_http2_shared_connections', 'Connections to shared HTTP/2 targets.', () =>
      [...this.#shared.values()].reduce((sum, { upstreams }) => sum + upstreams.connectionCount, 0),
    );
  }

  own(target: Target, own: OwnPorts): Upstreams {
    const { clock } = this.#ports;
    const { limits, pool } = this;
    return new Upstreams(ownUpstream, { clock, limits, pool, ...namedAndProbed(target), ...own });
  }

  shared(target: Target): Upstreams {
    const known = this.#shared.get(target.name);
    if (known?.target === target) return known.upstreams;
    // The config has changed: what lives runs on.
    known?.upstreams.retire();
    const { clock } = this.#ports;
    const { limits, pool } = this;
    const open = (): Promise<ByteStream> => this.dial(target, 'loopback', `shared:${target.name}`);
    const upstreams = new Upstreams(sharedUpstream, { clock, limits, pool, ...namedAndProbed(target), open });
    this.#shared.set(target.name, { target, upstreams });
    return upstreams;
  }

  /** A new connection to the target; `who` it is for counts where it waits for an expose. Throws LockwireError. */
  async dial(target: Target, ingress: Ingress, who: string): Promise<ByteStream> {
    const { upstream } = target;
    if (upstream.kind === 'dial') return new BufferedStream((await upstream.dialer.dial()).carrier);
    return (await this.#expose(target, who)).open(target.name, ingress, () => {});
  }

  /** The same in this principal's share of the expose; `leave` gives its place back, once. */
  async dialShare(target: Target, ingress: Ingress, principal: string): Promise<DialledShare> {
    if (target.upstream.kind === 'dial')
      return { stream: await this.dial(target, ingress, principal), leave() {} };
    const session = await this.#expose(target, principal);
    const leave = this.#ports.shares.take(session, principal);
    try {
      return { stream: session.open(target.name, ingress, () => {}), leave };
    } catch (error) {
      leave();
      throw error;
    }
  }

  async #expose(target: Target, who: string): Promise<TunnelSession> {
    const session = await this.#ports.exposers.find(target.name, target.stateful, who);
    if (session === undefined) throw new LockwireError('unavailable', noExposeServes(target.name));
    return session;
  }

  closeAll(reason: CloseReason): void {
    for (const { upstreams } of this.#shared.values()) upstreams.close(reason);
    this.#shared.clear();
  }
}

/** Behind a tunnel nothing is probed: it has PINGs of its own, and a stream outlives 60 s without a network. */
function namedAndProbed({ name, upstream }: Target): { name: string; probed: boolean } {
  return { name, probed: upstream.kind === 'dial' };
}

/** What the upstream is told: its own name, where it was dialled by one; else what the client said. */
export function addressedAs({ upstream }: Target): {
  scheme: 'http' | 'https';
  authority: string | undefined;
} {
  if (upstream.kind === 'tunnel') return { scheme: 'http', authority: undefined };
  return { scheme: 'https', authority: upstream.authority };
}
