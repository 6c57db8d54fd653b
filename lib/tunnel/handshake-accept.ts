import { randomBytes } from 'node:crypto';
import type { Clock, Timer } from '../core/clock.ts';
import { LockwireError } from '../core/errors.ts';
import type { Carrier, InstanceKey } from '../core/ports.ts';
import type { CloseCode, CloseReason, Identity } from '../core/session.ts';
import type { ControlFrame, Hello, Resume } from '../wire/tunnel/frames.ts';
import { keyBytes, maxTextBytes } from '../wire/tunnel/limits.ts';
import { Link, type LinkHandler } from './link.ts';
import {
  type Bound,
  challengeMessage,
  helloMessage,
  resumeProof,
  sameProof,
  verifyProof,
  welcomeMessage,
} from './proof.ts';
import { RefusedHello } from './refused-hello.ts';
import { TunnelSession } from './session.ts';
import type { SessionPorts } from './session-ports.ts';
import { fitText, verdictOf } from './verdict.ts';

export interface AcceptHandshake {
  /** The session's id: in logs at both ends. */
  readonly session: string;
  readonly gatewayKey: InstanceKey;
  /** Former keys, as `encodeRotations` gives them; none where absent. */
  readonly rotation?: Uint8Array;
  /** This gateway process, and how many stand behind the same address. */
  readonly instance: string;
  readonly instances: number;
  /** 32 bytes bound to the TLS connection under the carrier. */
  readonly exporter: Uint8Array;
}

/**
 * Whether the bearer of a Hello, whose connection is proven, gets a session; a refusal is thrown as a RefusedHello.
 * Where the Hello came with a Resume, `resume` may be the session that goes on.
 */
export type Admit = (hello: Hello, resume: Resume | undefined) => Promise<Admission>;

export interface Admission extends Identity {
  readonly name: string;
  /** The session that the Resume speaks of, and its secret; absent where it is not known, or not this bearer's. */
  readonly resume?: { readonly session: TunnelSession; readonly secret: Uint8Array };
}

/** A Resume whose proof or attempt is no good: whoever sent it is no honest bearer of that session. */
export class RefusedResume extends LockwireError {
  constructor(text: string) {
    super('denied', text);
  }
}

/** The peer left before it said anything: it only wanted to know which gateway process answers. */
export class LeftAtChallenge extends LockwireError {
  constructor(text: string) {
    super('closed', text);
  }
}

export interface Admitted {
  readonly session: TunnelSession;
  readonly hello: Hello;
  readonly identity: Identity;
  /** The session was there before and goes on. */
  readonly resumed: boolean;
  /** Of a fresh session: the key of the proofs of Resume. */
  readonly secret: Uint8Array;
}

/**
 * The gateway's handshake: Challenge, Hello, Welcome. `ports` is made once the Hello is admitted, so that it can know
 * whose session it serves. Rejects with LockwireError; the peer was then told with a GoAway.
 */
export function acceptTunnel(
  carrier: Carrier,
  options: AcceptHandshake,
  admit: Admit,
  ports: Pick<SessionPorts, 'clock' | 'limits'>,
  sessionPorts: (hello: Hello, identity: Identity) => SessionPorts,
): Promise<Admitted> {
  return new Promise((resolve, reject) => {
    const handshake = new Accepting(options, admit, ports, sessionPorts, resolve, reject);
    handshake.begin(new Link(carrier, handshake, ports.clock, ports.limits));
  });
}

/** `hello` is awaited, with a Resume before it or not → `admission` is → over, with a session or an error. */
type State = { readonly awaiting: 'hello' | 'admission' | 'nothing' };

