import { chmodSync, existsSync, lstatSync, unlinkSync } from 'node:fs';
import { connect, createServer, type Server, type Socket } from 'node:net';
import { dirname } from 'node:path';
import { formatAddress, type LocalAddress, plainAddress } from '../core/address.ts';
import { type Clock, systemClock } from '../core/clock.ts';
import { codeOf, LockwireError, messageOf } from '../core/errors.ts';
import type { Carrier } from '../core/ports.ts';
import { defaultLocalOptions, type LocalOptions } from './options.ts';
import { SocketCarrier } from './socket-carrier.ts';
import type { Endpoint } from './socket-table.ts';

/** Who came, as far as a local socket can tell. */
export interface LocalPeer {
  readonly ingress: 'unix' | 'loopback';
  /** Both ends of a TCP connection, by which the system's table tells the peer's user; absent where it is reset. */
  readonly peer?: Endpoint;
  readonly own?: Endpoint;
}

export interface LocalListener {
  /** With the real port where 0 was asked for. */
  readonly address: LocalAddress;
  /** Stops accepting; connections live on. Removes a unix socket's file. */
  close(): Promise<void>;
}

/**
 * Listens for plaintext on loopback or on a unix socket of mode 0600. Throws `usage` where the address is taken or
 * can't be had.
 */
export async function listenLocal(
  address: LocalAddress,
  onConnection: (carrier: Carrier, from: LocalPeer) => void,
  options: Partial<LocalOptions> = {},
): Promise<LocalListener> {
  const { maxConnections } = { ...defaultLocalOptions, ...options };
  // pauseOnConnect: nothing is read before the carrier's owner starts it.
  const server = createServer({ allowHalfOpen: true, pauseOnConnect: true }, socket => {
    onConnection(new SocketCarrier(socket), peerOf(address, socket));
  });
  server.maxConnections = maxConnections;
  if (address.kind === 'unix') await listenUnix(server, address.path);
  else await listen(server, address).catch(error => throwBusy(error, address));
  // Accept errors (file descriptors used up) are not the listener's end; Node goes on accepting.
  server.on('error', () => undefined);
  return {
    address: boundAddress(server, address),
    close: async () => {
      server.close();
    },
  };
}

function peerOf(address: LocalAddress, socket: Socket): LocalPeer {
  if (address.kind === 'unix') return { ingress: 'unix' };
  const peer = endpoint(socket.remoteAddress, socket.remotePort);
  const own = endpoint(socket.localAddress, socket.localPort);
  return { ingress: 'loopback', ...(peer && { peer }), ...(own && { own }) };
}

function endpoint(address: string | undefined, port: number | undefined): Endpoint | undefined {
  return address === undefined || port === undefined ? undefined : { address: plainAddress(address), port };
}

function boundAddress(server: Server, asked: LocalAddress): LocalAddress {
  const bound = server.address();
  return asked.kind === 'tcp' && bound !== null && typeof bound === 'object'
    ? { ...asked, port: bound.port }
    : asked;
}

function listen(server: Server, address: LocalAddress): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.once('listening', () => {
      server.off('error', reject);
      resolve();
    });
    if (address.kind === 'tcp') server.listen({ host: address.host, port: address.port });
    else listenPrivately(server, address.path);
  });
}

/**
 * `listen` binds before it returns, so the mask is in force for exactly that: the socket is never open to others, not
 * even until a chmod.
 */
function listenPrivately(server: Server, path: string): void {
  const previous = process.umask(0o177);
  try {
    server.listen({ path });
  } finally {
    process.umask(previous);
  }
}

async function listenUnix(server: Server, path: string): Promise<void> {
  const address: LocalAddress = { kind: 'unix', path };
  // libuv would say EACCES for it.
  if (!existsSync(dirname(path))) {
    throw new LockwireError(
      'usage',
      `${formatAddress(address)}: the directory ${dirname(path)} does not exist`,
    );
  }
  try {
    await listen(server, address);
  } catch (error) {
    if (codeOf(error) !== 'EADDRINUSE') throwBusy(error, address);
    await removeStale(path);
    await listen(server, address).catch(again => throwBusy(again, address));
  }
  chmodSync(path, 0o600);
}

/** Removes the socket of a process that is gone. One that answers, or that is no socket, stays and is an error. */
async function removeStale(path: string): Promise<void> {
  const address: LocalAddress = { kind: 'unix', path };
  if (!lstatSync(path, { throwIfNoEntry: false })?.isSocket()) {
    throw new LockwireError('usage', `${formatAddress(address)} exists and is not a socket`);
  }
  const code = await probe(path);
  // Only a refusal proves that nobody listens; a full backlog (EAGAIN) or a denial does not.
  if (code !== 'ECONNREFUSED') throwBusy(Object.assign(new Error('in use'), { code: 'EADDRINUSE' }), address);
  try {
    unlinkSync(path);
  } catch (error) {
    throw new LockwireError(
      'usage',
      `${formatAddress(address)} is left over from a process that is gone and cannot be removed: ${messageOf(error)}`,
    );
  }
}

/** '' where somebody answers, else the error's code. */
function probe(path: string): Promise<string> {
  return new Promise(resolve => {
    const socket = connect({ path });
    socket.once('connect', () => {
      resolve('');
      socket.destroy();
    });
    socket.once('error', error => resolve(codeOf(error) || 'unknown'));
  });
}

function throwBusy(error: unknown, address: LocalAddress): never {
  const shown = formatAddress(address);
  const code = codeOf(error);
  const reasons: Record<string, string> = {
    EADDRINUSE: `${shown} is in use; stop the program that listens there, or choose another with --listen`,
    EACCES: `${shown} may not be opened by this user; choose another with --listen`,
    EADDRNOTAVAIL: `${shown} is not an address of this machine; choose another with --listen`,
  };
  throw new LockwireError('usage', reasons[code] ?? `cannot listen on ${shown}: ${messageOf(error)}`, {
    cause: error,
  });
}

/** Connects to a plaintext service on this machine. Throws `unavailable`. */
export function dialLocal(
  address: LocalAddress,
  { timeoutMs = defaultLocalOptions.dialTimeoutMs, clock = systemClock }: DialLocalOptions = {},
): Promise<Carrier> {
  return new Promise((resolve, reject) => {
    const target =
      address.kind === 'unix' ? { path: address.path } : { host: address.host, port: address.port };
    const socket = connect({ ...target, allowHalfOpen: true });
    const fail = (reason: string, cause?: unknown): void => {
      deadline.cancel();
      socket.destroy();
      reject(
        new LockwireError(
          'unavailable',
          `${formatAddress(address)} ${reason}`,
          cause ? { cause } : undefined,
        ),
      );
    };
    const failed = (error: Error): void => fail(refusal(error), error);
    const deadline = clock.after(timeoutMs, () => fail(`did not answer within ${timeoutMs} ms`));
    socket.once('error', failed);
    socket.once('connect', () => {
      deadline.cancel();
      const carrier = new SocketCarrier(socket);
      socket.off('error', failed);
      resolve(carrier);
    });
  });
}

interface DialLocalOptions {
  readonly timeoutMs?: number;
  readonly clock?: Clock;
}

function refusal(error: Error): string {
  const code = codeOf(error);
  return code === 'ECONNREFUSED' || code === 'ENOENT'
    ? `is not served: nothing listens there (${code})`
    : `cannot be reached: ${error.message}`;
}
