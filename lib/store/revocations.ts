import type { DatabaseSync, StatementSync } from 'node:sqlite';
import { LockwireError } from '../core/errors.ts';
import { maxReasonChars, maxRevocations, tokenRevocationMs } from './options.ts';

export const revocationKinds: readonly ['principal', 'token', 'instance', 'certificate'] = [
  'principal',
  'token',
  'instance',
  'certificate',
];

export type RevocationKind = (typeof revocationKinds)[number];

export interface Revocation {
  readonly id: number;
  readonly kind: RevocationKind;
  /** A principal's name; the id of a token; SHA-256, hex, of an instance's key or a certificate. */
  readonly value: string;
  /** For the admin who looks at it later; never told to a peer. */
  readonly reason: string;
  readonly atMs: number;
  /** Absent where it holds until it is undone. */
  readonly expiresAtMs?: number;
}

/** What is revoked: on disk, and in memory for the hot path. */
export class Revocations {
  readonly #insert: StatementSync;
  readonly #delete: StatementSync;
  readonly #expire: StatementSync;
  readonly #all: StatementSync;
  #byKey = new Map<string, Revocation>();

  constructor(database: DatabaseSync) {
    this.#insert = database.prepare(
      'INSERT INTO revocations (kind, value, reason, at_ms, expires_ms) VALUES (?, ?, ?, ?, ?)',
    );
    this.#delete = database.prepare('DELETE FROM revocations WHERE id = ?');
    this.#expire = database.prepare('DELETE FROM revocations WHERE expires_ms <= ?');
    this.#all = database.prepare('SELECT * FROM revocations ORDER BY id');
  }

  /** Reads all of it from disk. */
  load(): void {
    const byKey = new Map<string, Revocation>();
    for (const row of this.#all.all()) {
      const revocation = fromRow(row);
      byKey.set(keyOf(revocation.kind, revocation.value), revocation);
    }
    this.#byKey = byKey;
  }

  find(kind: RevocationKind, value: string, nowMs: number): Revocation | undefined {
    const found = this.#byKey.get(keyOf(kind, value));
    return found !== undefined && (found.expiresAtMs ?? Number.POSITIVE_INFINITY) > nowMs ? found : undefined;
  }

  list(): readonly Revocation[] {
    return [...this.#byKey.values()];
  }

  /** Gives the one that is there already where there is one. Throws `limit`. Within the caller's transaction. */
  add(kind: RevocationKind, value: string, reason: string, nowMs: number): Revocation {
    const known = this.find(kind, value, nowMs);
    if (known !== undefined) return known;
    if (this.#byKey.size >= maxRevocations) this.#forgetExpired(nowMs);
    if (this.#byKey.size >= maxRevocations)
      throw new LockwireError('limit', `${this.#byKey.size} revocations are kept, the limit`);
    const expiresMs = kind === 'token' ? nowMs + tokenRevocationMs : null;
    // One that ran out may still stand there.
    const former = this.#byKey.get(keyOf(kind, value));
    if (former !== undefined) this.remove(former.id);
    const { lastInsertRowid } = this.#insert.run(
      kind,
      value,
      reason.slice(0, maxReasonChars),
      nowMs,
      expiresMs,
    );
    const revocation: Revocation = {
      id: Number(lastInsertRowid),
      kind,
      value,
      reason: reason.slice(0, maxReasonChars),
      atMs: nowMs,
      ...(expiresMs === null ? {} : { expiresAtMs: expiresMs }),
    };
    this.#byKey.set(keyOf(kind, value), revocation);
    return revocation;
  }

  /** False where there is none of this id. */
  remove(id: number): boolean {
    const { changes } = this.#delete.run(id);
    for (const [key, revocation] of this.#byKey) if (revocation.id === id) this.#byKey.delete(key);
    return Number(changes) > 0;
  }

  #forgetExpired(nowMs: number): void {
    this.#expire.run(nowMs);
    this.load();
  }
}

function keyOf(kind: RevocationKind, value: string): string {
  return `${kind}\0${value}`;
}

function fromRow(row: Record<string, unknown>): Revocation {
  return {
    id: Number(row.id),
    kind: row.kind as RevocationKind,
    value: String(row.value),
    reason: String(row.reason),
    atMs: Number(row.at_ms),
    ...(row.expires_ms === null ? {} : { expiresAtMs: Number(row.expires_ms) }),
  };
}
