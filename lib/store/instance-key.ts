import { createPrivateKey, createPublicKey, generateKeyPairSync, type KeyObject, sign } from 'node:crypto';
import {
  chmodSync,
  closeSync,
  fsyncSync,
  lstatSync,
  mkdirSync,
  openSync,
  readFileSync,
  renameSync,
  writeSync,
} from 'node:fs';
import { dirname } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { codeOf, LockwireError, messageOf } from '../core/errors.ts';
import type { InstanceKey } from '../core/ports.ts';

/** An instance's key, held by this process alone until `release`. */
export interface HeldKey extends InstanceKey {
  readonly path: string;
  /** Makes another key and puts it in this one's place, after `before` has seen it: should that throw, nothing changed. */
  replace(before: (next: InstanceKey) => void): InstanceKey;
  release(): void;
}

/**
 * Reads the Ed25519 key at `path` (PKCS#8 PEM), or makes one on first start: file 0600, folder 0700. Two running
 * processes never share a key: the second gets `unavailable`. `config` where the file is no such key or others can
 * read it.
 */
export function holdInstanceKey(path: string): HeldKey {
  mkdirSync(dirname(path), { recursive: true, mode: 0o700 });
  const release = holdLock(path, `${path} is held by another running process`);
  try {
    const privateKey = readKey(path) ?? makeKey(path);
    return {
      path,
      ...asInstanceKey(privateKey),
      replace: before => asInstanceKey(makeKey(path, next => before(asInstanceKey(next)))),
      release,
    };
  } catch (error) {
    release();
    throw error;
  }
}

/**
 * The key at `path` where there is one that no running process holds, else one that lasts as long as this process:
 * for a look that leaves nothing behind.
 */
export function borrowInstanceKey(path: string): InstanceKey & { release(): void; readonly own: boolean } {
  if (lstatSync(path, { throwIfNoEntry: false }) !== undefined) {
    try {
      const held = holdInstanceKey(path);
      return { publicKey: held.publicKey, sign: held.sign, release: held.release, own: true };
    } catch (error) {
      if (!(error instanceof LockwireError) || error.code !== 'unavailable') throw error;
    }
  }
  const { privateKey } = generateKeyPairSync('ed25519');
  return { ...asInstanceKey(privateKey), release() {}, own: false };
}

/** The first key of `path`, `path` with -2, -3 … that no running process holds: several may start side by side. */
export function holdFreeInstanceKey(path: string, maxInstances = 64): HeldKey {
  for (let number = 1; number <= maxInstances; number += 1) {
    try {
      return holdInstanceKey(number === 1 ? path : path.replace(/(\.key)?$/, `-${number}$1`));
    } catch (error) {
      if (!(error instanceof LockwireError) || error.code !== 'unavailable') throw error;
    }
  }
  throw new LockwireError(
    'unavailable',
    `${path}: ${maxInstances} processes hold a key of this name, the limit`,
  );
}

function readKey(path: string): KeyObject | undefined {
  const found = lstatSync(path, { throwIfNoEntry: false });
  if (found === undefined) return undefined;
  if (!found.isFile()) throw new LockwireError('config', `${path} is no regular file`);
  if ((found.mode & 0o077) !== 0) {
    throw new LockwireError('config', `${path} can be read by others; run: chmod 600 ${path}`);
  }
  const key = parseKey(path);
  if (key.asymmetricKeyType !== 'ed25519') {
    throw new LockwireError(
      'config',
      `${path} holds a key of type ${key.asymmetricKeyType}, expected ed25519`,
    );
  }
  return key;
}

function parseKey(path: string): KeyObject {
  try {
    return createPrivateKey(readFileSync(path));
  } catch (error) {
    const why = codeOf(error) || 'no private key in PEM';
    throw new LockwireError('config', `${path} is not usable (${why}); remove it to have a new one made`);
  }
}

/** Whole or not at all: written beside, synced and renamed. */
function makeKey(path: string, before?: (key: KeyObject) => void): KeyObject {
  const { privateKey } = generateKeyPairSync('ed25519');
  const draft = `${path}.new`;
  try {
    const file = openSync(draft, 'w', 0o600);
    writeSync(file, privateKey.export({ format: 'pem', type: 'pkcs8' }) as string);
    fsyncSync(file);
    closeSync(file);
    chmodSync(draft, 0o600);
    before?.(privateKey);
    renameSync(draft, path);
  } catch (error) {
    if (error instanceof LockwireError) throw error;
    throw new LockwireError('io', `${path} cannot be written: ${messageOf(error)}`);
  }
  return privateKey;
}

function asInstanceKey(privateKey: KeyObject): InstanceKey {
  return {
    publicKey: rawPublicKey(privateKey),
    sign: message => sign(null, message, privateKey),
  };
}

function rawPublicKey(privateKey: KeyObject): Uint8Array {
  // The last 32 bytes of the SubjectPublicKeyInfo are the key itself (RFC 8410 section 4).
  return createPublicKey(privateKey).export({ format: 'der', type: 'spki' }).subarray(-32);
}

/**
 * Holds `path`.lock until the returned function is called; `unavailable` with this text where another process holds it.
 * Node has no file lock, SQLite does: an exclusive transaction on a database that stays empty. The kernel drops it with
 * the process, however it dies.
 */
export function holdLock(path: string, held: string): () => void {
  const database = new DatabaseSync(`${path}.lock`, { timeout: 0 });
  try {
    chmodSync(`${path}.lock`, 0o600);
    database.exec('BEGIN EXCLUSIVE');
  } catch (error) {
    database.close();
    throw new LockwireError('unavailable', held, { cause: error });
  }
  return () => {
    if (database.isOpen) database.close();
  };
}
