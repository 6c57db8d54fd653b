import { RefusedHello } from './tunnel/refused-hello.ts';

/**
 * Places for tunnel sessions, in all and by principal. A place is taken while the Hello is judged: of many that come in
 * the same moment no more are let in than there are places.
 */
export class Admissions {
  #maxSessions: number;
  #maxPerPrincipal: number;
  readonly #byPrincipal = new Map<string, number>();
  #sessions = 0;

  constructor(limits: { readonly sessions: number; readonly sessionsPerPrincipal: number }) {
    this.#maxSessions = limits.sessions;
    this.#maxPerPrincipal = limits.sessionsPerPrincipal;
  }

  /** Those that are in stay in. */
  replace(limits: { readonly sessions: number; readonly sessionsPerPrincipal: number }): void {
    this.#maxSessions = limits.sessions;
    this.#maxPerPrincipal = limits.sessionsPerPrincipal;
  }

  /** Takes a place and gives what frees it, once. Throws RefusedHello `limit` where there is none. */
  enter(principal: string): () => void {
    const taken = this.#byPrincipal.get(principal) ?? 0;
    if (this.#sessions >= this.#maxSessions)
      throw new RefusedHello({ code: 'limit', text: `${this.#maxSessions} sessions are open, the limit` });
    if (taken >= this.#maxPerPrincipal) {
      const text = `${this.#maxPerPrincipal} sessions of this principal are open, the limit`;
      throw new RefusedHello({ code: 'limit', text });
    }
    this.#sessions += 1;
    this.#byPrincipal.set(principal, taken + 1);
    let held = true;
    return () => {
      if (!held) return;
      held = false;
      this.#leave(principal);
    };
  }

  #leave(principal: string): void {
    this.#sessions -= 1;
    const left = (this.#byPrincipal.get(principal) ?? 1) - 1;
    if (left > 0) this.#byPrincipal.set(principal, left);
    else this.#byPrincipal.delete(principal);
  }
}
