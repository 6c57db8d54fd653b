import { randomBytes } from 'node:crypto';
import { safeText } from '../core/bytes.ts';
import type { Clock, Timer } from '../core/clock.ts';
import { LockwireError } from '../core/errors.ts';
import { maxTokenBytes } from '../core/limits.ts';
import type { Carrier, InstanceKey } from '../core/ports.ts';
import type { CloseReason } from '../core/session.ts';
import type { Challenge, ControlFrame, Purpose, Resumed, Role, Welcome } from '../wire/tunnel/frames.ts';
import { keyBytes } from '../wire/tunnel/limits.ts';
import { Link, type LinkHandler } from './link.ts';
import {
  type Bound,
  challengeMessage,
  helloMessage,
  resumeProof,
  verifyProof,
  welcomeMessage,
} from './proof.ts';
import { followsFrom, keyFingerprint } from './rotation.ts';
import { TunnelSession } from './session.ts';
import type { SessionPorts } from './session-ports.ts';
import { reasonOf } from './verdict.ts';

export interface DialHandshake {
  readonly role: Role;
  /** The target that an expose serves; '' for a connect. */
  readonly target: string;
  /** '' where the TLS client certificate is the credential. */
  readonly token: string;
  readonly instanceKey: InstanceKey;
  /** 32 bytes bound to the TLS connection under the carrier. */
  readonly exporter: Uint8Array;
  /** Who issued the certificate that TLS saw: named where TLS turns out to be intercepted. */
  readonly certificateIssuer: string;
  /** The gateway's key where it is pinned: no other is taken but one that it signed itself, or a follower of it. */
  readonly gatewayKey?: Uint8Array;
  /** The beginning of its fingerprint, where nothing is pinned yet: a one-time code brings it. */
  readonly gatewayFingerprint?: string;
  /** A one-time code that binds this instance's key. */
  readonly enrollment?: string;
  readonly software: string;
  /** The session that should go on over this connection. */
  readonly resume?: Resumption;
  /** `serve` where absent. */
  readonly purpose?: Purpose;
  /**
   * Whether this gateway process, whose Challenge is proven, is one that is wanted: if not, the connection ends before
   * anything is shown to it, with OtherInstance. Any where absent.
   */
  readonly wants?: (instance: string) => boolean;
  /** The Challenge has proven that this gateway key sees the same TLS connection; nothing was shown to it yet. */
  readonly onProven?: (gatewayKey: Uint8Array) => void;
}

export interface Resumption {
  readonly session: TunnelSession;
  /** From Welcome. */
  readonly secret: Uint8Array;
  /** Rises with every try. */
  readonly attempt: number;
}

export interface Fresh {
  readonly resumed: false;
  readonly session: TunnelSession;
  readonly welcome: Welcome;
  /** Raw Ed25519 key that the gateway proved. */
  readonly gatewayKey: Uint8Array;
}

/** A fresh session; or the one that was to be resumed, going on. */
export type Dialled =
  | Fresh
  | { readonly resumed: true; readonly session: TunnelSession; readonly expiresAt: number };

/** The gateway process that answered is none that was wanted. */
export class OtherInstance extends LockwireError {
  constructor(instance: string) {
    super(
      'unavailable',
      `gateway process ${safeText(instance)} answered, which is not the one that is wanted`,
    );
  }
}

/** A gateway's refusal, with its decision. */
export class TunnelRefused extends LockwireError {
  readonly reason: CloseReason;

  constructor(reason: CloseReason) {
    const code = {
      denied: 'denied',
      unauthenticated: 'unauthenticated',
      intercepted: 'intercepted',
    } as const;
    const known = Object.hasOwn(code, reason.code) ? code[reason.code as keyof typeof code] : 'unavailable';
    super(known, reason.text || reason.code);
    this.reason = reason;
  }
}

/**
 * The dialling end's handshake: waits for the Challenge, proves that no one ends TLS in between, shows the credential,
 * and has a session at Welcome. Rejects with `intercepted`, `timeout`, `protocol`, `unavailable` or TunnelRefused.
 */
