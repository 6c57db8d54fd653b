import { createHash } from 'node:crypto';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { LockwireError, messageOf } from './core/errors.ts';
import type { Authorizer, Log, Metrics } from './core/ports.ts';
import { type CloseReason, type Connected, type Identity, principalName } from './core/session.ts';
import { denial } from './gateway-denial.ts';
import type { LiveDirect, LiveSessions, LiveTunnel } from './gateway-live.ts';
import type { Target } from './gateway-target.ts';
import type { RelayHandle } from './relay/tcp.ts';
import type { Binding, CodeRefusal, Enrolment } from './store/enrolments.ts';
import type { RevocationKind } from './store/revocations.ts';
import type { Store } from './store/store.ts';
import { RefusedHello } from './tunnel/refused-hello.ts';
import type { Hello } from './wire/tunnel/frames.ts';

export interface JudgePorts {
  readonly store: Store;
  readonly authorizer: Authorizer;
  readonly targets: ReadonlyMap<string, Target>;
  readonly live: LiveSessions;
  readonly log: Log;
  readonly metrics: Metrics;
}

/** Whom a session belongs to, by all that can be revoked. */
export interface Bearer {
  readonly identity: Identity;
  /** SHA-256 of the instance's key, hex; '' where there is none. */
  readonly instance: string;
  /** SHA-256 of each certificate that was shown, hex. */
  readonly certificates: readonly string[];
}

/** Sessions that are decided anew in one turn: between turns, traffic moves. */
const judgedPerTurn = 64;
/** Tokens whose signature is checked anew at a time. */
const verifiedAtOnce = 8;

/**
 * Whether a session may begin or go on: revocation, binding, policy, target. Asked at the door and, when one of these
 * became other, of all that lives; what may not go on ends, and nothing else notices.
 */
export class Judge {
  /** Instances that are not bound are refused. */
  enrolmentRequired = false;
  readonly #ports: JudgePorts;
  readonly #ended: (why: string) => { add(): void };
  #judging: Promise<void> = Promise.resolve();

