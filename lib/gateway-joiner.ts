import { BufferedStream } from './core/buffered-stream.ts';
import type { Clock } from './core/clock.ts';
import { LockwireError, messageOf } from './core/errors.ts';
import type { Authorizer, ByteStream, Log, LogFields, Metrics } from './core/ports.ts';
import {
  type Closed,
  type CloseReason,
  type Connected,
  type Identified,
  type Permitted,
  principalName,
} from './core/session.ts';
import type { Asked } from './gateway-asked.ts';
import type { Calls } from './gateway-calls.ts';
import { denial } from './gateway-denial.ts';
import type { Dialects } from './gateway-dialects.ts';
import { Http2Relays } from './gateway-http2-relay.ts';
import type { LiveSessions } from './gateway-live.ts';
import type { Shares } from './gateway-shares.ts';
import type { Target } from './gateway-target.ts';
import type { UpstreamPools } from './gateway-upstreams.ts';
import { PrefaceGate } from './relay/preface-gate.ts';
import { relay } from './relay/tcp.ts';
import { noExposeServes } from './stream-refusals.ts';
import type { Exposers } from './tunnel/exposers.ts';

export interface JoinerPorts {
  readonly clock: Clock;
  readonly log: Log;
  readonly metrics: Metrics;
  readonly authorizer: Authorizer;
  readonly targets: ReadonlyMap<string, Target>;
  readonly exposers: Exposers;
  readonly shares: Shares;
  readonly live: LiveSessions;
  readonly calls: Calls;
  readonly pools: UpstreamPools;
  readonly dialects: Dialects;
}

/** Takes an identified client to its target: permit, upstream, relay. Each step needs the facts of the one before. */
export class Joiner {
  readonly #ports: JoinerPorts;
  readonly #http2: Http2Relays;
  readonly #refusals: (code: string) => { add(): void };
  readonly #bytes: (direction: string) => { add(amount?: number): void };

