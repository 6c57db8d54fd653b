import { BufferedStream } from './core/buffered-stream.ts';
import { safeText } from './core/bytes.ts';
import type { Clock } from './core/clock.ts';
import type { AcceptedConnection, Authenticator, Authorizer, Log, Metrics } from './core/ports.ts';
import { HttpBearers, type KnownBearer } from './gateway-bearers.ts';
import type { Calls } from './gateway-calls.ts';
import { denial, type Target } from './gateway-joiner.ts';
import type { Judge } from './gateway-judge.ts';
import type { LiveHttp2, LiveSessions } from './gateway-live.ts';
import type { RequestRoutes } from './gateway-request-routes.ts';
import { addressedAs, type UpstreamPools } from './gateway-upstreams.ts';
import { ClientRelay, type ClientRelayEnd, type Verdict } from './relay/http2/client-relay.ts';
import { type Refusal, refusalOf } from './relay/http2/refusal.ts';
import type { RequestHead } from './relay/http2/request.ts';
import type { Upstreams } from './relay/http2/upstreams.ts';

export interface Http2DoorPorts {
  readonly clock: Clock;
  readonly log: Log;
  readonly metrics: Metrics;
  readonly authenticator: Authenticator;
  readonly authorizer: Authorizer;
  readonly judge: Judge;
  readonly calls: Calls;
  readonly pools: UpstreamPools;
  readonly targets: ReadonlyMap<string, Target>;
  readonly requestRoutes: RequestRoutes;
  readonly live: LiveSessions;
}

/** Where HTTP/2 clients without a tunnel come in: each request says who it is from, and where it goes. */
export class Http2Door {
  readonly #ports: Http2DoorPorts;

  constructor(ports: Http2DoorPorts) {
    this.#ports = ports;
  }

  enter(connection: AcceptedConnection): void {
    new DirectHttp2(this.#ports, connection).start();
  }
}

/** One connection. */
class DirectHttp2 {
  readonly #ports: Http2DoorPorts;
  readonly #connection: AcceptedConnection;
  readonly #bearers: HttpBearers;
  readonly #relay: ClientRelay;
  readonly #live: LiveHttp2;
  /** By target: a connection of this client's own, where the target keeps state by connection. */
  readonly #own = new Map<string, Upstreams>();
  #changes = 0;

  constructor(ports: Http2DoorPorts, connection: AcceptedConnection) {
    this.#ports = ports;
    this.#connection = connection;
    const { clock, pools, calls, live } = ports;
    const { facts } = connection;
    this.#bearers = new HttpBearers(
      ports,
      connection,
      () => {
        this.#changes += 1;
      },
      () => this.#relay.close({ code: 'unauthenticated', text: 'too many credentials were refused' }),
    );
    const held = pools.held.share(`peer ${facts.peerAddress}`);
    this.#relay = new ClientRelay(new BufferedStream(connection.carrier), {
      clock,
      limits: pools.limits,
      pool: pools.pool,
      held,
      judge: head => this.#judge(head),
      generation: () => calls.generation + this.#changes,
      onRefused: (head, refusal) => this.#refused(head, refusal),
      untrusted: true,
      onClosed: end => {
        held.leave();
        this.#over(end);
      },
    });
    this.#live = {
      facts,
      startedAtMs: clock.now(),
      principals: () => this.#bearers.principals(),
      requests: () => this.#relay.liveCount,
      drain: reason => this.#relay.drain(reason.text),
      close: reason => this.#relay.close(reason),
      judgeAnew: () => {
        this.#changes += 1;
        this.#relay.judgeAnew();
      },
    };
    live.http2.add(this.#live);
  }

  start(): void {
    this.#relay.start();
  }

  #judge(head: RequestHead): Verdict | Promise<Verdict> {
    const known = this.#bearers.of(head);
    return known instanceof Promise
      ? known.then(found => this.#decide(head, found))
      : this.#decide(head, known);
  }

  #decide(head: RequestHead, bearer: KnownBearer | Refusal): Verdict {
    if (!('identity' in bearer)) return { kind: 'refuse', refusal: bearer };
    const { identity } = bearer;
    const target = this.#ports.requestRoutes.find(head.authority, head.path);
    const { authorizer, calls } = this.#ports;
    // Who may not ask for a target does not learn whether it exists.
    if (target === undefined) {
      const text = `nothing is served as ${safeText(head.authority, 128) || 'no authority'} for ${safeText(head.path, 128)}`;
      return { kind: 'refuse', refusal: refusalOf({ code: 'unknown-target', text }) };
    }
    const resource = { type: 'Target', id: target.name } as const;
    const { principal } = identity;
    const decision = authorizer.decide({ principal, action: 'connect', resource, context: {} });
    if (!decision.allow) return { kind: 'refuse', refusal: refusalOf(denial(target.name, decision)) };
    const refusal = calls.refusal(identity, target, head);
    if (refusal) return { kind: 'refuse', refusal };
    this.#connection.permitted();
    this.#relay.trust();
    return {
      kind: 'forward',
      upstreams: this.#upstreams(target),
      ...addressedAs(target),
      bearer: bearer.bearer,
      counter: calls.counter(target.name),
      expiresAtMs: bearer.expiresAtMs,
    };
  }

  #upstreams(target: Target): Upstreams {
    const { pools } = this.#ports;
    if (target.http2?.upstreamMode === 'shared') return pools.shared(target);
    const known = this.#own.get(target.name);
    if (known) return known;
    const made = pools.own(target, {
      open: () => pools.dial(this.#ports.targets.get(target.name) ?? target, 'loopback'),
    });
    this.#own.set(target.name, made);
    return made;
  }

  #refused(head: RequestHead | undefined, refusal: Refusal): void {
    const target = head && this.#ports.requestRoutes.find(head.authority, head.path);
    this.#ports.calls.countRefusal(target?.name ?? '', refusal);
  }

  #over({ reason, requests, bytesUp, bytesDown }: ClientRelayEnd): void {
    const { live, log, clock } = this.#ports;
    live.http2.delete(this.#live);
    for (const upstreams of this.#own.values())
      upstreams.close({ code: 'cancelled', text: 'its client has gone' });
    const principals = this.#bearers.principals();
    this.#bearers.close();
    live.onEnded?.();
    const { session, listener, peerAddress } = this.#connection.facts;
    log.info(
      {
        session,
        who: principals.slice(0, shownPrincipals).join(', '),
        listener,
        peer: peerAddress,
        durationMs: clock.now() - this.#live.startedAtMs,
        requests,
        bytesUp,
        bytesDown,
        reason: reason.code,
        ...(reason.text ? { detail: reason.text } : {}),
      },
      'HTTP/2 connection ended',
    );
  }
}

/** In a line of the log. */
const shownPrincipals = 4;
