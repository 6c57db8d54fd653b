// A proxy of two `node:http2` sessions and pipes between their streams: TLS with client certificates in, TLS out.
import { readFileSync } from 'node:fs';
import {
  type ClientHttp2Session,
  connect,
  createSecureServer,
  type Http2Session,
  type IncomingHttpHeaders,
  type ServerHttp2Stream,
} from 'node:http2';
import type { AddressInfo } from 'node:net';
import { createSecureContext } from 'node:tls';
import { serverName } from './material.ts';

const [ca = '', cert = '', key = ''] = process.argv.slice(2, 5).map(path => readFileSync(path, 'utf8'));
const upstreamPort = Number(process.argv[5]);
const secureContext = createSecureContext({ ca, minVersion: 'TLSv1.3' });
const upstreams = new WeakMap<Http2Session, ClientHttp2Session>();
const server = createSecureServer({ ca, cert, key, minVersion: 'TLSv1.3', requestCert: true });

/** Each client's connection has one of its own upstream, as a relay that shares nothing. */
function upstreamOf(session: Http2Session): ClientHttp2Session {
  const known = upstreams.get(session);
  if (known !== undefined) return known;
  const upstream = connect(`https://127.0.0.1:${upstreamPort}`, { secureContext, servername: serverName });
  upstream.on('error', () => session.destroy());
  session.on('close', () => upstream.destroy());
  upstreams.set(session, upstream);
  return upstream;
}

function forward(stream: ServerHttp2Stream, headers: IncomingHttpHeaders): void {
  const { session } = stream;
  if (session === undefined) return;
  const request = upstreamOf(session).request(headers, { endStream: false });
  let trailers: IncomingHttpHeaders = {};
  request.on('response', answer => {
    if (!stream.destroyed) stream.respond(answer, { waitForTrailers: true });
  });
  request.on('trailers', fields => {
    trailers = fields;
  });
  stream.on('wantTrailers', () => stream.sendTrailers(trailers));
  stream.on('error', () => request.destroy());
  stream.on('aborted', () => request.close());
  request.on('error', () => stream.destroy());
  stream.pipe(request);
  request.pipe(stream);
}

server.on('session', session => session.on('error', () => session.destroy()));
server.on('stream', forward);
server.listen(0, '127.0.0.1', 4096, () => {
  process.stdout.write(`ready on ${(server.address() as AddressInfo).port}\n`);
});
