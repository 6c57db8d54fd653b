import { BufferedStream } from './core/buffered-stream.ts';
import { safeText } from './core/bytes.ts';
import type { Clock } from './core/clock.ts';
import type { AcceptedConnection, Authenticator, Authorizer, ByteStream, Log } from './core/ports.ts';
import { HttpBearers, type KnownBearer } from './gateway-bearers.ts';
import type { Calls } from './gateway-calls.ts';
import { denial } from './gateway-denial.ts';
import type { Dialects } from './gateway-dialects.ts';
import type { Judge } from './gateway-judge.ts';
import type { LiveHttp2, LiveSessions } from './gateway-live.ts';
import type { RequestRoutes } from './gateway-request-routes.ts';
import type { Target } from './gateway-target.ts';
import { addressedAs, type UpstreamPools } from './gateway-upstreams.ts';
import { ClientRelay, type ClientRelayEnd, type Verdict } from './relay/http2/client-relay.ts';
import { type Refusal, refusalOf } from './relay/http2/refusal.ts';
import type { RequestHead } from './relay/http2/request.ts';
import type { Upstreams } from './relay/http2/upstreams.ts';

export interface Http2DoorPorts {
  readonly clock: Clock;
  readonly log: Log;
  readonly authenticator: Authenticator;
  readonly authorizer: Authorizer;
  readonly judge: Judge;
  readonly calls: Calls;
  readonly pools: UpstreamPools;
  readonly dialects: Dialects;
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
  readonly #own = new Map<string, OwnUpstream>();
  #isOver = false;
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
    // Who may not ask for a target does not learn whether it exists: what is named reads the same in both cases.
    const named = safeText(head.authority, maxNamedLength) || 'no authority';
    const resource = { type: 'Target', id: target?.name ?? named } as const;
    const { principal } = identity;
    const decision = authorizer.decide({ principal, action: 'connect', resource, context: {} });
    if (!decision.allow) return { kind: 'refuse', refusal: refusalOf(denial(named, decision)) };
    if (target === undefined) {
      const text = `nothing is served as ${named} for ${safeText(head.path, maxNamedLength)}`;
      return { kind: 'refuse', refusal: refusalOf({ code: 'unknown-target', text }) };
    }
    const refusal = calls.refusal(identity, target, head);
    if (refusal) return { kind: 'refuse', refusal };
    const upstreams = this.#upstreams(target, bearer.bearer.principal);
    const take = this.#ports.dialects.taker({
      target,
      upstreams,
      // The client, and not its connection: one that comes back within a minute finds its registrations.
      session: `direct ${identity.credential.id}`,
      principal: () => identity.principal,
      generation: () => calls.generation + this.#changes,
      // There is no tunnel to carry it, and gRPC has no word for it.
      notice() {},
    });
    this.#connection.permitted();
    this.#relay.trust();
    return {
      kind: 'forward',
      upstreams,
      ...addressedAs(target),
      bearer: bearer.bearer,
      ...(take ? { take } : {}),
      counter: calls.counter(target.name),
      expiresAtMs: bearer.expiresAtMs,
    };
  }

  #upstreams(target: Target, principal: string): Upstreams {
    const { pools } = this.#ports;
    if (target.http2?.upstreamMode === 'shared') return pools.shared(target);
    const known = this.#own.get(target.name);
    if (known) return known.upstreams;
    const own: OwnUpstream = {
      upstreams: pools.own(target, {
        open: () => this.#dial(this.#ports.targets.get(target.name) ?? target, principal, own),
        onLost: () => own.leave(),
      }),
      leave() {},
    };
    this.#own.set(target.name, own);
    return own.upstreams;
  }

  /** Whoever asked first answers for it: of an expose nobody gets more than a share, by however many connections. */
  async #dial(target: Target, principal: string, own: OwnUpstream): Promise<ByteStream> {
    const { stream, leave } = await this.#ports.pools.dialShare(target, 'loopback', principal);
    // Nobody hears of what comes too late.
    if (this.#isOver) leave();
    else own.leave = leave;
    return stream;
  }

  #refused(head: RequestHead | undefined, refusal: Refusal): void {
    const target = head && this.#ports.requestRoutes.find(head.authority, head.path);
    this.#ports.calls.countRefusal(target?.name ?? '', refusal);
  }

  #over({ reason, requests, bytesUp, bytesDown }: ClientRelayEnd): void {
    const { live, log, clock } = this.#ports;
    live.http2.delete(this.#live);
    this.#isOver = true;
    for (const { upstreams, leave } of this.#own.values()) {
      upstreams.close({ code: 'cancelled', text: 'its client has gone' });
      leave();
    }
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
/** Of what a client asked for, in an answer and in a decision. */
const maxNamedLength = 128;

/** A target's connection that is this client's alone. */
interface OwnUpstream {
  readonly upstreams: Upstreams;
  /** Frees its place in the share of whoever asked first. */
  leave(): void;
}
