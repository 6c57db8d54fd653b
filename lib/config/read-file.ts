import { constants } from 'node:fs';
import { open } from 'node:fs/promises';
import { codeOf, LockwireError } from '../core/errors.ts';
import { maxConfigBytes } from './json-document.ts';

export interface ReadOptions {
  /** Largest file that is read. */
  readonly maxBytes?: number;
  /** Refuses files that others than their owner can read or write, or that are another user's. */
  readonly secret?: boolean;
}

/** The text of a regular file of bounded size. Errors say why, and what to do; never what is in it. */
export async function readTextFile(path: string, options: ReadOptions = {}): Promise<string> {
  const maxBytes = options.maxBytes ?? maxConfigBytes;
  // O_NONBLOCK: opening a named pipe must not wait for its writer.
  const file = await open(path, constants.O_RDONLY | constants.O_NONBLOCK).catch((error: unknown) => {
    throw new LockwireError('config', openFailure(path, codeOf(error)), { cause: error });
  });
  try {
    // Judged by the open file, so that what is checked is what is read.
    const { mode, uid, size } = await file.stat();
    if ((mode & constants.S_IFMT) !== constants.S_IFREG)
      throw new LockwireError('config', `not a file: ${path}`);
    if (options.secret) checkPrivate(path, mode, uid);
    if (size > maxBytes)
      throw new LockwireError('config', `file of ${size} bytes, at most ${maxBytes} are read: ${path}`);
    const bytes = Buffer.alloc(maxBytes + 1);
    let filled = 0;
    // In a loop: it may still grow, and a read may be short.
    for (;;) {
      const { bytesRead } = await file.read(bytes, filled, bytes.byteLength - filled, filled);
      filled += bytesRead;
      if (bytesRead === 0 || filled > maxBytes) break;
    }
    if (filled > maxBytes) throw new LockwireError('config', `file of more than ${maxBytes} bytes: ${path}`);
    return bytes.toString('utf8', 0, filled);
  } finally {
    await file.close();
  }
}

function checkPrivate(path: string, mode: number, uid: number): void {
  const own = process.getuid?.();
  // Windows knows neither; there the directory's ACL is what protects the file.
  if (own === undefined) return;
  if (uid !== own && uid !== 0)
    throw new LockwireError(
      'config',
      `belongs to user ${uid}, not to user ${own} who runs this: chown ${own} ${path}`,
    );
  if ((mode & 0o077) !== 0)
    throw new LockwireError(
      'config',
      `others can read it (mode ${(mode & 0o7777).toString(8).padStart(4, '0')}): chmod 600 ${path}`,
    );
}

function openFailure(path: string, code: string): string {
  if (code === 'ENOENT' || code === 'ENOTDIR') return `no such file: ${path}`;
  if (code === 'EACCES' || code === 'EPERM') return `no permission to read it: ${path}`;
  return `cannot be read (${code || 'unknown error'}): ${path}`;
}