class Accepting implements LinkHandler {
  readonly #options: AcceptHandshake;
  readonly #admit: Admit;
  readonly #clock: Clock;
  readonly #sessionPorts: (hello: Hello, identity: Identity) => SessionPorts;
  readonly #resolve: (admitted: Admitted) => void;
  readonly #reject: (error: LockwireError) => void;
  readonly #nonce = randomBytes(keyBytes);
  readonly #deadline: Timer;
  #sentMs = 0;
  #link: Link | undefined;
  #resume: Resume | undefined;
  #state: State = { awaiting: 'hello' };

  constructor(
    options: AcceptHandshake,
    admit: Admit,
    { clock, limits }: Pick<SessionPorts, 'clock' | 'limits'>,
    sessionPorts: (hello: Hello, identity: Identity) => SessionPorts,
    resolve: (admitted: Admitted) => void,
    reject: (error: LockwireError) => void,
  ) {
    this.#options = options;
    this.#admit = admit;
    this.#clock = clock;
    this.#sessionPorts = sessionPorts;
    this.#resolve = resolve;
    this.#reject = reject;
    const text = `no session within ${limits.handshakeTimeoutMs} ms`;
    this.#deadline = clock.after(limits.handshakeTimeoutMs, () => this.#refuse('timeout', text));
  }

