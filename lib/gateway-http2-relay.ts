import type { Clock } from './core/clock.ts';
import { LockwireError } from './core/errors.ts';
import type { ByteStream } from './core/ports.ts';
import {
  type Closed,
  type CloseReason,
  type Connected,
  type Identity,
  type Permitted,
  principalName,
} from './core/session.ts';
import type { Asked } from './gateway-asked.ts';
import type { Calls } from './gateway-calls.ts';
import type { Dialects } from './gateway-dialects.ts';
import type { LiveSessions } from './gateway-live.ts';
import type { Shares } from './gateway-shares.ts';
import type { Target } from './gateway-target.ts';
import { addressedAs, type UpstreamPools } from './gateway-upstreams.ts';
import { Bearer } from './relay/http2/bearer.ts';
import { ClientRelay, type Forward, type Verdict } from './relay/http2/client-relay.ts';
import { refusalOf } from './relay/http2/refusal.ts';
import type { RequestHead } from './relay/http2/request.ts';
import type { Upstreams } from './relay/http2/upstreams.ts';
import { noExposeServes } from './stream-refusals.ts';
import type { Exposers } from './tunnel/exposers.ts';

export interface Http2RelaysPorts {
  readonly clock: Clock;
  readonly calls: Calls;
  readonly pools: UpstreamPools;
  readonly dialects: Dialects;
  readonly targets: ReadonlyMap<string, Target>;
  readonly exposers: Exposers;
  readonly shares: Shares;
  readonly live: LiveSessions;
  /** The last word of each. */
  onClosed(closed: Closed, requests: number): void;
}

/** What a target's own connection is made of before the first request. */
interface FirstUpstream {
  readonly label: string;
  readonly stream: ByteStream | undefined;
  /** Frees its place. */
  leave(): void;
}

/** A client's stream of a tunnel that carries HTTP/2: its requests are decided one by one. */
export class Http2Relays {
  readonly #ports: Http2RelaysPorts;

  constructor(ports: Http2RelaysPorts) {
    this.#ports = ports;
  }

  /** Throws LockwireError where the target can't be reached; `asked` is accepted once it is. */
  async begin(permitted: Permitted, target: Target, asked: Asked): Promise<void> {
    const joined = new JoinedHttp2(this.#ports, permitted, target, asked);
    const first = await this.#first(permitted, target, asked, () => joined.accepted());
    joined.start(first);
  }

  /** Where each client has a connection of its own, it is made now: the client then hears at once if it can't be. */
  async #first(
    permitted: Permitted,
    target: Target,
    asked: Asked,
    accepted: () => void,
  ): Promise<FirstUpstream> {
    const { upstream, http2 } = target;
    if (http2?.upstreamMode === 'shared') {
      accepted();
      return { label: `shared:${target.name}`, stream: undefined, leave() {} };
    }
    if (upstream.kind === 'dial') {
      const stream = await this.#ports.pools.dial(target, asked.ingress, principalName(permitted.principal));
      accepted();
      return { label: upstream.address, stream, leave() {} };
    }
    return await this.#firstOfTunnel(permitted, target, asked, accepted);
  }

  async #firstOfTunnel(
    permitted: Permitted,
    target: Target,
    asked: Asked,
    accepted: () => void,
  ): Promise<FirstUpstream> {
    const { exposers, shares } = this.#ports;
    const who = principalName(permitted.principal);
    const session = await exposers.find(target.name, target.stateful, who);
    if (session === undefined) throw new LockwireError('unavailable', noExposeServes(target.name));
    const leave = shares.take(session, who);
    try {
      const stream = session.open(target.name, asked.ingress, accepted);
      return { label: `tunnel:${session.facts.id}`, stream, leave };
    } catch (error) {
      leave();
      throw error;
    }
  }
}

/** One of them. */
class JoinedHttp2 {
  readonly #ports: Http2RelaysPorts;
  readonly #permitted: Permitted;
  readonly #target: Target;
  readonly #asked: Asked;
  readonly #bearer: Bearer;
  #isAccepted = false;
  #over = false;
  /** Renewals and reloads so far. */
  #changes = 0;