  constructor(ports: JudgePorts) {
    this.#ports = ports;
    this.#ended = ports.metrics.counters(
      'lockwire_sessions_ended_total',
      'Sessions and streams that were ended because they may not go on, by reason.',
      ['reason'],
    );
    ports.store.onChange = () => this.judgeRevocations();
    ports.live.onRelay = (connected, handle) => this.#judgeRelay(connected, handle, this.#tunnels());
  }

  /** Throws RefusedHello where any of it is revoked. */
  admit(bearer: Bearer): void {
    const reason = this.#revoked(bearer);
    if (reason) throw new RefusedHello(reason);
  }

  /** The binding of a Hello's instance, made now where it brings a code; undefined where it is not bound and need not be. */
  enrolled(hello: Hello, { principal }: Identity): Enrolment | undefined {
    const instance = fingerprintOf(hello.instanceKey);
    const bearer: Binding = { principal: principalName(principal), role: hello.role, target: hello.target };
    const known = this.#ports.store.enrolment(instance);
    if (known) {
      if (fits(known, bearer)) return known;
      // Neither whose it is nor what for: a stolen key tells its thief nothing.
      throw refused('this instance’s key is bound to another principal, role or target');
    }
    if (hello.enrollment !== '') return this.#redeem(hello.enrollment, instance, bearer);
    if (!this.enrolmentRequired) return undefined;
    throw refused(
      'this instance is not enrolled; ask your admin for a one-time code (lockwire enroll) and start once with --enroll CODE',
    );
  }

  /** A session that has just begun, went on or was renewed: what changed while it was let in counts. */
  begun(tunnel: LiveTunnel): void {
    this.#judgeBearer(tunnel);
    this.#judgeTunnel(tunnel);
    // A renewal, or a resumption with another token, may have changed who may do what.
    const tunnels = new Map([[tunnel.session.facts.id, tunnel]]);
    for (const [connected, handle] of [...this.#ports.live.relays])
      if (connected.session === tunnel.session.facts.id) this.#judgeRelay(connected, handle, tunnels);
  }

  /** After a revocation, a binding that was taken back, or their undoing: all that lives, at once. */
  judgeRevocations(): void {
    const { live, store } = this.#ports;
    for (const tunnel of [...live.tunnels]) {
      tunnel.enrolment = store.enrolment(tunnel.instance);
      this.#judgeBearer(tunnel);
    }
    for (const direct of [...live.direct]) {
      const reason = this.#revoked(direct);
      if (reason) this.#endDirect(direct, reason);
    }
  }

  /**
   * After a change of the config: what lives is judged by the new one. `sources` are the issuers and authorities that
   * are other than before: what they vouched for is verified anew. One after the other; resolves when all is judged.
   */
  judgeAll(sources: ReadonlySet<string>): Promise<void> {
    this.#judging = this.#judging.then(
      () => this.#judgeAll(sources),
      () => this.#judgeAll(sources),
    );
    return this.#judging;
  }

  /** Ends a session by the id that `lockwire sessions` shows; false where none has it. */
  kill(id: string): boolean {
    const reason: CloseReason = { code: 'revoked', text: 'ended by an admin (lockwire kill)' };
    const { live } = this.#ports;
    for (const tunnel of [...live.tunnels]) {
      if (tunnel.session.facts.id !== id) continue;
      this.#endTunnel(tunnel, reason);
      return true;
    }
    for (const connection of [...live.http2]) {
      if (connection.facts.session !== id) continue;
      connection.close(reason);
      return true;
    }
    for (const [connected, handle] of [...live.relays]) {
      if (live.relayId(connected) !== id) continue;
      this.#endRelay(connected, handle, reason, this.#tunnels());
      return true;
    }
    return false;
  }

  async #judgeAll(sources: ReadonlySet<string>): Promise<void> {
    const { live } = this.#ports;
    this.judgeRevocations();
    await this.#verifyAnew(sources);
    for await (const tunnel of inTurns([...live.tunnels])) this.#judgeTunnel(tunnel);
    const tunnels = this.#tunnels();
    for await (const [connected, handle] of inTurns([...live.relays]))
      this.#judgeRelay(connected, handle, tunnels);
    for await (const connection of inTurns([...live.http2])) connection.judgeAnew();
    live.dialects?.judgeAnew();
  }

  async #verifyAnew(sources: ReadonlySet<string>): Promise<void> {
    const { live } = this.#ports;
    const direct = [...live.direct].filter(({ identity }) => sources.has(sourceOf(identity)));
    for await (const one of inTurns(direct)) {
      const reason = await refusalOf(one);
      if (reason) this.#endDirect(one, reason);
    }
    const waiting = [...live.tunnels].filter(({ identity }) => sources.has(sourceOf(identity)));
    const work = async (): Promise<void> => {
      for (let tunnel = waiting.pop(); tunnel; tunnel = waiting.pop()) {
        const reason = await refusalOf(tunnel);
        if (reason) this.#endTunnel(tunnel, reason);
      }
    };
    await Promise.all(Array.from({ length: verifiedAtOnce }, work));
  }

  #revoked({ identity, instance, certificates }: Bearer): CloseReason | undefined {
    const { store } = this.#ports;
    const { credential, principal } = identity;
    const asked: [RevocationKind, string][] = [['principal', principalName(principal)]];
    if (credential.kind === 'token') asked.push(['token', credential.id]);
    if (instance !== '') asked.push(['instance', instance]);
    for (const certificate of certificates) asked.push(['certificate', certificate]);
    for (const [kind, value] of asked) {
      if (store.revoked(kind, value) === undefined) continue;
      return { code: 'revoked', text: `revoked: this ${kind} may not be used here any more; ask your admin` };
    }
    return undefined;
  }

  #redeem(code: string, instance: string, bearer: Binding): Enrolment {
    const result = this.#ports.store.redeemCode(code, instance, bearer);
    const fields = { instance, principal: bearer.principal, role: bearer.role };
    if (typeof result !== 'string') {
      this.#ports.log.info({ ...fields, target: result.target }, 'instance enrolled');
      return result;
    }
    this.#ports.log.warn({ ...fields, reason: result }, 'one-time code refused');
    throw new WrongCode(codeRefusals[result]);
  }

  #judgeBearer(tunnel: LiveTunnel): void {
    const reason = this.#revoked(tunnel);
    if (reason) this.#endTunnel(tunnel, reason);
    else if (this.enrolmentRequired && tunnel.enrolment === undefined)
      this.#endTunnel(tunnel, { code: 'revoked', text: 'revoked: this instance is not enrolled any more' });
  }

  #judgeTunnel(tunnel: LiveTunnel): void {
    if (tunnel.session.state === 'closed' || tunnel.role !== 'expose') return;
    const { authorizer, targets } = this.#ports;
    const { target, identity } = tunnel;
    if (targets.get(target)?.upstream.kind !== 'tunnel')
      return this.#endTunnel(tunnel, { code: 'denied', text: `target "${target}" is exposed no more` });
    const decision = authorizer.decide({
      principal: identity.principal,
      action: 'expose',
      resource: { type: 'Target', id: target },
      context: {},
    });
    if (!decision.allow) this.#endTunnel(tunnel, denial(target, decision, 'expose'));
  }

  #judgeRelay(connected: Connected, handle: RelayHandle, tunnels: ReadonlyMap<string, LiveTunnel>): void {
    const { authorizer, targets, live } = this.#ports;
    if (!live.relays.has(connected)) return;
    const { target, session } = connected;
    const tunnel = tunnels.get(session);
    if (!targets.has(target)) {
      const gone: CloseReason = { code: 'denied', text: `target "${target}" is served no more` };
      return this.#endRelay(connected, handle, gone, tunnels);
    }
    // A renewal may have changed groups since the stream began.
    const { principal } = tunnel?.identity ?? connected;
    const decision = authorizer.decide({
      principal,
      action: 'connect',
      resource: { type: 'Target', id: target },
      context: {},
    });
    if (!decision.allow) return this.#endRelay(connected, handle, denial(target, decision), tunnels);
    handle.judgeAnew?.();
  }

  #tunnels(): Map<string, LiveTunnel> {
    return new Map([...this.#ports.live.tunnels].map(tunnel => [tunnel.session.facts.id, tunnel]));
  }

  #endTunnel(tunnel: LiveTunnel, reason: CloseReason): void {
    const { session, identity, role } = tunnel;
    if (session.state === 'closed' || session.state === 'closing') return;
    this.#note(session.facts.id, identity, { role, reason });
    session.notice(reason);
    session.close(reason);
  }

  #endDirect(direct: LiveDirect, reason: CloseReason): void {
    this.#note(direct.session, direct.identity, { role: 'tcp', reason });
    direct.close(reason);
  }

  #endRelay(
    connected: Connected,
    handle: RelayHandle,
    reason: CloseReason,
    tunnels: ReadonlyMap<string, LiveTunnel>,
  ): void {
    this.#note(connected.session, connected, { target: connected.target, reason });
    tunnels.get(connected.session)?.session.notice(reason);
    handle.close(reason);
  }

  #note(
    session: string,
    { principal }: Pick<Identity, 'principal'>,
    { reason, ...fields }: { reason: CloseReason; role?: string; target?: string },
  ): void {
    this.#ended(reason.code).add();
    this.#ports.log.info(
      {
        session,
        who: principalName(principal),
        ...fields,
        reason: reason.code,
        detail: reason.text,
        ...(reason.decision ? { decision: reason.decision } : {}),
      },
      'may not go on',
    );
  }
}