export function dialTunnel(carrier: Carrier, hello: DialHandshake, ports: SessionPorts): Promise<Dialled> {
  return new Promise((resolve, reject) => {
    const handshake = new Dialling(hello, ports, resolve, reject);
    handshake.begin(new Link(carrier, handshake, ports.clock, ports.limits));
  });
}

/** awaiting `challenge` → awaiting `resumed` where there is a session to resume → awaiting `welcome` → over. */
type State =
  | { readonly awaiting: 'challenge' }
  | {
      readonly awaiting: 'welcome' | 'resumed';
      readonly bound: Bound;
      readonly gatewayKey: Uint8Array;
      readonly instance: string;
      readonly sentMs: number;
    }
  | { readonly awaiting: 'nothing' };

class Dialling implements LinkHandler {
  readonly #hello: DialHandshake;
  readonly #ports: SessionPorts;
  readonly #clock: Clock;
  readonly #resolve: (dialled: Dialled) => void;
  readonly #reject: (error: LockwireError) => void;
  readonly #deadline: Timer;
  #link: Link | undefined;
  #state: State = { awaiting: 'challenge' };

  constructor(
    hello: DialHandshake,
    ports: SessionPorts,
    resolve: (dialled: Dialled) => void,
    reject: (error: LockwireError) => void,
  ) {
    this.#hello = hello;
    this.#ports = ports;
    this.#clock = ports.clock;
    this.#resolve = resolve;
    this.#reject = reject;
    const { handshakeTimeoutMs } = ports.limits;
    this.#deadline = this.#clock.after(handshakeTimeoutMs, () =>
      this.#fail(new LockwireError('timeout', `the gateway did not answer within ${handshakeTimeoutMs} ms`)),
    );
  }

  begin(link: Link): void {
    this.#link = link;
    link.start();
    const tokenBytes = Buffer.byteLength(this.#hello.token);
    if (tokenBytes <= maxTokenBytes) return;
    this.#fail(new LockwireError('limit', `the token is of ${tokenBytes} bytes, limit ${maxTokenBytes}`));
  }

  frame(_stream: number, frame: ControlFrame): void {
    if (frame.type === 'goAway') return this.#fail(new TunnelRefused(reasonOf(frame)));
    const state = this.#state;
    if (state.awaiting === 'challenge' && frame.type === 'challenge') return this.#challenged(frame);
    if (state.awaiting === 'resumed' && frame.type === 'resumed') return this.#resumed(state, frame);
    if (state.awaiting === 'welcome' && frame.type === 'welcome') return this.#welcomed(state, frame);
    this.#fail(new LockwireError('protocol', `${frame.type} while ${state.awaiting} was awaited`));
  }

  data(): void {
    this.#fail(new LockwireError('protocol', 'data before Welcome'));
  }

  read(): void {}

  malformed(reason: CloseReason): void {
    const text =
      reason.code === 'internal' ? reason.text : `no Lockwire gateway, or a broken one: ${reason.text}`;
    this.#fail(new LockwireError('protocol', text));
  }

  closed(reason: CloseReason): void {
    this.#fail(new LockwireError('unavailable', `the gateway closed the connection: ${reason.text}`));
  }

  #challenged({ nonce, gatewayKey, signature, rotation, instance }: Challenge): void {
    const { exporter, role, target, token, instanceKey, software, enrollment = '', resume } = this.#hello;
    const { gatewayKey: pinned, gatewayFingerprint: expected = '', purpose = 'serve' } = this.#hello;
    // Before anything is shown to it: neither a token nor a one-time code goes to a gateway that is not the one.
    if (
      pinned ? !followsFrom(pinned, rotation, gatewayKey) : !keyFingerprint(gatewayKey).startsWith(expected)
    ) {
      return this.#intercepted(
        'its key is not the one that was pinned; if the gateway was made anew, enrol this instance again',
      );
    }
    if (!verifyProof(gatewayKey, challengeMessage(exporter, nonce), signature)) {
      return this.#intercepted('the two ends see different TLS connections');
    }
    this.#hello.onProven?.(gatewayKey);
    if (this.#hello.wants?.(instance) === false) return this.#fail(new OtherInstance(instance));
    const clientNonce = randomBytes(keyBytes);
    const bound: Bound = { exporter, role, gatewayNonce: nonce, clientNonce };
    const awaiting = resume ? 'resumed' : 'welcome';
    this.#state = { awaiting, bound, gatewayKey, instance, sentMs: this.#clock.monotonic() };
    if (resume) this.#sendResume(resume, exporter);
    this.#link?.send(0, {
      type: 'hello',
      nonce: clientNonce,
      role,
      target,
      token,
      instanceKey: instanceKey.publicKey,
      signature: instanceKey.sign(helloMessage(bound)),
      earlyWindow: this.#ports.limits.earlyWindowBytes,
      software,
      enrollment,
      purpose,
    });
  }

  #welcomed(state: Extract<State, { awaiting: 'welcome' | 'resumed' }>, welcome: Welcome): void {
    if (!verifyProof(state.gatewayKey, welcomeMessage(state.bound), welcome.signature)) {
      return this.#intercepted('its Welcome is not signed by the key of its Challenge');
    }
    if (welcome.instance !== state.instance) {
      return this.#fail(new LockwireError('protocol', 'the gateway welcomes as another process than it was'));
    }
    const link = this.#link;
    if (link === undefined) return;
    this.#over();
    // In the same turn: the next frame of this very chunk is the session's.
    const session = new TunnelSession(
      {
        id: welcome.session,
        side: 'dialler',
        role: this.#hello.role,
        peerEarlyWindow: welcome.earlyWindow,
        roundTripMs: this.#clock.monotonic() - state.sentMs,
        patienceMs: Math.min(this.#ports.limits.patienceMs, welcome.patience),
      },
      link,
      this.#ports,
    );
    this.#resolve({ resumed: false, session, welcome, gatewayKey: state.gatewayKey });
  }

  #sendResume({ session, secret, attempt }: Resumption, exporter: Uint8Array): void {
    const claim = { session: session.facts.id, attempt, received: session.offsets.received };
    this.#link?.send(0, { type: 'resume', ...claim, proof: resumeProof(secret, exporter, claim) });
  }

  #resumed(state: Extract<State, { awaiting: 'welcome' | 'resumed' }>, frame: Resumed): void {
    const { resume } = this.#hello;
    const link = this.#link;
    if (link === undefined || resume === undefined) return;
    // The peer knows the session no more: its Welcome follows, for a fresh one.
    if (frame.outcome === 'unknown') {
      this.#state = { ...state, awaiting: 'welcome' };
      return;
    }
    const { session } = resume;
    if (!session.resumable) return this.#fail(new LockwireError('closed', 'the session ended meanwhile'));
    this.#over();
    // In the same turn: the next frame of this very chunk is the session's.
    if (session.resume(link, frame.received)) {
      this.#resolve({ resumed: true, session, expiresAt: frame.expiresAt });
      return;
    }
    link.destroy({ code: 'protocol', text: 'resumed at an impossible offset' });
    this.#reject(new LockwireError('protocol', 'the gateway resumed at an impossible offset'));
  }

  #intercepted(why: string): void {
    const { certificateIssuer } = this.#hello;
    const text = `TLS to the gateway is intercepted; the certificate seen was issued by ${safeText(certificateIssuer)} (${why})`;
    this.#fail(new LockwireError('intercepted', text));
  }

  #fail(error: LockwireError): void {
    if (this.#state.awaiting === 'nothing') return;
    this.#over();
    this.#link?.destroy({ code: 'io', text: error.message });
    this.#reject(error);
  }

  #over(): void {
    this.#state = { awaiting: 'nothing' };
    this.#deadline.cancel();
  }
}