  constructor(ports: Http2RelaysPorts, permitted: Permitted, target: Target, asked: Asked) {
    this.#ports = ports;
    this.#permitted = permitted;
    this.#target = target;
    this.#asked = asked;
    this.#bearer = new Bearer(principalName(permitted.principal));
  }

  accepted(): void {
    this.#isAccepted = true;
    this.#asked.accept();
  }

  start({ label, stream, leave }: FirstUpstream): void {
    const { clock, pools, live, calls } = this.#ports;
    const connected: Connected = { ...this.#permitted, upstream: label, connectedAtMs: clock.now() };
    const upstreams = this.#upstreams();
    const held = pools.held.share(this.#bearer.principal);
    const relay = new ClientRelay(this.#asked.stream, {
      clock,
      limits: pools.limits,
      pool: pools.pool,
      held,
      judge: head => this.#judge(head, upstreams),
      generation: () => calls.generation + this.#changes,
      onRefused: (_head, refusal) => calls.countRefusal(this.#target.name, refusal),
      onClosed: ({ requests, ...end }) => {
        this.#over = true;
        if (this.#isOwn) upstreams.close({ code: 'cancelled', text: 'its client has gone' });
        live.endRelay(connected);
        held.leave();
        leave();
        this.#asked.closed();
        this.#ports.onClosed({ ...connected, ...end, closedAtMs: clock.now() }, requests);
      },
    });
    if (stream) upstreams.adopt(stream);
    relay.start();
    if (this.#over) return;
    live.beginRelay(connected, {
      close: reason => relay.close(reason),
      judgeAnew: () => {
        this.#changes += 1;
        relay.judgeAnew();
      },
    });
  }

  get #isOwn(): boolean {
    return this.#target.http2?.upstreamMode === 'own';
  }

  #upstreams(): Upstreams {
    const { pools } = this.#ports;
    if (!this.#isOwn) return pools.shared(this.#target);
    return pools.own(this.#target, {
      open: () => {
        const target = this.#ports.targets.get(this.#target.name) ?? this.#target;
        return pools.dial(target, this.#asked.ingress, this.#bearer.principal);
      },
      onLost: reason => this.#lost(reason),
    });
  }

  /** Before it was taken up: then the client's own stream was not either, and ends with the same reason. */
  #lost(reason: CloseReason): void {
    if (!this.#isAccepted) this.#asked.stream.reset(reason);
  }

  #judge(head: RequestHead, own: Upstreams): Verdict {
    const { calls, targets, pools } = this.#ports;
    const target = targets.get(this.#target.name);
    if (target?.http2 === undefined) {
      const text = `target "${this.#target.name}" is served no more`;
      return { kind: 'refuse', refusal: refusalOf({ code: 'denied', text }) };
    }
    const refusal = calls.refusal(this.#identity, target, head);
    if (refusal) return { kind: 'refuse', refusal };
    const upstreams = this.#isOwn ? own : pools.shared(target);
    return {
      kind: 'forward',
      upstreams,
      ...addressedAs(target),
      bearer: this.#bearer,
      ...this.#taker(target, upstreams),
      counter: calls.counter(target.name),
      // The tunnel ends with its credential, and its streams with it.
      expiresAtMs: Number.POSITIVE_INFINITY,
    };
  }

  /** A dialect decides about the messages inside, and answers some itself. */
  #taker(target: Target, upstreams: Upstreams): Pick<Forward, 'take'> {
    const { calls, dialects } = this.#ports;
    const take = dialects.taker({
      target,
      upstreams,
      session: this.#permitted.session,
      principal: () => this.#identity.principal,
      generation: () => calls.generation + this.#changes,
      notice: reason => this.#asked.notice(reason),
    });
    return take === undefined ? {} : { take };
  }

  get #identity(): Identity {
    return this.#asked.identity();
  }
}
