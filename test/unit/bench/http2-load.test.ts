import { once } from 'node:events';
import { type ClientHttp2Session, connect, createSecureServer, type ServerHttp2Stream } from 'node:http2';
import type { AddressInfo, Server } from 'node:net';
import { createServer } from 'node:tls';
import t, { type Test } from 'tap';
import { serveHttp2 } from '../../../bench/path/backend-http2.ts';
import { callPath, message } from '../../../bench/path/http2-fields.ts';
import * as load from '../../../bench/path/load-http2.ts';
import { serverName } from '../../../bench/path/material.ts';
import type { LoadKind, LoadOrder } from '../../../bench/path/messages.ts';
import { makeAuthority } from '../../support/transport-certificates.ts';

const authority = await makeAuthority({ name: 'Bench test CA' });
const { certPem: cert, keyPem: key } = await authority.issue({ dns: [serverName], usages: ['server'] });
const ca = authority.certPem;

async function listen(t: Test, server: Server): Promise<number> {
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.teardown(() => server.close());
  return (server.address() as AddressInfo).port;
}

function backend(t: Test): Promise<number> {
  return listen(t, createServer({ cert, key, ALPNProtocols: ['h2'] }, serveHttp2));
}

function order(kind: LoadKind, port: number, more: Partial<LoadOrder>): LoadOrder {
  return { kind, port, amount: 100, warmUp: 10, limitMs: 60_000, tls: { ca, serverName }, ...more };
}

const onward = async (): Promise<void> => {};

/** One call by Node's own client, which reads every field. */
async function call(session: ClientHttp2Session, body: Buffer): Promise<{ bytes: number; fields: object }> {
  const stream = session.request({
    ':method': 'POST',
    ':path': callPath,
    'content-type': 'application/grpc',
  });
  let fields: object = {};
  stream.on('response', answer => {
    fields = { ...fields, status: answer[':status'], type: answer['content-type'] };
  });
  stream.on('trailers', trailers => {
    fields = { ...fields, grpc: trailers['grpc-status'] };
  });
  stream.end(body);
  let bytes = 0;
  for await (const chunk of stream) bytes += (chunk as Buffer).byteLength;
  return { bytes, fields };
}

t.test(
  'the backend answers Node’s client: a 100 B echo, 1 MiB that it swallows, 1 MiB that it sends',
  async t => {
    const session = connect(`https://127.0.0.1:${await backend(t)}`, { ca, servername: serverName });
    t.teardown(() => session.destroy());
    const fields = { status: 200, type: 'application/grpc', grpc: '0' };
    t.same(await call(session, message(100, 'E')), { bytes: 105, fields });
    t.same(await call(session, message(1024 * 1024, 'S')), { bytes: 6, fields });
    t.same(await call(session, message(16, 'D', 1024 * 1024)), { bytes: 1024 * 1024, fields });
  },
);

t.test(
  'the load’s fields read as a gRPC client’s, at first and by reference: 1,000 calls on 2 connections',
  async t => {
    const seen = new Set<string>();
    const server = createSecureServer({ cert, key }, undefined);
    server.on('stream', (stream: ServerHttp2Stream, headers) => {
      const { ':path': path, ':authority': host, authorization, te } = headers;
      seen.add(`${headers[':method']} ${host} ${path} ${te} ${headers['content-type']} ${authorization}`);
      stream.respond({ ':status': 200, 'content-type': 'application/grpc' }, { waitForTrailers: true });
      stream.on('wantTrailers', () => stream.sendTrailers({ 'grpc-status': '0' }));
      stream.pipe(stream);
    });
    const port = await listen(t, server);
    const tokens = ['one', 'two'];
    const more = { amount: 1_000, connections: 2, depth: 8, messageBytes: 50, paths: 2, tokens };
    const result = await load.unary(order('h2-unary', port, more), onward);
    t.equal(result.amount, 1_000);
    const line = (number: number): string =>
      `POST ${serverName} ${callPath}/${number % 2} trailers application/grpc Bearer ${tokens[number % 2]}`;
    t.same([...seen].sort(), [line(0), line(1)].sort());
  },
);

t.test('each kind of load goes through to its end, with as much as was asked for', async t => {
  const port = await backend(t);
  const mebibyte = 1024 * 1024;
  const bulk = { amount: 4 * mebibyte, warmUp: mebibyte };
  const kinds = [
    [load.unary, 'h2-unary', { connections: 2, depth: 16 }],
    [load.pingPong, 'h2-ping-pong', { depth: 32 }],
    [load.flood, 'h2-flood', { amount: 5_000 }],
    [load.bulkUp, 'h2-bulk-up', bulk],
    [load.bulkDown, 'h2-bulk-down', bulk],
    [load.connections, 'h2-connections', { amount: 8, warmUp: 2, connections: 2 }],
    [load.longStreams, 'h2-long-streams', { connections: 2, depth: 100, amount: 40 }],
    [load.idle, 'h2-idle', { amount: 5, warmUp: 2 }],
  ] as const;
  for (const [run, kind, more] of kinds) {
    const wanted = order(kind, port, more);
    t.equal((await run(wanted, onward)).amount, wanted.amount, kind);
  }
});

t.test('an answer that is no echo fails the load', async t => {
  const server = createSecureServer({ cert, key }, undefined);
  server.on('stream', (stream: ServerHttp2Stream) => {
    stream.respond({ ':status': 502 });
    stream.end('bad gateway');
  });
  const port = await listen(t, server);
  await t.rejects(load.unary(order('h2-unary', port, {}), onward), /answered with 11 bytes, not 205/);
});
