import { chmodSync, closeSync, lstatSync, mkdirSync, openSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { safeText } from '../core/bytes.ts';
import { codeOf, LockwireError, messageOf } from '../core/errors.ts';
import { busyTimeoutMs } from './options.ts';

/** The version that this program writes, in `PRAGMA user_version`. */
export const schemaVersion = 1;

const schema = `
CREATE TABLE revocations (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  kind TEXT NOT NULL CHECK (kind IN ('principal', 'token', 'instance', 'certificate')),
  value TEXT NOT NULL,
  reason TEXT NOT NULL,
  at_ms INTEGER NOT NULL,
  expires_ms INTEGER,
  UNIQUE (kind, value)
) STRICT;
CREATE TABLE enrolments (
  instance TEXT PRIMARY KEY,
  principal TEXT NOT NULL,
  role TEXT NOT NULL CHECK (role IN ('connect', 'expose')),
  target TEXT NOT NULL,
  at_ms INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE codes (
  hash TEXT PRIMARY KEY,
  principal TEXT NOT NULL,
  role TEXT NOT NULL CHECK (role IN ('connect', 'expose')),
  target TEXT NOT NULL,
  expires_ms INTEGER NOT NULL,
  attempts INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE rotations (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  former_key BLOB NOT NULL,
  next_key BLOB NOT NULL,
  signature BLOB NOT NULL,
  at_ms INTEGER NOT NULL
) STRICT;
`;

/**
 * Opens `lockwire.db` in the directory: file and its companions 0600, directory 0700, made where missing. Write-ahead,
 * synchronous at full: a revocation that was confirmed survives the machine's power. Throws `config` where it is damaged,
 * of a later version or readable by others, `unavailable` where another process keeps it locked: never starts without.
 */
export function openDatabase(directory: string): DatabaseSync {
  const path = join(directory, 'lockwire.db');
  preparePath(directory, path);
  let database: DatabaseSync | undefined;
  try {
    database = new DatabaseSync(path, { timeout: busyTimeoutMs, enableForeignKeyConstraints: true });
    database.exec('PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA trusted_schema = OFF;');
    checkWhole(database, path);
    migrate(database, path);
    return database;
  } catch (error) {
    database?.close();
    throw explain(error, path);
  }
}

/** SQLite gives its companions (-wal, -shm) the mode of the file itself. */
function preparePath(directory: string, path: string): void {
  try {
    mkdirSync(directory, { recursive: true, mode: 0o700 });
    checkPrivate(directory, statSync(directory), 'chmod 700');
    const found = lstatSync(path, { throwIfNoEntry: false });
    if (found === undefined) {
      // Born 0600, and only where nothing stands there: no link is followed.
      closeSync(openSync(path, 'wx', 0o600));
      chmodSync(path, 0o600);
      return;
    }
    if (!found.isFile()) throw new LockwireError('config', `${path} is no regular file`);
    checkPrivate(path, found, 'chmod 600');
  } catch (error) {
    if (error instanceof LockwireError || codeOf(error) === 'EEXIST') throw error;
    throw new LockwireError('io', `the store ${path} cannot be made: ${messageOf(error)}`, { cause: error });
  }
}

function checkPrivate(path: string, { mode }: { readonly mode: number }, remedy: string): void {
  if (process.getuid === undefined || (mode & 0o077) === 0) return;
  const shown = (mode & 0o7777).toString(8).padStart(4, '0');
  throw new LockwireError('config', `others can read ${path} (mode ${shown}): ${remedy} ${path}`);
}

function checkWhole(database: DatabaseSync, path: string): void {
  const row = database.prepare('PRAGMA quick_check(1)').get();
  const verdict = String(Object.values(row ?? {})[0] ?? 'no answer');
  if (verdict !== 'ok') throw damaged(path, verdict);
}

function migrate(database: DatabaseSync, path: string): void {
  // Within the transaction: of two processes that start at once, one makes the tables.
  database.exec('BEGIN IMMEDIATE');
  try {
    const version = Number(database.prepare('PRAGMA user_version').get()?.user_version);
    if (version > schemaVersion)
      throw new LockwireError(
        'config',
        `the store ${path} is of version ${version}, this program knows ${schemaVersion}: use the newer program`,
      );
    if (version === 0) database.exec(`${schema} PRAGMA user_version = ${schemaVersion};`);
    database.exec('COMMIT');
  } catch (error) {
    database.exec('ROLLBACK');
    throw error;
  }
}

function damaged(path: string, detail: string): LockwireError {
  return new LockwireError(
    'config',
    `the store ${path} is damaged (${safeText(detail.replace(/\s+/g, ' '), 120)}): bring back a copy, or move it away and revoke and enrol anew`,
  );
}

// SQLITE_CORRUPT, SQLITE_NOTADB; SQLITE_BUSY, SQLITE_LOCKED (https://www.sqlite.org/rescode.html).
const damagedCodes: ReadonlySet<number> = new Set([11, 26]);
const lockedCodes: ReadonlySet<number> = new Set([5, 6]);

/** What SQLite threw, as an error that says what to do. */
export function explain(error: unknown, path: string): LockwireError {
  if (error instanceof LockwireError) return error;
  // Extended codes carry more in their upper bytes.
  const code = Number((error as { errcode?: unknown }).errcode ?? 0) & 0xff;
  if (damagedCodes.has(code)) return damaged(path, messageOf(error));
  if (lockedCodes.has(code))
    return new LockwireError('unavailable', `the store ${path} is locked by another process`, {
      cause: error,
    });
  return new LockwireError('io', `the store ${path} failed: ${messageOf(error)}`, { cause: error });
}