  constructor(ports: JoinerPorts) {
    this.#ports = ports;
    const { metrics } = ports;
    const onClosed = (closed: Closed, requests: number): void => this.#log(closed, { requests });
    this.#http2 = new Http2Relays({ ...ports, onClosed });
    this.#refusals = metrics.counters('lockwire_refusals_total', 'Streams refused, by reason.', ['reason']);
    this.#bytes = metrics.counters('lockwire_relayed_bytes_total', 'Bytes relayed, by direction.', [
      'direction',
    ]);
  }

  /** Permits, connects and relays; never throws: a refusal is told to the client and logged. */
  async join(identified: Identified, target: string, asked: Asked): Promise<void> {
    const decision = this.#ports.authorizer.decide({
      principal: identified.principal,
      action: 'connect',
      resource: { type: 'Target', id: target },
      context: {},
    });
    if (!decision.allow) return this.#refuse(identified, target, asked, denial(target, decision));
    asked.permitted();
    const permitted: Permitted = { ...identified, action: 'connect', target, rule: decision.rule };
    // Only after the permit: who may not ask for a target does not learn whether it exists.
    const found = this.#ports.targets.get(target);
    if (found === undefined) {
      const text = `no target is named "${target}"`;
      return this.#refuse(identified, target, asked, { code: 'unknown-target', text });
    }
    // A unix socket has a mode, and no web page can reach it; a port of the machine is open to any page's browser.
    if (found.http2 === undefined || asked.ingress === 'unix')
      return await this.#connect(permitted, found, asked);
    const gate = new PrefaceGate(asked.stream, this.#ports.clock);
    const gated = { ...asked, stream: gate.stream };
    const verdict = await gate.verdict;
    if (verdict.kind === 'passed') return await this.#connect(permitted, found, gated);
    if (verdict.kind === 'left')
      return gated.stream.reset({ code: 'cancelled', text: 'it ended before it began' });
    const reason = { ...verdict.reason, text: `target "${target}": ${verdict.reason.text}` };
    if (!verdict.http1) return this.#refuse(identified, target, gated, reason);
    asked.accept();
    this.#tellRefused(identified, target, gated, reason);
    gate.turnAway(reason);
  }

  async #connect(permitted: Permitted, target: Target, asked: Asked): Promise<void> {
    try {
      if (target.http2) await this.#http2.begin(permitted, target, asked);
      else if (target.upstream.kind === 'tunnel') await this.#joinTunnel(permitted, target, asked);
      else await this.#joinDialled(permitted, target.upstream, asked);
    } catch (error) {
      if (!(error instanceof LockwireError)) {
        this.#ports.log.error(
          { session: permitted.session, error: messageOf(error) },
          'internal error in a join',
        );
      }
      this.#refuse(permitted, target.name, asked, unreachable(target.name, error));
    }
  }

  async #joinTunnel(permitted: Permitted, target: Target, asked: Asked): Promise<void> {
    const who = principalName(permitted.principal);
    const session = await this.#ports.exposers.find(target.name, target.stateful, who);
    if (session === undefined) throw new LockwireError('unavailable', noExposeServes(target.name));
    const leave = this.#ports.shares.take(session, who);
    try {
      const upstream = session.open(target.name, asked.ingress, () => asked.accept());
      this.#relay(permitted, `tunnel:${session.facts.id}`, asked, upstream, leave);
    } catch (error) {
      leave();
      throw error;
    }
  }

  async #joinDialled(
    permitted: Permitted,
    upstream: Extract<Target['upstream'], { kind: 'dial' }>,
    asked: Asked,
  ): Promise<void> {
    const { carrier } = await upstream.dialer.dial();
    asked.accept();
    this.#relay(permitted, upstream.address, asked, new BufferedStream(carrier));
  }

  #relay(
    permitted: Permitted,
    upstream: string,
    asked: Asked,
    server: ByteStream,
    leave: () => void = () => {},
  ): void {
    const { clock, live } = this.#ports;
    const connected: Connected = { ...permitted, upstream, connectedAtMs: clock.now() };
    let ended = false;
    const handle = relay(asked.stream, server, connected, {
      clock,
      onClosed: closed => {
        ended = true;
        live.endRelay(connected);
        leave();
        asked.closed();
        this.#log(closed);
      },
    });
    // Both ends may have been gone before the relay began.
    if (!ended) live.beginRelay(connected, handle);
  }

  /** The one line of a session: who, what, how long, how much, why it ended. */
  #log(closed: Closed, more: LogFields = {}): void {
    this.#bytes('up').add(closed.bytesUp);
    this.#bytes('down').add(closed.bytesDown);
    const { code, text, decision } = closed.reason;
    this.#ports.log.info(
      {
        session: closed.session,
        who: principalName(closed.principal),
        target: closed.target,
        upstream: closed.upstream,
        listener: closed.listener,
        peer: closed.peerAddress,
        rule: closed.rule,
        durationMs: closed.closedAtMs - closed.connectedAtMs,
        bytesUp: closed.bytesUp,
        bytesDown: closed.bytesDown,
        ...more,
        reason: code,
        ...(text ? { detail: text } : {}),
        ...(decision ? { decision } : {}),
      },
      'session ended',
    );
  }

  #refuse(identified: Identified, target: string, asked: Asked, reason: CloseReason): void {
    this.#tellRefused(identified, target, asked, reason);
    asked.stream.reset(reason);
  }

  #tellRefused(identified: Identified, target: string, asked: Asked, reason: CloseReason): void {
    this.#refusals(reason.code).add();
    this.#ports.log.warn(
      {
        session: identified.session,
        who: principalName(identified.principal),
        target,
        reason: reason.code,
        detail: reason.text,
        ...(reason.decision ? { decision: reason.decision } : {}),
      },
      'stream refused',
    );
    asked.refused(reason);
  }
}

function unreachable(target: string, error: unknown): CloseReason {
  if (!(error instanceof LockwireError)) return { code: 'internal', text: 'internal error' };
  const code = error.code === 'limit' || error.code === 'timeout' ? error.code : 'unavailable';
  return { code, text: `target "${target}": ${messageOf(error)}` };
}