/** A one-time code that was no good: it counts against the source that tried it. */
export class WrongCode extends RefusedHello {
  constructor(text: string) {
    super({ code: 'denied', text });
  }
}

// An unknown, a used and an expired one look alike.
const codeRefusals: Readonly<Record<CodeRefusal, string>> = {
  used: 'the one-time code is not valid: it was used, ran out, or never was; ask your admin for another',
  other: 'the one-time code is for another principal, role or target',
  taken: 'this instance’s key is bound already',
  limit: 'no more instances can be enrolled',
};

/** What a caller may keep who is not bound: SHA-256 of a raw key or of DER, hex. */
export function fingerprintOf(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex');
}

function fits(known: Binding, bearer: Binding): boolean {
  if (known.principal !== bearer.principal || known.role !== bearer.role) return false;
  return known.target === '' || bearer.role === 'connect' || known.target === bearer.target;
}

function refused(text: string): RefusedHello {
  return new RefusedHello({ code: 'denied', text });
}

/** The configured name of whoever vouched for it. */
function sourceOf({ principal }: Identity): string {
  return principal.kind === 'user' ? principal.issuer : principal.source;
}

/** Why its credential is good no more; takes the identity that it gives now. */
async function refusalOf(
  live: Pick<LiveTunnel, 'verify'> & { identity: Identity },
): Promise<CloseReason | undefined> {
  try {
    const identity = await live.verify();
    if (principalName(identity.principal) !== principalName(live.identity.principal))
      return { code: 'revoked', text: 'revoked: the credential now names somebody else' };
    live.identity = identity;
    return undefined;
  } catch (error) {
    // Keys that can't be had just now say nothing against a credential that was verified before.
    if (error instanceof LockwireError && (error.code === 'unavailable' || error.code === 'limit'))
      return undefined;
    const why = error instanceof LockwireError ? messageOf(error) : 'internal error';
    return { code: 'revoked', text: `revoked: the credential is accepted no more: ${why}` };
  }
}

async function* inTurns<T>(items: readonly T[]): AsyncGenerator<T> {
  for (const [index, item] of items.entries()) {
    if (index % judgedPerTurn === judgedPerTurn - 1) await nextTurn();
    yield item;
  }
}