  begin(link: Link): void {
    this.#link = link;
    const { gatewayKey, exporter, rotation = new Uint8Array(0), instance } = this.#options;
    link.start();
    link.send(0, {
      type: 'challenge',
      nonce: this.#nonce,
      gatewayKey: gatewayKey.publicKey,
      signature: gatewayKey.sign(challengeMessage(exporter, this.#nonce)),
      rotation,
      instance,
    });
    this.#sentMs = this.#clock.monotonic();
  }

  frame(_stream: number, frame: ControlFrame): void {
    if (this.#state.awaiting === 'hello' && frame.type === 'hello') return this.#hello(frame);
    if (this.#state.awaiting === 'hello' && frame.type === 'resume' && this.#resume === undefined) {
      this.#resume = frame;
      return;
    }
    this.#refuse('protocol', `${frame.type} while ${this.#state.awaiting} was awaited`);
  }

  data(): void {
    this.#refuse('protocol', 'data before Welcome');
  }

  read(): void {}

  malformed(reason: CloseReason): void {
    this.#refuse(reason.code, reason.text);
  }

  closed(reason: CloseReason): void {
    if (this.#state.awaiting === 'nothing') return;
    const text = `closed before Welcome: ${reason.text}`;
    const silent = this.#state.awaiting === 'hello' && this.#resume === undefined;
    this.#over();
    this.#reject(silent ? new LeftAtChallenge(text) : new LockwireError('closed', text));
  }

  #hello(hello: Hello): void {
    const roundTripMs = this.#clock.monotonic() - this.#sentMs;
    const bound: Bound = {
      exporter: this.#options.exporter,
      role: hello.role,
      gatewayNonce: this.#nonce,
      clientNonce: hello.nonce,
    };
    // Before the credential is looked at: one that was stolen by a box in the middle is worth nothing here.
    if (!verifyProof(hello.instanceKey, helloMessage(bound), hello.signature)) {
      return this.#refuse(
        'intercepted',
        'TLS to the gateway is intercepted: the two ends see different connections',
      );
    }
    if ((hello.role === 'expose') !== (hello.target !== '')) {
      return this.#refuse('protocol', `role ${hello.role} with target '${hello.target}'`);
    }
    this.#state = { awaiting: 'admission' };
    this.#admit(hello, this.#resume)
      .then(admission => this.#admitted(hello, admission, bound, roundTripMs))
      .catch((error: unknown) => this.#refuseWith(error));
  }

  #admitted(hello: Hello, admission: Admission, bound: Bound, roundTripMs: number): void {
    const link = this.#link;
    if (link === undefined || this.#state.awaiting !== 'admission') return;
    const resume = this.#resume;
    if (resume === undefined) return this.#welcome(link, hello, admission, bound, roundTripMs);
    const known = admission.resume;
    if (known !== undefined && !known.session.resumable) {
      // It ended while the Hello was judged. Asked once more, its bearer is told and gets a place of its own.
      return this.#refuse('unavailable', 'the session ended meanwhile');
    }
    if (known === undefined) {
      link.send(0, { type: 'resumed', outcome: 'unknown', received: 0, expiresAt: 0 });
      return this.#welcome(link, hello, admission, bound, roundTripMs);
    }
    this.#goOn(link, hello, admission, known, resume);
  }

  /** The session's own bearer, by its secret and over this very connection, and not an old try sent again. */
  #goOn(
    link: Link,
    hello: Hello,
    identity: Identity,
    { session, secret }: { session: TunnelSession; secret: Uint8Array },
    resume: Resume,
  ): void {
    if (!sameProof(resumeProof(secret, this.#options.exporter, resume), resume.proof)) {
      return this.#refuseResume('resume with a proof that does not fit');
    }
    if (!session.nextAttempt(resume.attempt)) {
      return this.#refuseResume(`resume with attempt ${resume.attempt}, which is no new one`);
    }
    this.#over();
    const { expiresAtMs } = identity.credential;
    const answer = (received: number): void =>
      link.send(0, { type: 'resumed', outcome: 'resumed', received, expiresAt: expiresAtMs });
    if (session.resume(link, resume.received, answer)) {
      this.#resolve({ session, hello, identity, resumed: true, secret });
      return;
    }
    const text = 'resume at an impossible offset';
    link.farewell(
      { type: 'goAway', code: 'protocol', text, decision: '', lastStream: 0 },
      { code: 'protocol', text },
    );
    this.#reject(new LockwireError('protocol', text));
  }

  #welcome(link: Link, hello: Hello, identity: Admission, bound: Bound, roundTripMs: number): void {
    const { session: id, gatewayKey, instance, instances } = this.#options;
    const ports = this.#sessionPorts(hello, identity);
    const { patienceMs } = ports.limits;
    const secret = randomBytes(keyBytes);
    link.send(0, {
      type: 'welcome',
      signature: gatewayKey.sign(welcomeMessage(bound)),
      session: id,
      sessionSecret: secret,
      instance,
      instances,
      earlyWindow: ports.limits.earlyWindowBytes,
      expiresAt: identity.credential.expiresAtMs,
      patience: patienceMs,
      principal: fitText(identity.name, maxTextBytes),
    });
    this.#over();
    const session = new TunnelSession(
      { id, side: 'gateway', role: hello.role, peerEarlyWindow: hello.earlyWindow, roundTripMs, patienceMs },
      link,
      ports,
    );
    this.#resolve({ session, hello, identity, resumed: false, secret });
  }

  #refuseWith(error: unknown): void {
    if (error instanceof RefusedHello)
      return this.#refuse(error.reason.code, error.reason.text, error.reason.decision);
    this.#refuse('internal', 'internal error');
  }

  #refuseResume(text: string): void {
    this.#tell({ code: 'denied', text }, new RefusedResume(text));
  }

  #refuse(code: CloseCode, text: string, decision = ''): void {
    const reason: CloseReason = decision ? { code, text, decision } : { code, text };
    this.#tell(reason, new LockwireError(errorCode(code), text));
  }

  #tell(reason: CloseReason, error: LockwireError): void {
    if (this.#state.awaiting === 'nothing') return;
    this.#over();
    this.#link?.farewell({ type: 'goAway', ...verdictOf(reason), lastStream: 0 }, reason);
    this.#reject(error);
  }

  #over(): void {
    this.#state = { awaiting: 'nothing' };
    this.#deadline.cancel();
  }
}

function errorCode(code: CloseCode): LockwireError['code'] {
  switch (code) {
    case 'denied':
    case 'unauthenticated':
    case 'intercepted':
    case 'timeout':
    case 'protocol':
      return code;
    default:
      return 'unavailable';
  }
}
