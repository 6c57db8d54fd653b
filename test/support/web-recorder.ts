import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';

export interface Recorder {
  readonly port: number;
  readonly address: string;
  /** What each connection's client has sent so far. */
  sent(): Buffer[];
  close(): void;
}

/** A plain TCP relay to a port of this machine that keeps every byte of its clients. */
export async function startRecorder(to: number): Promise<Recorder> {
  const kept: Buffer[][] = [];
  const sockets: Socket[] = [];
  const server = createServer({ allowHalfOpen: true }, client => {
    const chunks: Buffer[] = [];
    kept.push(chunks);
    const host = connect({ host: '127.0.0.1', port: to, allowHalfOpen: true });
    for (const socket of [client, host]) {
      sockets.push(socket);
      socket.on('error', () => undefined);
    }
    client.on('data', chunk => chunks.push(chunk as Buffer));
    client.pipe(host).pipe(client);
    client.once('close', () => host.destroy());
    host.once('close', () => client.destroy());
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  return {
    port,
    address: `127.0.0.1:${port}`,
    sent: () => kept.map(chunks => Buffer.concat(chunks)),
    close: () => {
      server.close();
      for (const socket of sockets) socket.destroy();
    },
  };
}
