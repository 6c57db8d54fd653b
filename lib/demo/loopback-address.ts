/** Addresses that never leave this machine: `127.0.0.1:PORT`, `[::1]:PORT`, `unix:PATH`. */
import { chmod, lstat, unlink } from 'node:fs/promises';
import { connect } from 'node:net';
import { codeOf, LockwireError } from '../core/errors.ts';

/** Longest path of a unix socket: `sun_path` of Linux is 108 bytes with its end mark (macOS: 104). */
const maxSocketPathBytes = 103;

const tcpPattern = /^(127(?:\.\d{1,3}){3}|localhost|\[::1\]):(\d{1,5})$/;

export type LoopbackAddress =
  | { readonly kind: 'tcp'; readonly host: string; readonly port: number }
  | { readonly kind: 'unix'; readonly path: string };

/** Throws `usage` for anything else: AutoGen's own protocol is plaintext, so it stays on loopback. */
export function parseLoopbackAddress(address: string): LoopbackAddress {
  if (address.startsWith('unix:')) return unixAddress(address.slice('unix:'.length));
  const match = tcpPattern.exec(address);
  const port = Number(match?.[2] ?? -1);
  if (!match?.[1] || port < 0 || port > 65_535)
    throw new LockwireError(
      'usage',
      `${address} is no loopback address: use 127.0.0.1:PORT, [::1]:PORT or unix:PATH`,
    );
  return { kind: 'tcp', host: match[1], port };
}

function unixAddress(path: string): LoopbackAddress {
  const bytes = Buffer.byteLength(path);
  if (bytes === 0 || bytes > maxSocketPathBytes)
    throw new LockwireError(
      'usage',
      `unix:${path} has a path of ${bytes} bytes; it must have 1 to ${maxSocketPathBytes}`,
    );
  return { kind: 'unix', path };
}

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
