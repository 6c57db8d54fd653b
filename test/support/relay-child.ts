import { fork } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { type AddressInfo, createServer, connect as dial } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { connect, createSecureContext, TLSSocket } from 'node:tls';
import { fileURLToPath } from 'node:url';
import type { Address, RelayReport, RelaySettings } from './relay-process.ts';
import { makeAuthority } from './transport-certificates.ts';

/** A relay in its own process, with the test's client before it and the test's server behind it. */
export interface RelayChild {
  /** A connection through the relay: the client's end, and the server's. */
  open(): Promise<{ client: TLSSocket; server: TLSSocket }>;
  /** What the relay's process says of itself, after a collection. */
  report(): Promise<RelayReport>;
  close(): void;
}

export interface RelayChildOptions {
  /** Sockets of the unix kind hold 208 KiB in the kernel each way; those of TCP on loopback up to 10 MiB. */
  readonly over: 'tcp' | 'unix';
  readonly withoutCredit?: boolean;
}

export async function relayChild({ over, withoutCredit = false }: RelayChildOptions): Promise<RelayChild> {
  const authority = await makeAuthority({ name: 'relay test' });
  const issued = await authority.issue({ dns: ['localhost'] });
  const own = createSecureContext({ cert: issued.certPem, key: issued.keyPem, minVersion: 'TLSv1.3' });
  const trust = createSecureContext({ ca: authority.certPem, minVersion: 'TLSv1.3' });
  const folder = mkdtempSync(join(tmpdir(), 'lockwire-relay-'));
  const addressOf = (name: string): Address =>
    over === 'unix' ? { path: join(folder, name) } : { port: 0, host: '127.0.0.1' };

  const served: ((socket: TLSSocket) => void)[] = [];
  const server = createServer({ allowHalfOpen: true }, tcp => {
    const socket = new TLSSocket(tcp, { isServer: true, secureContext: own });
    socket.on('error', () => {});
    socket.once('secure', () => served.shift()?.(socket));
  });
  server.listen({ ...addressOf('upstream'), backlog: 2048 });
  await once(server, 'listening');
  const bound = server.address() as AddressInfo | string;
  const upstream: Address =
    typeof bound === 'string' ? { path: bound } : { port: bound.port, host: '127.0.0.1' };

  const script = fileURLToPath(new URL('./relay-process.ts', import.meta.url));
  const child = fork(script, { execArgv: ['--expose-gc'] });
  async function ask<T>(message: RelaySettings | 'report'): Promise<T> {
    const answer = once(child, 'message') as Promise<[T]>;
    child.send(message);
    return (await answer)[0];
  }
  const listen = addressOf('relay');
  const { port } = await ask<{ port: number }>({
    cert: issued.certPem,
    key: issued.keyPem,
    ca: authority.certPem,
    listen,
    upstream,
    withoutCredit,
  });
  const front: Address = 'path' in listen ? listen : { port, host: '127.0.0.1' };
  return {
    async open() {
      const serving = new Promise<TLSSocket>(resolve => served.push(resolve));
      const client = connect({
        socket: dial({ ...front, allowHalfOpen: true }),
        secureContext: trust,
        servername: 'localhost',
      });
      client.on('error', () => {});
      const [server] = await Promise.all([serving, once(client, 'secureConnect')]);
      return { client, server };
    },
    report: () => ask<RelayReport>('report'),
    close() {
      child.kill();
      server.close();
      rmSync(folder, { recursive: true });
    },
  };
}
