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

export const defaultDetachedLimits: DetachedLimits = {
  maxDetached: 1_000,
  maxDetachedBytes: 256 * 1024 * 1024,
  maxDetachedPerPrincipal: 8,
};

/** How often what detached sessions hold is added up again: while detached they still grow, by at most their windows. */
const countEveryMs = 1_000;

const tooMany: CloseReason = {
  code: 'limit',
  text: 'too much waits for lost connections; the oldest goes',
};

/**
 * Which tunnels may be resumed, by whom, and how many may wait without a connection. Beyond a limit the oldest ends.
 * A network that fails detaches thousands in the same moment: none of them costs a look at all the others.
 */
export class ResumableTunnels {
  readonly #clock: Clock;
  readonly #limits: DetachedLimits;
  readonly #byId = new Map<string, Resumable>();
  /** Instance keys in hex. */
  readonly #byKey = new Map<string, Set<Resumable>>();
  /** The longest detached first, each with what it held when last counted. */
  readonly #detached = new Map<Resumable, number>();
  /** The same, by principal: the one that it had when it was detached. */
  readonly #byPrincipal = new Map<string, Set<Resumable>>();
  readonly #principalOf = new Map<Resumable, string>();
  #bytes = 0;
  #counting = false;

  constructor(clock: Clock, limits: DetachedLimits = defaultDetachedLimits) {
    this.#clock = clock;
    this.#limits = limits;
  }

  get detachedCount(): number {
    return this.#detached.size;
  }

  /** What they hold together, as last counted. */
  get detachedBytes(): number {
    return this.#bytes;
  }

  add(resumable: Resumable): void {
    this.#byId.set(resumable.tunnel.session.facts.id, resumable);
    addTo(this.#byKey, keyOf(resumable), resumable);
  }

  remove(resumable: Resumable): void {
    this.#byId.delete(resumable.tunnel.session.facts.id);
    removeFrom(this.#byKey, keyOf(resumable), resumable);
    this.#forget(resumable);
  }

  /** The tunnel that a Resume speaks of, where its bearer is the same principal, instance and role; else none. */
  find(resume: Resume, hello: Hello, identity: Identity): Resumable | undefined {
    const found = this.#byId.get(resume.session);
    // One that is on its way out keeps no place: a Hello that came to it with a Resume would have none.
    if (found === undefined || !found.tunnel.session.resumable) return undefined;
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
    for (const { tunnel } of [...(this.#byKey.get(hex(hello.instanceKey)) ?? [])]) {
      if (tunnel.session.attached && tunnel.session.state === 'draining') continue;
      tunnel.session.close({ code: 'replaced', text: 'the instance came back as a new process' });
    }
  }

  attached(resumable: Resumable): void {
    this.#forget(resumable);
  }

  detached(resumable: Resumable): void {
    this.#forget(resumable);
    const principal = principalName(resumable.tunnel.identity.principal);
    const held = resumable.tunnel.session.heldBytes;
    this.#detached.set(resumable, held);
    this.#bytes += held;
    this.#principalOf.set(resumable, principal);
    addTo(this.#byPrincipal, principal, resumable);
    this.#enforcePrincipal(principal);
    this.#enforce();
    this.#countAgain();
  }

  #forget(resumable: Resumable): void {
    const held = this.#detached.get(resumable);
    if (held === undefined) return;
    this.#detached.delete(resumable);
    this.#bytes -= held;
    removeFrom(this.#byPrincipal, this.#principalOf.get(resumable) ?? '', resumable);
    this.#principalOf.delete(resumable);
  }

  #enforcePrincipal(principal: string): void {
    const { maxDetachedPerPrincipal } = this.#limits;
    const own = this.#byPrincipal.get(principal);
    if (own === undefined || own.size <= maxDetachedPerPrincipal) return;
    const text = `more than ${maxDetachedPerPrincipal} sessions of this principal wait for a connection`;
    const [oldest] = own;
    if (oldest) this.#end(oldest, { code: 'limit', text });
  }

  #enforce(): void {
    const { maxDetached, maxDetachedBytes } = this.#limits;
    while (this.#detached.size > maxDetached || this.#bytes > maxDetachedBytes) {
      const [oldest] = this.#detached.keys();
      if (oldest === undefined) return;
      this.#end(oldest, tooMany);
    }
  }

  #end(resumable: Resumable, reason: CloseReason): void {
    this.#forget(resumable);
    resumable.tunnel.session.close(reason);
  }

  #countAgain(): void {
    if (this.#counting || this.#detached.size === 0) return;
    this.#counting = true;
    this.#clock.after(countEveryMs, () => {
      this.#counting = false;
      this.#count();
      this.#enforce();
      this.#countAgain();
    });
  }

  #count(): void {
    this.#bytes = 0;
    for (const resumable of this.#detached.keys()) {
      const held = resumable.tunnel.session.heldBytes;
      this.#detached.set(resumable, held);
      this.#bytes += held;
    }
  }
}

function hex(key: Uint8Array): string {
  return Buffer.from(key).toString('hex');
}

function keyOf(resumable: Resumable): string {
  return hex(resumable.instanceKey);
}

function addTo<K>(index: Map<K, Set<Resumable>>, key: K, resumable: Resumable): void {
  const set = index.get(key) ?? new Set();
  set.add(resumable);
  index.set(key, set);
}

function removeFrom<K>(index: Map<K, Set<Resumable>>, key: K, resumable: Resumable): void {
  const set = index.get(key);
  set?.delete(resumable);
  if (set?.size === 0) index.delete(key);
}
