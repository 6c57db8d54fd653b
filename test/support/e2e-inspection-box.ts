import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { connect as connectTls, createServer, type TLSSocket } from 'node:tls';
import type { World } from './e2e-world.ts';
import { makeAuthority } from './transport-certificates.ts';

export interface InspectionBox {
  readonly port: number;
  /** A bundle that trusts the box beside the real authority. */
  readonly caFile: string;
  readonly ca: string;
  /** What clients said to it, in plain. */
  seen(): Buffer;
  close(): void;
}

/** A box that ends TLS on both of its sides and notes what passes, as a TLS-inspecting proxy does. */
export async function startBox(world: World, gatewayPort: number): Promise<InspectionBox> {
  const authority = await makeAuthority({ name: 'Corporate Inspection CA' });
  const leaf = await authority.issue({ dns: ['gateway.example'] });
  const fromClient: Buffer[] = [];
  const sockets: TLSSocket[] = [];
  const server = createServer(
    { cert: leaf.certPem, key: leaf.keyPem, ALPNProtocols: ['lockwire/1'], minVersion: 'TLSv1.3' },
    client => {
      const gateway = connectTls({
        host: '127.0.0.1',
        port: gatewayPort,
        servername: 'gateway.example',
        ca: world.authority.certPem,
        ALPNProtocols: ['lockwire/1'],
      });
      for (const socket of [client, gateway]) {
        sockets.push(socket);
        socket.on('error', () => undefined);
      }
      client.on('data', chunk => {
        fromClient.push(Buffer.from(chunk));
        gateway.write(chunk);
      });
      gateway.pipe(client);
      client.on('close', () => gateway.destroy());
    },
  );
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    port: (server.address() as AddressInfo).port,
    caFile: world.file('with-box.pem', `${world.authority.certPem}${authority.certPem}`),
    ca: authority.certPem,
    seen: () => Buffer.concat(fromClient),
    close: () => {
      server.close();
      for (const socket of sockets) socket.destroy();
    },
  };
}
