import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';
import { createServer as createTlsServer } from 'node:tls';

export interface ForwardProxySettings {
  /** Where an authority leads; undefined is 403. */
  readonly route: (authority: string) => number | undefined;
  /** `user:password` that it wants. */
  readonly credential?: string;
  readonly tls?: { readonly cert: string; readonly key: string };
  /** In place of any answer of its own. */
  readonly answer?: string;
}

export interface RunningProxy {
  readonly port: number;
  /** Heads of the requests so far. */
  readonly heads: string[];
  close(): void;
}

/** A CONNECT proxy as stands at the edge of a company's network. */
export async function startForwardProxy(settings: ForwardProxySettings): Promise<RunningProxy> {
  const heads: string[] = [];
  const sockets = new Set<Socket>();
  const hold = (socket: Socket): void => {
    sockets.add(socket);
    socket.on('error', () => undefined);
  };
  const serve = (client: Socket): void => {
    hold(client);
    let text = '';
    const read = (chunk: Buffer): void => {
      text += chunk.toString('latin1');
      if (!text.includes('\r\n\r\n')) return;
      client.off('data', read);
      heads.push(text);
      lead(client, text);
    };
    client.on('data', read);
  };
  const lead = (client: Socket, head: string): void => {
    const refuse = (status: string): void =>
      void client.end(`HTTP/1.1 ${status}\r\nContent-Length: 0\r\n\r\n`);
    if (settings.answer !== undefined) return void client.write(settings.answer);
    const wanted = settings.credential && `Basic ${Buffer.from(settings.credential).toString('base64')}`;
    if (wanted && !head.includes(`\r\nProxy-Authorization: ${wanted}\r\n`)) {
      return refuse('407 Proxy Authentication Required');
    }
    const port = settings.route(/^CONNECT (\S+) HTTP\/1\.1\r\n/.exec(head)?.[1] ?? '');
    if (port === undefined) return refuse('403 Forbidden');
    const server = connect({ port, host: '127.0.0.1' });
    hold(server);
    server.once('connect', () => {
      client.write('HTTP/1.1 200 OK\r\nVia: 1.1 edge\r\n\r\n');
      client.pipe(server).pipe(client);
    });
    server.once('error', () => refuse('502 Bad Gateway'));
    server.once('close', () => client.destroy());
    client.once('close', () => server.destroy());
  };
  const server = settings.tls ? createTlsServer(settings.tls, serve) : createServer(serve);
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    port: (server.address() as AddressInfo).port,
    heads,
    close: () => {
      server.close();
      for (const socket of sockets) socket.destroy();
    },
  };
}
