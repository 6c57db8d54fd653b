/** Files and directories that only this user may read, written whole or not at all. */
import { randomBytes } from 'node:crypto';
import { constants } from 'node:fs';
import { lstat, mkdir, open, rename, rm } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { codeOf, LockwireError, messageOf } from '../core/errors.ts';
import { developmentLimits } from './options.ts';

/** What group and others may do: nothing. */
const othersMask = 0o077;

/** Makes it 0700 where it is missing; one that others may enter, or that is no directory, is an error. */
export async function ensurePrivateDirectory(path: string): Promise<void> {
  await mkdir(path, { recursive: true, mode: 0o700 });
  const found = await lstat(path);
  if (!found.isDirectory()) throw new LockwireError('config', `${path} is not a directory: remove it`);
  checkOwner(path, found.uid);
  if ((found.mode & othersMask) !== 0)
    throw new LockwireError(
      'config',
      `${path} is open to other users (${octal(found.mode)}): chmod 700 ${path}`,
    );
}

/** Writes it 0600 and puts it in place at once: a reader sees the old text or the new one. */
export async function writePrivateFile(path: string, text: string): Promise<void> {
  const temporary = join(dirname(path), `.${randomBytes(6).toString('hex')}.tmp`);
  try {
    const file = await open(temporary, 'wx', 0o600);
    try {
      await file.writeFile(text);
      await file.sync();
    } finally {
      await file.close();
    }
    await rename(temporary, path);
  } catch (error) {
    await rm(temporary, { force: true });
    throw new LockwireError('io', `cannot write ${path}: ${messageOf(error)}`, { cause: error });
  }
}

/**
 * Undefined where it is missing. A link, a huge file, another user's, or a secret that others may read is an error
 * that says what to do.
 */
export async function readOwnFile(
  path: string,
  { secret }: { readonly secret: boolean },
): Promise<string | undefined> {
  const file = await open(path, constants.O_RDONLY | constants.O_NOFOLLOW).catch(error => {
    if (codeOf(error) === 'ENOENT') return undefined;
    throw new LockwireError('config', `cannot read ${path}: ${messageOf(error)}`, { cause: error });
  });
  if (!file) return undefined;
  try {
    const { mode, uid, size } = await file.stat();
    checkOwner(path, uid);
    if (secret && (mode & othersMask) !== 0)
      throw new LockwireError(
        'config',
        `${path} can be read by other users (${octal(mode)}): chmod 600 ${path}`,
      );
    if (size > developmentLimits.maxFileBytes)
      throw new LockwireError(
        'config',
        `${path} is ${size} bytes long, the most is ${developmentLimits.maxFileBytes}`,
      );
    return await file.readFile('utf8');
  } finally {
    await file.close();
  }
}

function checkOwner(path: string, uid: number): void {
  const own = process.getuid?.();
  if (own !== undefined && uid !== own)
    throw new LockwireError(
      'config',
      `${path} belongs to user ${uid}, this is user ${own}: use another directory`,
    );
}

function octal(mode: number): string {
  return `0${(mode & 0o777).toString(8)}`;
}
