import type { TunnelSession } from './session.ts';

/** The `expose` sessions of each target, in the order they came. */
export class Exposers {
  readonly #byTarget = new Map<string, Set<TunnelSession>>();

  add(target: string, session: TunnelSession): void {
    const sessions = this.#byTarget.get(target) ?? new Set();
    sessions.add(session);
    this.#byTarget.set(target, sessions);
  }

  remove(target: string, session: TunnelSession): void {
    const sessions = this.#byTarget.get(target);
    sessions?.delete(session);
    if (sessions?.size === 0) this.#byTarget.delete(target);
  }

  count(target: string): number {
    return this.#byTarget.get(target)?.size ?? 0;
  }

  /**
   * The session that takes the next stream. A stateful target has one active `expose`, the longest there; the others
   * wait, and none takes over from it while it lives. Else the one with the fewest streams, and rather one that has a
   * connection now.
   */
  pick(target: string, stateful: boolean): TunnelSession | undefined {
    let best: TunnelSession | undefined;
    for (const session of this.#byTarget.get(target) ?? []) {
      if (session.state !== 'open') continue;
      if (stateful) return session;
      if (best === undefined || isBetter(session, best)) best = session;
    }
    return best;
  }
}

function isBetter(session: TunnelSession, than: TunnelSession): boolean {
  if (session.attached !== than.attached) return session.attached;
  return session.streamCount < than.streamCount;
}
