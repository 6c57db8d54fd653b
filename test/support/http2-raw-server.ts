/** A server that answers in frames written by hand, and gives no credit back. */
import { type AddressInfo, createServer, type Socket } from 'node:net';
import { settingsFrame } from '../../lib/wire/http2/encode.ts';
import { preface } from '../../lib/wire/http2/frames.ts';
import { RawClient } from './http2-raw.ts';

export interface RawServer {
  readonly port: number;
  /** The next connection that is made to it, behind the preface and its SETTINGS. */
  accepted(): Promise<RawClient>;
  close(): void;
}

export async function startRawServer(
  settings: readonly (readonly [number, number])[] = [],
): Promise<RawServer> {
  const sockets = new Set<Socket>();
  const ready: RawClient[] = [];
  const wanted: ((peer: RawClient) => void)[] = [];
  const server = createServer({ allowHalfOpen: true }, socket => {
    sockets.add(socket);
    const peer = new RawClient(socket, { skipBytes: preface.length, givesCredit: false });
    peer.send(settingsFrame([...settings]));
    const want = wanted.shift();
    if (want) want(peer);
    else ready.push(peer);
  });
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve));
  return {
    port: (server.address() as AddressInfo).port,
    accepted: () => {
      const peer = ready.shift();
      return peer ? Promise.resolve(peer) : new Promise(resolve => wanted.push(resolve));
    },
    close() {
      for (const socket of sockets) socket.destroy();
      server.close();
    },
  };
}
