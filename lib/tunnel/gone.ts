import { codeOf, type LockwireError } from '../core/errors.ts';
import type { CloseReason } from '../core/session.ts';
import { OtherInstance, TunnelRefused } from './handshake-dial.ts';

export interface GoneLimits {
  /** A gateway whose port refuses connections for so long is gone: a session is kept in a process. */
  readonly refusedForMs: number;
  /** So is a process where others behind its address answer for so long, and it never does. */
  readonly elsewhereForMs: number;
  /** The longest wait between tries while others answer: the next may reach it, and its patience is short. */
  readonly elsewhereRedialMs: number;
}

/** The longest wait between tries while the port refuses. */
const refusedRedialMs = 1_000;

/** Refusals that no other try of the same session would change. */
const ending: ReadonlySet<string> = new Set(['denied', 'unauthenticated', 'revoked', 'expired', 'protocol']);

/** Whether the process that keeps a session is sure to be gone, by what the tries to reach it meet. */
export class GoneWatch {
  readonly #limits: GoneLimits;
  /** Monotonic: since when it is so. */
  #refusedSinceMs: number | undefined;
  #elsewhereSinceMs: number | undefined;

  constructor(limits: GoneLimits) {
    this.#limits = limits;
  }

  /** It answered, or another session counts now. */
  reset(): void {
    this.#refusedSinceMs = undefined;
    this.#elsewhereSinceMs = undefined;
  }

  /** A try failed. Gives the reason to end the session where nothing will take it up. */
  failed(failure: LockwireError, nowMs: number): CloseReason | undefined {
    const refused = failure.code === 'unavailable' && codeOf(failure.cause) === 'ECONNREFUSED';
    this.#refusedSinceMs = refused ? (this.#refusedSinceMs ?? nowMs) : undefined;
    // Between two that answer, a balancer may try the one that is dead.
    if (failure instanceof OtherInstance) this.#elsewhereSinceMs ??= nowMs;
    if (failure instanceof TunnelRefused && ending.has(failure.reason.code)) return failure.reason;
    const { refusedForMs, elsewhereForMs } = this.#limits;
    if (nowMs - (this.#refusedSinceMs ?? nowMs) >= refusedForMs)
      return { code: 'session-lost', text: `the gateway is gone: ${failure.message}` };
    if (nowMs - (this.#elsewhereSinceMs ?? nowMs) >= elsewhereForMs)
      return {
        code: 'session-lost',
        text: `its gateway process is gone: for ${elsewhereForMs} ms only others answered`,
      };
    return undefined;
  }

  /** The last try found its port refusing. */
  get refuses(): boolean {
    return this.#refusedSinceMs !== undefined;
  }

  /** While streams wait for the verdict it is asked more often; undefined where there is no such hurry. */
  get mostRedialMs(): number | undefined {
    if (this.#elsewhereSinceMs !== undefined) return this.#limits.elsewhereRedialMs;
    return this.#refusedSinceMs === undefined ? undefined : refusedRedialMs;
  }
}
