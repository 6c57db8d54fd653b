// The service behind every system under test: echoes, swallows or sends, as the connection's first line asks.
import { readFileSync } from 'node:fs';
import { type AddressInfo, createServer, type Server, type Socket } from 'node:net';
import { createServer as createTlsServer } from 'node:tls';
import { serveHttp2 } from './backend-http2.ts';
import type { BackendPorts } from './messages.ts';

const chunk = Buffer.alloc(64 * 1024, 0x5a);

/** `E` echoes until the end, `U n` swallows n bytes and answers one, `D n` sends n bytes. */
function serve(socket: Socket): void {
  let head = '';
  socket.setNoDelay(true);
  socket.on('error', () => socket.destroy());
  const onHead = (data: Buffer): void => {
    const end = data.indexOf(0x0a);
    head += data.toString('latin1', 0, end < 0 ? data.byteLength : end);
    if (end < 0) return;
    socket.off('data', onHead);
    const rest = data.subarray(end + 1);
    const [mode, amount] = head.split(' ');
    if (mode === 'U') swallow(socket, Number(amount), rest);
    else if (mode === 'D') send(socket, Number(amount));
    else echo(socket, rest);
  };
  socket.on('data', onHead);
}

function echo(socket: Socket, first: Buffer): void {
  if (first.byteLength > 0) socket.write(first);
  socket.on('data', data => {
    if (!socket.write(data)) {
      socket.pause();
      socket.once('drain', () => socket.resume());
    }
  });
  socket.on('end', () => socket.end());
}

function swallow(socket: Socket, wanted: number, first: Buffer): void {
  let received = 0;
  const count = (data: Buffer): void => {
    received += data.byteLength;
    if (received < wanted) return;
    if (received > wanted) throw new Error(`got ${received} bytes of ${wanted}`);
    socket.write('k');
  };
  count(first);
  socket.on('data', count);
  socket.on('end', () => socket.end());
}

function send(socket: Socket, wanted: number): void {
  let left = wanted;
  const more = (): void => {
    while (left > 0) {
      const part = left >= chunk.byteLength ? chunk : chunk.subarray(0, left);
      left -= part.byteLength;
      if (!socket.write(part)) return void socket.once('drain', more);
    }
  };
  more();
  socket.on('data', () => {});
  socket.on('end', () => socket.end());
}

async function listen(server: Server): Promise<number> {
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(0, '127.0.0.1', 4096, resolve);
  });
  return (server.address() as AddressInfo).port;
}

const [ca = '', cert = '', key = ''] = process.argv.slice(2).map(path => readFileSync(path));
const options = { allowHalfOpen: true, noDelay: true };
const tls = createTlsServer({ ...options, ca, cert, key, minVersion: 'TLSv1.3' }, serve);
tls.on('tlsClientError', (_error, socket) => socket.destroy());
const http2 = createTlsServer(
  { noDelay: true, ca, cert, key, minVersion: 'TLSv1.3', ALPNProtocols: ['h2'] },
  serveHttp2,
);
http2.on('tlsClientError', (_error, socket) => socket.destroy());
const ports: BackendPorts = {
  plain: await listen(createServer(options, serve)),
  tls: await listen(tls),
  http2: await listen(http2),
};
process.send?.(ports);
process.on('disconnect', () => process.exit(0));
