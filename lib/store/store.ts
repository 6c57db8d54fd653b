import { join } from 'node:path';
import type { DatabaseSync, StatementSync } from 'node:sqlite';
import type { Clock, Timer } from '../core/clock.ts';
import { messageOf } from '../core/errors.ts';
import type { Log } from '../core/ports.ts';
import { explain, openDatabase } from './database.ts';
import { type Binding, type CodeRefusal, type Enrolment, Enrolments, type IssuedCode } from './enrolments.ts';
import { lookEveryMs, maxKeptRotations } from './options.ts';
import { type Revocation, type RevocationKind, Revocations } from './revocations.ts';

/** A former key of the gateway and its signature over the next one. */
export interface KeyRotation {
  readonly formerKey: Uint8Array;
  readonly nextKey: Uint8Array;
  readonly signature: Uint8Array;
}

export interface StorePorts {
  readonly clock: Clock;
  readonly log: Log;
}

/**
 * State of a gateway that outlives it, in `lockwire.db`. What is asked on the way of a connection is answered from
 * memory; `onChange` says when that became other, by this process's doing or another's on the same directory.
 */
export class Store {
  /** Called after each change of what is revoked or bound. */
  onChange: (() => void) | undefined;
  readonly #clock: Clock;
  readonly #log: Log;
  readonly #database: DatabaseSync;
  readonly #path: string;
  readonly #revocations: Revocations;
  readonly #enrolments: Enrolments;
  readonly #dataVersion: StatementSync;
  #seenVersion: number;
  #generation = 1;
  #looking: Timer | undefined;
  #failed = '';

  /** Throws `config`, `unavailable` or `io` where it can't be had whole. */
  constructor(directory: string, { clock, log }: StorePorts) {
    this.#clock = clock;
    this.#log = log;
    this.#path = join(directory, 'lockwire.db');
    this.#database = openDatabase(directory);
    try {
      this.#revocations = new Revocations(this.#database);
      this.#enrolments = new Enrolments(this.#database);
      this.#dataVersion = this.#database.prepare('PRAGMA data_version');
      this.#seenVersion = this.#version();
      this.#load();
    } catch (error) {
      this.#database.close();
      throw explain(error, this.#path);
    }
    this.#lookLater();
  }

  /** Rises with each change. */
  get generation(): number {
    return this.#generation;
  }

  revoked(kind: RevocationKind, value: string): Revocation | undefined {
    return this.#revocations.find(kind, value, this.#clock.now());
  }

  revocations(): readonly Revocation[] {
    const nowMs = this.#clock.now();
    return this.#revocations
      .list()
      .filter(({ expiresAtMs }) => expiresAtMs === undefined || expiresAtMs > nowMs);
  }

  /** On disk when it returns. Throws `limit`, `io`. */
  revoke(kind: RevocationKind, value: string, reason: string): Revocation {
    return this.#change(() => this.#revocations.add(kind, value, reason, this.#clock.now()));
  }

  /** False where there is no revocation of this id. */
  undoRevocation(id: number): boolean {
    return this.#change(() => this.#revocations.remove(id));
  }

  enrolment(instance: string): Enrolment | undefined {
    return this.#enrolments.find(instance);
  }

  enrolments(): readonly Enrolment[] {
    return this.#enrolments.list();
  }

  /** A code that binds one instance, once, within `codeLifeMs`. Throws `limit`, `io`. */
  issueCode(binding: Binding): IssuedCode {
    return this.#transaction(() => this.#enrolments.issue(binding, this.#clock.now()));
  }

  outstandingCodes(): number {
    return this.#enrolments.outstanding(this.#clock.now());
  }

  redeemCode(code: string, instance: string, bearer: Binding): Enrolment | CodeRefusal {
    const redeem = (): Enrolment | CodeRefusal =>
      this.#enrolments.redeem(code, instance, bearer, this.#clock.now());
    const result = this.#transaction(redeem);
    // Wrong codes must not cost more than they do: only a binding is a change.
    if (typeof result !== 'string') this.#changed();
    return result;
  }

  /** False where the instance is not bound. */
  removeEnrolment(instance: string): boolean {
    return this.#change(() => this.#enrolments.remove(instance));
  }

  /** Oldest first. */
  rotations(): readonly KeyRotation[] {
    return this.#database
      .prepare('SELECT * FROM rotations ORDER BY id')
      .all()
      .map(row => ({
        formerKey: row.former_key as Uint8Array,
        nextKey: row.next_key as Uint8Array,
        signature: row.signature as Uint8Array,
      }));
  }

  addRotation({ formerKey, nextKey, signature }: KeyRotation): void {
    this.#transaction(() => {
      this.#database
        .prepare('INSERT INTO rotations (former_key, next_key, signature, at_ms) VALUES (?, ?, ?, ?)')
        .run(formerKey, nextKey, signature, this.#clock.now());
      this.#database
        .prepare('DELETE FROM rotations WHERE id <= (SELECT max(id) FROM rotations) - ?')
        .run(maxKeptRotations);
    });
  }

  close(): void {
    this.#looking?.cancel();
    if (this.#database.isOpen) this.#database.close();
  }

  /** Looks whether another process wrote: a page of the file's header, a few microseconds. */
  look(): void {
    try {
      const changed = this.#loadIfForeign();
      this.#failed = '';
      if (changed) this.#changed();
    } catch (error) {
      // What was known stays in force; the same failure again and again is one line.
      const text = messageOf(explain(error, this.#path));
      if (text !== this.#failed) this.#log.error({ error: text }, 'the store cannot be read');
      this.#failed = text;
    }
  }

  #lookLater(): void {
    this.#looking = this.#clock.after(lookEveryMs, () => {
      this.look();
      this.#lookLater();
    });
  }

  /** True where another process wrote since we last read. */
  #loadIfForeign(): boolean {
    const version = this.#version();
    if (version === this.#seenVersion) return false;
    this.#seenVersion = version;
    this.#load();
    return true;
  }

  #version(): number {
    return Number(this.#dataVersion.get()?.data_version);
  }

  #load(): void {
    this.#revocations.load();
    this.#enrolments.load();
  }

  #change<T>(work: () => T): T {
    const result = this.#transaction(work);
    this.#changed();
    return result;
  }

  #changed(): void {
    this.#generation += 1;
    this.onChange?.();
  }

  /** All of it or nothing; memory says what the disk says, also after a failure. */
  #transaction<T>(work: () => T): T {
    let begun = false;
    let foreign = false;
    try {
      this.#database.exec('BEGIN IMMEDIATE');
      begun = true;
      foreign = this.#loadIfForeign();
      const result = work();
      this.#database.exec('COMMIT');
      return result;
    } catch (error) {
      if (begun) this.#undo();
      throw explain(error, this.#path);
    } finally {
      if (foreign) this.#changed();
    }
  }

  #undo(): void {
    try {
      // SQLite may have rolled back by itself (disk full, I/O error).
      if (this.#database.isTransaction) this.#database.exec('ROLLBACK');
      this.#load();
    } catch (error) {
      this.#log.error({ error: messageOf(error) }, 'the store cannot be read back');
    }
  }
}
