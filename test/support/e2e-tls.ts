import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { connect, createServer, type TLSSocket } from 'node:tls';
import type { Issued } from './transport-certificates.ts';

/** A TLS service that sends back what it gets, as a gateway dials it. */
export async function startTlsEcho(
  leaf: Issued,
): Promise<{ port: number; accepted: () => number; close: () => void }> {
  const sockets: TLSSocket[] = [];
  const server = createServer({ cert: leaf.certPem, key: leaf.keyPem, allowHalfOpen: true }, socket => {
    sockets.push(socket);
    socket.on('error', () => undefined);
    socket.pipe(socket);
  });
  server.on('tlsClientError', () => undefined);
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    port: (server.address() as AddressInfo).port,
    accepted: () => sockets.length,
    close: () => {
      server.close();
      for (const socket of sockets) socket.destroy();
    },
  };
}

export interface Visit {
  readonly port: number;
  readonly serverName: string;
  readonly ca: string;
  readonly client?: Issued;
  readonly session?: Buffer;
  readonly alpn?: readonly string[];
}

/** A TLS client with a certificate, and what became of it. */
export class Visitor {
  readonly socket: TLSSocket;
  /** Tickets that it was given. */
  readonly sessions: Buffer[] = [];
  readonly closed: Promise<string>;
  #text = '';
  #error = '';
  #wake: (() => void) | undefined;
  #gone = false;

  constructor(visit: Visit) {
    this.socket = connect({
      host: '127.0.0.1',
      port: visit.port,
      servername: visit.serverName,
      ca: visit.ca,
      ...(visit.client ? { cert: visit.client.certPem, key: visit.client.keyPem } : {}),
      ...(visit.session ? { session: visit.session } : {}),
      ...(visit.alpn ? { ALPNProtocols: [...visit.alpn] } : {}),
    });
    this.socket.on('session', session => this.sessions.push(session));
    this.socket.on('data', chunk => {
      this.#text += String(chunk);
      this.#wake?.();
    });
    this.socket.on('error', error => {
      this.#error ||= 'code' in error ? String(error.code) : error.message;
    });
    this.closed = new Promise(resolve => {
      this.socket.on('close', () => {
        this.#gone = true;
        resolve(this.#error || 'closed');
        this.#wake?.();
      });
    });
  }

  /** Sends a line and gives 'served' where it came back, else how the connection ended. */
  async outcome(line = 'hello'): Promise<string> {
    this.socket.write(line);
    while (this.#text.length < line.length && !this.#gone) {
      await new Promise<void>(resolve => {
        this.#wake = resolve;
      });
    }
    if (this.#text.length < line.length) return `refused: ${await this.closed}`;
    return this.#text === line ? 'served' : `got ${this.#text}`;
  }

  async end(): Promise<void> {
    this.socket.end();
    await this.closed;
  }
}

/** One visit from beginning to end. */
export async function visitOnce(visit: Visit): Promise<string> {
  const visitor = new Visitor(visit);
  const outcome = await visitor.outcome();
  visitor.socket.destroy();
  return outcome;
}
