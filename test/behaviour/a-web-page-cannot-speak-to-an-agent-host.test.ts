import t from 'tap';
import { exchange, talk } from '../support/e2e-sockets.ts';
import { World } from '../support/e2e-world.ts';

// The requests as a browser writes them, byte for byte; test/web has a browser write them.
const preface = 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n';
/** Of the first frame (RFC 9113 section 4.1). */
const frameType = (text: string): number => text.charCodeAt(3);
const emptySettings = '\0\0\0\x04\0\0\0\0\0';
const requests: readonly (readonly [string, string])[] = [
  [
    'a page whose DNS name now points to loopback',
    'GET /agents HTTP/1.1\r\nHost: rebound.example:50051\r\nConnection: keep-alive\r\nAccept: */*\r\nSec-Fetch-Site: same-origin\r\nSec-Fetch-Mode: cors\r\n\r\n',
  ],
  [
    'a form that is posted across sites, with HTTP/2 in its body',
    `POST / HTTP/1.1\r\nHost: 127.0.0.1:50051\r\nConnection: keep-alive\r\nContent-Type: text/plain\r\nOrigin: https://evil.example\r\nSec-Fetch-Site: cross-site\r\nSec-Fetch-Mode: navigate\r\nContent-Length: 24\r\n\r\n${preface}`,
  ],
  [
    'a WebSocket of another origin',
    'GET / HTTP/1.1\r\nHost: 127.0.0.1:50051\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nOrigin: https://evil.example\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n',
  ],
  [
    'a preflight for a private network',
    'OPTIONS / HTTP/1.1\r\nHost: 127.0.0.1:50051\r\nAccess-Control-Request-Method: POST\r\nAccess-Control-Request-Private-Network: true\r\nOrigin: https://evil.example\r\n\r\n',
  ],
];

const world = await World.make(t);
const host = await world.host();
const gateway = await world.gateway();
await world.expose(gateway, { target: 'rpc', to: host.address });
await world.expose(gateway, { target: 'plain', to: host.address });
const guarded = await world.connect(gateway, { target: 'rpc' });
const open = await world.connect(gateway, { target: 'plain' });

for (const [name, request] of requests) {
  t.test(name, async t => {
    t.equal(await exchange(open.address, request), request, 'without the gate it gets through');
    const before = host.sockets.length;
    const client = talk(guarded.address);
    // As a browser does on `Connection: close`.
    client.socket.once('end', () => client.socket.end());
    client.write(request);
    t.equal(await client.closed, 'end');
    t.match(client.text, /^HTTP\/1\.1 400 Bad Request\r\n/, 'it is told');
    t.match(client.text, /It takes gRPC only/);
    t.notMatch(client.text, /access-control/i);
    t.equal(host.sockets.length, before, 'the host was not even dialled');
  });
}

t.test('TLS and silence are closed without a word, and a client that speaks HTTP/2 passes', async t => {
  const before = host.sockets.length;
  const tls = talk(guarded.address);
  tls.write(Buffer.from('16030102000100', 'hex'));
  t.equal(await tls.closed, 'ECONNRESET');
  t.equal(tls.bytes, 0);
  await guarded.program.line(
    /TLS was spoken to a port on loopback, which is plain: use an insecure channel there/,
  );
  t.equal(host.sockets.length, before);
  t.equal(
    frameType(await exchange(guarded.address, `${preface}${emptySettings}`)),
    4,
    'SETTINGS, a server’s first word',
  );
  t.equal(host.sockets.length, before + 1);
});

t.test('a unix socket needs no gate: no page reaches it', async t => {
  const listen = `unix:${world.directory}/rpc.sock`;
  const connect = await world.connect(gateway, { target: 'rpc', listen });
  t.equal(
    frameType(await exchange(connect.address, `${preface}${emptySettings}`)),
    4,
    'SETTINGS, a server’s first word',
  );
});
