import {
  closeSync,
  constants,
  fstatSync,
  fsyncSync,
  openSync,
  readFileSync,
  renameSync,
  writeSync,
} from 'node:fs';
import { codeOf, LockwireError, messageOf } from '../core/errors.ts';

/** The gateway that an instance is bound to. */
export interface GatewayPin {
  /** Raw Ed25519 key, 32 bytes. */
  readonly key: Uint8Array;
  /** The fingerprint that the one-time code brought: what tells a code that was used already from a new one. */
  readonly enrolledBy: string;
}

/** Undefined where nothing is pinned. Throws `config` where the file is no pin, or others can write or read it. */
export function readPin(path: string): GatewayPin | undefined {
  let file: number;
  try {
    file = openSync(path, constants.O_RDONLY | constants.O_NOFOLLOW);
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return undefined;
    throw new LockwireError('config', `${path} cannot be read: ${messageOf(error)}`, { cause: error });
  }
  try {
    if ((fstatSync(file).mode & 0o077) !== 0)
      throw new LockwireError('config', `${path} can be read by others; run: chmod 600 ${path}`);
    const found = /^gateway ed25519:([0-9a-f]{64})\nenrolled-by ([0-9a-f]{0,64})\n$/.exec(
      readFileSync(file, 'utf8'),
    );
    if (found === null)
      throw new LockwireError('config', `${path} holds no gateway's key; remove it and enrol again`);
    return { key: Buffer.from(found[1] ?? '', 'hex'), enrolledBy: found[2] ?? '' };
  } finally {
    closeSync(file);
  }
}

/** Whole or not at all, 0600. */
export function writePin(path: string, { key, enrolledBy }: GatewayPin): void {
  try {
    const file = openSync(`${path}.new`, 'w', 0o600);
    writeSync(file, `gateway ed25519:${Buffer.from(key).toString('hex')}\nenrolled-by ${enrolledBy}\n`);
    fsyncSync(file);
    closeSync(file);
    renameSync(`${path}.new`, path);
  } catch (error) {
    throw new LockwireError('io', `${path} cannot be written: ${messageOf(error)}`, { cause: error });
  }
}
