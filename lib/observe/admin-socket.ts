import { lstat, mkdir, stat, unlink } from 'node:fs/promises';
import type { Server } from 'node:http';
import { connect } from 'node:net';
import { dirname } from 'node:path';
import { codeOf, LockwireError, messageOf } from '../core/errors.ts';

/** Listens on a unix socket that only its owner can use; takes the place of one that a dead process left. */
export async function listenOnSocket(server: Server, path: string): Promise<void> {
  await checkDirectory(dirname(path));
  await removeStale(path);
  await new Promise<void>((resolve, reject) => {
    server.once('error', error =>
      reject(
        new LockwireError('io', `cannot make the admin socket ${path}: ${messageOf(error)}`, {
          cause: error,
        }),
      ),
    );
    // Born 0600: with chmod afterwards there would be a moment in which others could connect. `listen` binds before
    // it returns, so that nothing else of this process sees the mask.
    const before = process.umask(0o177);
    try {
      server.listen({ path }, resolve);
    } finally {
      process.umask(before);
    }
  });
}

/** Whoever can write the directory can put a socket of his own in the place of ours. */
async function checkDirectory(path: string): Promise<void> {
  await mkdir(path, { recursive: true, mode: 0o700 }).catch((error: unknown) => {
    throw new LockwireError('io', `cannot make the directory of the admin socket: ${messageOf(error)}`, {
      cause: error,
    });
  });
  const { mode, uid } = await stat(path);
  const own = process.getuid?.();
  if (own === undefined) return;
  if (uid !== own && uid !== 0)
    throw new LockwireError('config', `${path} belongs to user ${uid}, not to user ${own} who runs this`);
  if ((mode & 0o022) !== 0)
    throw new LockwireError(
      'config',
      `others can write ${path}, where the admin socket is (mode ${(mode & 0o7777).toString(8)}): chmod 700 ${path}`,
    );
}

async function removeStale(path: string): Promise<void> {
  const found = await lstat(path).catch((error: unknown) => {
    if (codeOf(error) === 'ENOENT') return undefined;
    throw error;
  });
  if (found === undefined) return;
  if (!found.isSocket())
    throw new LockwireError('config', `${path} is there already and is no socket: remove it`);
  if (await answers(path))
    throw new LockwireError('config', `another gateway is running: it answers at ${path}; stop it first`);
  await unlink(path);
}

function answers(path: string): Promise<boolean> {
  return new Promise(resolve => {
    const socket = connect({ path });
    socket.once('connect', () => {
      socket.destroy();
      resolve(true);
    });
    // Only a refusal says that nobody listens; anything else (a full backlog: EAGAIN) may be a living one.
    socket.once('error', error => resolve(!['ECONNREFUSED', 'ENOENT'].includes(codeOf(error))));
  });
}
