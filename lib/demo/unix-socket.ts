/** The files of unix sockets. */
import { chmod, lstat, unlink } from 'node:fs/promises';
import { connect } from 'node:net';
import { codeOf, LockwireError } from '../core/errors.ts';

/** Removes the socket file of a process that is gone; a living one's, or any other file, is an error. */
export async function clearStaleSocket(path: string): Promise<void> {
  const found = await lstat(path).catch(() => undefined);
  if (!found) return;
  if (!found.isSocket())
    throw new LockwireError('usage', `${path} exists and is no socket; choose another path`);
  if (await answers(path)) throw busy(`unix:${path}`);
  await unlink(path);
}

/** Only this user may connect. */
export async function makeSocketPrivate(path: string): Promise<void> {
  await chmod(path, 0o600);
}

export function busy(address: string): LockwireError {
  return new LockwireError(
    'usage',
    `${address} is in use by another program: stop it or choose another address`,
  );
}

function answers(path: string): Promise<boolean> {
  return new Promise((resolve, reject) => {
    const socket = connect({ path });
    socket.once('connect', () => {
      socket.destroy();
      resolve(true);
    });
    socket.once('error', error => {
      if (codeOf(error) === 'ECONNREFUSED') resolve(false);
      else reject(new LockwireError('io', `unix:${path}: ${error.message}`, { cause: error }));
    });
  });
}
