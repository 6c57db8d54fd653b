import { createHash, randomBytes } from 'node:crypto';
import type { DatabaseSync, StatementSync } from 'node:sqlite';
import { LockwireError } from '../core/errors.ts';
import { codeLifeMs, maxCodeAttempts, maxCodes, maxEnrolments } from './options.ts';

/** Whose an instance may be, and as what. */
export interface Binding {
  /** As `principalName` gives it. */
  readonly principal: string;
  readonly role: 'connect' | 'expose';
  /** The one target that it may serve or reach; '' for any that the policy permits. */
  readonly target: string;
}

export interface Enrolment extends Binding {
  /** SHA-256 of the instance's key, hex. */
  readonly instance: string;
  readonly atMs: number;
}

export interface IssuedCode extends Binding {
  /** Shown once; only its hash is kept. */
  readonly code: string;
  readonly expiresAtMs: number;
}

/** Why a code did not bind: `used` for one that is unknown, was used or ran out, which look alike. */
export type CodeRefusal = 'used' | 'other' | 'taken' | 'limit';

/** Instances bound to principals, and the codes that bind them. */
export class Enrolments {
  readonly #statements: Readonly<Record<keyof typeof sql, StatementSync>>;
  #byInstance = new Map<string, Enrolment>();

  constructor(database: DatabaseSync) {
    this.#statements = Object.fromEntries(
      Object.entries(sql).map(([name, text]) => [name, database.prepare(text)]),
    ) as Record<keyof typeof sql, StatementSync>;
  }

  /** Reads all bindings from disk. */
  load(): void {
    const rows = this.#statements.all.all().map(fromRow);
    this.#byInstance = new Map(rows.map(row => [row.instance, row]));
  }

  find(instance: string): Enrolment | undefined {
    return this.#byInstance.get(instance);
  }

  list(): readonly Enrolment[] {
    return [...this.#byInstance.values()];
  }

  /** False where the instance is not bound. */
  remove(instance: string): boolean {
    const { changes } = this.#statements.unbind.run(instance);
    this.#byInstance.delete(instance);
    return Number(changes) > 0;
  }

  outstanding(nowMs: number): number {
    return Number(this.#statements.countCodes.get(nowMs)?.count);
  }

  /** Throws `limit`. */
  issue(binding: Binding, nowMs: number): IssuedCode {
    this.#statements.expireCodes.run(nowMs);
    if (this.outstanding(nowMs) >= maxCodes)
      throw new LockwireError('limit', `${maxCodes} one-time codes are outstanding, the limit`);
    const code = makeCode();
    const expiresAtMs = nowMs + codeLifeMs;
    const { principal, role, target } = binding;
    this.#statements.addCode.run(hashOf(code), principal, role, target, expiresAtMs);
    return { code, ...binding, expiresAtMs };
  }

  /** Binds the instance where the code is for this very bearer. Within the caller's transaction. */
  redeem(code: string, instance: string, bearer: Binding, nowMs: number): Enrolment | CodeRefusal {
    const hash = hashOf(normalCode(code));
    const row = this.#statements.findCode.get(hash, nowMs);
    if (row === undefined) return 'used';
    const { principal, role, target } = row;
    // An expose names its target in its Hello; a connect names one with each stream, and is held to it then.
    const sameTarget = target === '' || bearer.role === 'connect' || target === bearer.target;
    if (
      typeof principal !== 'string' ||
      principal !== bearer.principal ||
      role !== bearer.role ||
      !sameTarget
    ) {
      this.#wrongBearer(hash);
      return 'other';
    }
    if (this.#byInstance.has(instance)) return 'taken';
    if (this.#byInstance.size >= maxEnrolments) return 'limit';
    this.#statements.dropCode.run(hash);
    const enrolment = { instance, principal, role: bearer.role, target: String(target), atMs: nowMs };
    this.#statements.bind.run(instance, principal, bearer.role, enrolment.target, nowMs);
    this.#byInstance.set(instance, enrolment);
    return enrolment;
  }

  #wrongBearer(hash: string): void {
    this.#statements.countAttempt.run(hash);
    this.#statements.voidCode.run(maxCodeAttempts);
  }
}

const sql = {
  all: 'SELECT * FROM enrolments ORDER BY at_ms, instance',
  bind: 'INSERT INTO enrolments (instance, principal, role, target, at_ms) VALUES (?, ?, ?, ?, ?)',
  unbind: 'DELETE FROM enrolments WHERE instance = ?',
  addCode:
    'INSERT INTO codes (hash, principal, role, target, expires_ms, attempts) VALUES (?, ?, ?, ?, ?, 0)',
  findCode: 'SELECT * FROM codes WHERE hash = ? AND expires_ms > ?',
  dropCode: 'DELETE FROM codes WHERE hash = ?',
  countAttempt: 'UPDATE codes SET attempts = attempts + 1 WHERE hash = ?',
  voidCode: 'DELETE FROM codes WHERE attempts >= ?',
  expireCodes: 'DELETE FROM codes WHERE expires_ms <= ?',
  countCodes: 'SELECT count(*) AS count FROM codes WHERE expires_ms > ?',
} as const;

// Without I, L, O and U, which are misread (Crockford's base 32).
const alphabet = '0123456789ABCDEFGHJKMNPQRSTVWXYZ';

/** 100 bits: nobody finds one by trying, so a plain hash keeps it. */
function makeCode(): string {
  const letters = Array.from(randomBytes(20), byte => alphabet[byte % 32]).join('');
  return letters.replace(/(.{5})(?!$)/g, '$1-');
}

/** As people type it: without case, dashes and spaces, and O for 0. */
function normalCode(code: string): string {
  const letters = code
    .toUpperCase()
    .replace(/[^0-9A-Z]/g, '')
    .replaceAll('O', '0')
    .replace(/[IL]/g, '1');
  return letters.replace(/(.{5})(?!$)/g, '$1-');
}

function hashOf(code: string): string {
  return createHash('sha256').update(`lockwire enrolment\0${code}`).digest('hex');
}

function fromRow(row: Record<string, unknown>): Enrolment {
  return {
    instance: String(row.instance),
    principal: String(row.principal),
    role: row.role === 'expose' ? 'expose' : 'connect',
    target: String(row.target),
    atMs: Number(row.at_ms),
  };
}
