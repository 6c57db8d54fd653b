import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net';

/** A plaintext service on loopback, as stands behind an expose. */
export interface Host {
  readonly address: string;
  readonly port: number;
  /** Connections so far. */
  readonly sockets: Socket[];
  /** The next connection, or one that came and was not yet asked for. */
  next(): Promise<Socket>;
  close(): Promise<void>;
  /** As a process that dies with bytes unread: its connections are reset. */
  crash(): Promise<void>;
}

export type Serve = (socket: Socket) => void;

/** Sends each byte back, and half-closes when the client has. */
export const echo: Serve = socket => void socket.pipe(socket);

/** Says who it is, then ends. */
export const greet =
  (name: string): Serve =>
  socket => {
    socket.resume();
    socket.end(name);
  };

/** Reads nothing, says nothing. */
export const ignore: Serve = socket => void socket.pause();

export async function startHost(serve: Serve = echo, port = 0): Promise<Host> {
  const sockets: Socket[] = [];
  const unasked: Socket[] = [];
  const waiting: ((socket: Socket) => void)[] = [];
  const server: Server = createServer({ allowHalfOpen: true }, socket => {
    socket.on('error', () => undefined);
    sockets.push(socket);
    serve(socket);
    const waiter = waiting.shift();
    if (waiter) waiter(socket);
    else unasked.push(socket);
  });
  server.listen(port, '127.0.0.1');
  await once(server, 'listening');
  const end = async (one: (socket: Socket) => void): Promise<void> => {
    const closed = server.listening ? once(server, 'close') : undefined;
    server.close();
    for (const socket of sockets) if (!socket.destroyed) one(socket);
    await closed;
  };
  const bound = (server.address() as AddressInfo).port;
  return {
    address: `127.0.0.1:${bound}`,
    port: bound,
    sockets,
    next: () => {
      const socket = unasked.shift();
      return socket ? Promise.resolve(socket) : new Promise(resolve => waiting.push(resolve));
    },
    close: () => end(socket => socket.destroy()),
    crash: () => end(socket => socket.resetAndDestroy()),
  };
}

/** One connection, with what came back and how it ended. */
export class Talk {
  readonly socket: Socket;
  readonly chunks: Buffer[] = [];
  bytes = 0;
  /** 'end' for an orderly end by the peer, else the error's code; undefined while it lives. */
  ending: string | undefined;
  readonly closed: Promise<string>;
  #waiters: (() => void)[] = [];

  constructor(socket: Socket) {
    this.socket = socket;
    const { promise, resolve } = Promise.withResolvers<string>();
    this.closed = promise;
    let ended = false;
    let code = '';
    socket.on('data', (chunk: Buffer) => {
      this.chunks.push(chunk);
      this.bytes += chunk.byteLength;
      this.#tell();
    });
    socket.on('end', () => {
      ended = true;
      this.#tell();
    });
    socket.on('error', error => {
      code = 'code' in error ? String(error.code) : error.message;
    });
    socket.on('close', () => {
      this.ending = code || (ended ? 'end' : 'closed');
      resolve(this.ending);
      this.#tell();
    });
  }

  get text(): string {
    return Buffer.concat(this.chunks).toString();
  }

  write(data: string | Uint8Array): void {
    this.socket.write(data);
  }

  /** Resolves when so many bytes came; rejects where the connection closed before. */
  async received(bytes: number): Promise<void> {
    while (this.bytes < bytes) {
      if (this.ending !== undefined)
        throw new Error(`closed (${this.ending}) after ${this.bytes} of ${bytes} B`);
      await new Promise<void>(resolve => this.#waiters.push(resolve));
    }
  }

  #tell(): void {
    for (const resolve of this.#waiters.splice(0)) resolve();
  }
}

/** A plain connection to `127.0.0.1:PORT` or `unix:PATH`. */
export function talk(address: string): Talk {
  const path = /^unix:(.+)$/.exec(address)?.[1];
  const [, host = '127.0.0.1', port = ''] = /^\[?([^\]]+)\]?:(\d+)$/.exec(address) ?? [];
  const to = path === undefined ? { host, port: Number(port) } : { path };
  return new Talk(connect({ ...to, allowHalfOpen: true }));
}

/** Sends a text, half-closes, and gives what came back; rejects where the connection did not end orderly. */
export async function exchange(address: string, text: string): Promise<string> {
  const client = talk(address);
  client.socket.end(text);
  const ending = await client.closed;
  if (ending !== 'end') throw new Error(`${address}: ${ending} after ${client.bytes} B`);
  return client.text;
}
