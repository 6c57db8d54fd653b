import type { Clock } from './core/clock.ts';
import type { CloseReason, Identity } from './core/session.ts';
import { principalName } from './core/session.ts';
import type { LiveTunnel } from './gateway-live.ts';
import type { Hello, Resume } from './wire/tunnel/frames.ts';

/** A tunnel that may go on over another connection. */
export interface Resumable {
  readonly tunnel: LiveTunnel;
  /** From its Welcome. */
  readonly secret: Uint8Array;
  /** Raw Ed25519 key of the instance that opened it. */
  readonly instanceKey: Uint8Array;
}

export interface DetachedLimits {
  readonly maxDetached: number;
  readonly maxDetachedBytes: number;
  readonly maxDetachedPerPrincipal: number;
}

const defaultDetachedLimits: DetachedLimits = {
  maxDetached: 1_000,
  maxDetachedBytes: 256 * 1024 * 1024,
  maxDetachedPerPrincipal: 8,
};

/** How often what detached sessions hold is added up again: while detached they still grow, by at most their windows. */
const countEveryMs = 1_000;

/** Which tunnels may be resumed, by whom, and how many may wait without a connection. Beyond a limit the oldest ends. */
export class ResumableTunnels {
  readonly #clock: Clock;
  readonly #limits: DetachedLimits;
  readonly #byId = new Map<string, Resumable>();
  /** The longest detached first. */
  readonly #detached = new Set<Resumable>();
  #counting = false;

  constructor(clock: Clock, limits: DetachedLimits = defaultDetachedLimits) {
    this.#clock = clock;
    this.#limits = limits;
  }

  get detachedCount(): number {
    return this.#detached.size;
  }

  /** What they hold together, now. */
  get detachedBytes(): number {
    let bytes = 0;
    for (const { tunnel } of this.#detached) bytes += tunnel.session.heldBytes;
    return bytes;
  }

  add(resumable: Resumable): void {
    this.#byId.set(resumable.tunnel.session.facts.id, resumable);
  }

  remove(resumable: Resumable): void {
    this.#byId.delete(resumable.tunnel.session.facts.id);
    this.#detached.delete(resumable);
  }

  /** The tunnel that a Resume speaks of, where its bearer is the same principal, instance and role; else none. */
  find(resume: Resume, hello: Hello, identity: Identity): Resumable | undefined {
    const found = this.#byId.get(resume.session);
    if (found === undefined) return undefined;
    const { tunnel, instanceKey } = found;
    const same =
      principalName(tunnel.identity.principal) === principalName(identity.principal) &&
      Buffer.from(instanceKey).equals(hello.instanceKey) &&
      tunnel.role === hello.role &&
      tunnel.target === hello.target;
    return same ? found : undefined;
  }

  /**
   * A fresh Hello of an instance: two running processes never share a key, so what an earlier process left here is dead.
   * One that drains is the same process's own, on its way out.
   */
  replacedBy(hello: Hello): void {
    for (const { tunnel, instanceKey } of [...this.#byId.values()]) {
      if (!Buffer.from(instanceKey).equals(hello.instanceKey)) continue;
      if (tunnel.session.attached && tunnel.session.state === 'draining') continue;
      tunnel.session.close({ code: 'replaced', text: 'the instance came back as a new process' });
    }
  }

  attached(resumable: Resumable): void {
    this.#detached.delete(resumable);
  }

  detached(resumable: Resumable): void {
    this.#detached.delete(resumable);
    this.#detached.add(resumable);
    this.#enforcePrincipal(principalName(resumable.tunnel.identity.principal));
    this.#enforce();
    this.#countAgain();
  }

  #enforcePrincipal(principal: string): void {
    const { maxDetachedPerPrincipal } = this.#limits;
    const own = [...this.#detached].filter(
      ({ tunnel }) => principalName(tunnel.identity.principal) === principal,
    );
    const text = `more than ${maxDetachedPerPrincipal} sessions of this principal wait for a connection`;
    for (const oldest of own.slice(0, Math.max(0, own.length - maxDetachedPerPrincipal))) {
      this.#end(oldest, { code: 'limit', text });
    }
  }

  #enforce(): void {
    const { maxDetached, maxDetachedBytes } = this.#limits;
    let bytes = this.detachedBytes;
    for (const oldest of [...this.#detached]) {
      if (this.#detached.size <= maxDetached && bytes <= maxDetachedBytes) return;
      bytes -= oldest.tunnel.session.heldBytes;
      this.#end(oldest, { code: 'limit', text: 'too much waits for lost connections; the oldest goes' });
    }
  }

  #end(resumable: Resumable, reason: CloseReason): void {
    this.#detached.delete(resumable);
    resumable.tunnel.session.close(reason);
  }

  #countAgain(): void {
    if (this.#counting || this.#detached.size === 0) return;
    this.#counting = true;
    this.#clock.after(countEveryMs, () => {
      this.#counting = false;
      this.#enforce();
      this.#countAgain();
    });
  }
}
