// Messages of 200 B into a real TCP socket: the adaptive writer beside a write for each.
import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';
import { bench, group } from 'mitata';
import { BufferedStream } from '../../lib/core/buffered-stream.ts';
import { SocketCarrier } from '../../lib/transport/socket-carrier.ts';

const server = createServer(socket => socket.resume());
server.listen(0, '127.0.0.1');
await once(server, 'listening');
const { port } = server.address() as AddressInfo;

async function dial(): Promise<Socket> {
  const socket = connect({ port, host: '127.0.0.1', noDelay: true });
  await once(socket, 'connect');
  return socket;
}

const stream = new BufferedStream(new SocketCarrier(await dial()));
let wanted = 0;
let flushed: () => void = () => {};
stream.start({
  data() {},
  end() {},
  flushed(bytes) {
    wanted -= bytes;
    if (wanted === 0) flushed();
  },
  closed() {},
});
const socket = await dial();
const message = Buffer.alloc(200, 1);

for (const depth of [1, 32]) {
  group(`${depth} × 200 B, until the last has left`, () => {
    bench(`adaptive writer, ${depth} × 200 B`, async () => {
      wanted = depth * message.byteLength;
      const all = new Promise<void>(resolve => {
        flushed = resolve;
      });
      for (let i = 0; i < depth; i += 1) stream.write(message);
      await all;
    });
    bench(`a write each, ${depth} × 200 B`, async () => {
      for (let i = 1; i < depth; i += 1) socket.write(message);
      await new Promise<void>(resolve => socket.write(message, () => resolve()));
    });
  });
}
