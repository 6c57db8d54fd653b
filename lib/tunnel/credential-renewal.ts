import { createHash } from 'node:crypto';
import type { Clock, Timer } from '../core/clock.ts';
import { messageOf } from '../core/errors.ts';
import type { Log } from '../core/ports.ts';
import type { TunnelSession } from './session.ts';

/** A newer credential is looked for when this part of what was left of the old one's life is over. */
const renewAt = 0.8;
/** And, where there was none or it could not be read, again after so long, or sooner where less is left. */
export const lookAgainMs = 5_000;
/** Whoever renews it does so at that moment too (as kubelet does): a while, or a quarter of what is left, before it is said. */
const renewalGraceMs = 60_000;
/** Between two looks while next to nothing is left; and where the clocks differ so that nothing seems to be left. */
const leastLookMs = 250;
const overdueLookMs = 2_000;
/** Between two renewals: what the gateway lets be kept up. */
export const leastBetweenRenewalsMs = 2_000;

interface RenewalPorts {
  readonly clock: Clock;
  readonly log: Log;
  /** The token of now; '' where the client certificate is the credential. */
  token(): Promise<string>;
}

interface Held {
  /** Digest of the token that counts. */
  shown: string;
  expiresAtMs: number;
  /** When a newer one is looked for. */
  dueAtMs: number;
  /** Digest of the one that the gateway checks now: it refuses a second meanwhile. */
  checking: string | undefined;
  /** Another look was asked for meanwhile. */
  again: boolean;
  renewedAtMs: number;
  /** The last thing that was said of it: the same again and again is one line. */
  said: string;
  timer: Timer | undefined;
}

/** Keeps the credentials of sessions from running out: shows the newer one in band, and says in time where there is none. */
export class CredentialRenewal {
  readonly #ports: RenewalPorts;
  readonly #held = new Map<TunnelSession, Held>();

  constructor(ports: RenewalPorts) {
    this.#ports = ports;
  }

  /** The gateway let the session begin, or go on, with this token, until then. */
  admitted(session: TunnelSession, token: string, expiresAtMs: number): void {
    const held = this.#held.get(session) ?? newlyHeld();
    this.#held.set(session, held);
    this.#holds(session, held, tokenDigest(token), expiresAtMs);
  }

  /** The gateway answered a renewal. Where it holds no longer than before, it could not be checked: the old one counts. */
  renewed(session: TunnelSession, expiresAtMs: number): void {
    const held = this.#held.get(session);
    if (held === undefined) return;
    const { checking } = held;
    held.checking = undefined;
    const taken = checking !== undefined && expiresAtMs !== held.expiresAtMs;
    if (taken) this.#holds(session, held, checking, expiresAtMs);
    else this.#lookLater(session, held, lookAgainMs);
    if (held.again) void this.look(session);
  }

  forget(session: TunnelSession): void {
    this.#held.get(session)?.timer?.cancel();
    this.#held.delete(session);
  }

  /** Shows the token of now, where it is another than the one that counts. */
  async look(session: TunnelSession): Promise<void> {
    const held = this.#held.get(session);
    // The connection that is to come shows the new one with its Hello.
    if (held === undefined || !session.attached) return;
    held.again = held.checking !== undefined;
    if (held.again) return;
    const waitMs = held.renewedAtMs + leastBetweenRenewalsMs - this.#ports.clock.monotonic();
    if (waitMs > 0) return this.#lookLater(session, held, waitMs);
    try {
      const token = await this.#ports.token();
      if (held.checking === undefined) this.#show(session, held, token);
      else held.again = true;
    } catch (error) {
      this.#say(session, held, `the token cannot be read: ${messageOf(error)}`);
      this.#lookLater(session, held, lookAgainMs);
    }
  }

  #show(session: TunnelSession, held: Held, token: string): void {
    // A certificate cannot be renewed in band: the next connection shows the new one.
    if (token === '') return this.#notRenewed(session, held, 'the client certificate');
    const digest = tokenDigest(token);
    if (digest === held.shown) return this.#notRenewed(session, held, 'the token');
    held.checking = digest;
    held.renewedAtMs = this.#ports.clock.monotonic();
    held.timer?.cancel();
    session.renew(token);
  }

  /** Asked before its time, there is nothing to say yet. */
  #notRenewed(session: TunnelSession, held: Held, what: string): void {
    const dueInMs = this.#dueInMs(held);
    if (dueInMs > 0) return this.#lookLater(session, held, dueInMs);
    const graceMs = Math.min(renewalGraceMs, (held.expiresAtMs - held.dueAtMs) / 4);
    if (-dueInMs >= graceMs) this.#say(session, held, `${what} was not renewed`);
    this.#lookLater(session, held, lookAgainMs);
  }

  #say(session: TunnelSession, held: Held, what: string): void {
    if (held.said === what) return;
    held.said = what;
    const { clock, log } = this.#ports;
    const { expiresAtMs } = held;
    log.warn(
      {
        session: session.facts.id,
        detail: what,
        expiresAt: new Date(expiresAtMs).toISOString(),
        leftMs: expiresAtMs - clock.now(),
      },
      'the credential runs out; the session ends when it does',
    );
  }

  #holds(session: TunnelSession, held: Held, shown: string, expiresAtMs: number): void {
    const another = held.shown !== shown || held.expiresAtMs !== expiresAtMs;
    held.shown = shown;
    held.expiresAtMs = expiresAtMs;
    if (another) {
      held.said = '';
      held.dueAtMs = this.#ports.clock.now() + (expiresAtMs - this.#ports.clock.now()) * renewAt;
    }
    this.#lookLater(session, held, Math.max(this.#dueInMs(held), leastLookMs));
  }

  #dueInMs({ dueAtMs }: Held): number {
    return dueAtMs - this.#ports.clock.now();
  }

  /** One look at a time is to come. */
  #lookLater(session: TunnelSession, held: Held, atMostMs: number): void {
    const { clock } = this.#ports;
    const leftMs = held.expiresAtMs - clock.now();
    const delayMs = leftMs > 0 ? Math.min(atMostMs, Math.max(leftMs * renewAt, leastLookMs)) : overdueLookMs;
    held.timer?.cancel();
    held.timer = clock.after(delayMs, () => void this.look(session));
  }
}

function newlyHeld(): Held {
  return {
    shown: '',
    expiresAtMs: 0,
    dueAtMs: 0,
    checking: undefined,
    again: false,
    renewedAtMs: Number.NEGATIVE_INFINITY,
    said: '',
    timer: undefined,
  };
}

/** Enough to tell one token from another; the token itself is not kept. */
export function tokenDigest(token: string): string {
  return token === '' ? '' : createHash('sha256').update(token).digest('base64');
}
