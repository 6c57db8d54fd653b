import t from 'tap';
import { type ConnectRequest, parseConnectRequest } from '../../../lib/wire/connect-request.ts';

const parse = (text: string): ConnectRequest => parseConnectRequest(Buffer.from(text, 'latin1'));
/** As grpcio 1.70 sends it. */
const grpc =
  'CONNECT autogen:50051 HTTP/1.0\r\nHost: autogen:50051\r\nConnection: close\r\nUser-Agent: grpc-httpcli/0.0\r\n\r\n';
const curl =
  'CONNECT AutoGen:443 HTTP/1.1\r\nHost: AutoGen:443\r\nProxy-Authorization: Basic aHVudGVyMg==\r\nUser-Agent: curl/8\r\n\r\n';

t.test('reads what gRPC and curl send, and says where the head ends', async t => {
  t.same(parse(`${grpc}PRI * HTTP/2.0`), {
    kind: 'connect',
    host: 'autogen',
    port: 50_051,
    headBytes: grpc.length,
  });
  t.match(parse(curl), { host: 'autogen', port: 443, headBytes: curl.length });
  t.match(parse('CONNECT [::1]:1 HTTP/1.0\r\n\r\n'), { host: '::1', port: 1 });
});

t.test('each beginning of a request is partial, up to its last byte', async t => {
  for (let bytes = 0; bytes < curl.length; bytes += 1) {
    t.equal(parse(curl.slice(0, bytes)).kind, 'partial', `${bytes} B`);
  }
});

t.test('malformed requests are 400, other methods 405, a head of more than 8 KiB 431', async t => {
  const host = 'Host: a\r\n';
  const cases: [string, string][] = [
    ['GET http://autogen/ HTTP/1.1\r\nHost: autogen\r\n\r\n', '405'],
    ['PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n', '400'],
    ['CONNECT autogen HTTP/1.1\r\nHost: a\r\n\r\n', '400'],
    ['CONNECT autogen: HTTP/1.1\r\nHost: a\r\n\r\n', '400'],
    ['CONNECT autogen:0 HTTP/1.1\r\nHost: a\r\n\r\n', '400'],
    ['CONNECT autogen:65536 HTTP/1.1\r\nHost: a\r\n\r\n', '400'],
    ['CONNECT autogen:1:2 HTTP/1.1\r\nHost: a\r\n\r\n', '400'],
    ['CONNECT a@autogen:1 HTTP/1.1\r\nHost: a\r\n\r\n', '400'],
    ['CONNECT http://autogen:1/ HTTP/1.1\r\nHost: a\r\n\r\n', '400'],
    ['CONNECT  autogen:1 HTTP/1.1\r\nHost: a\r\n\r\n', '400'],
    ['CONNECT autogen:1 HTTP/2.0\r\nHost: a\r\n\r\n', '400'],
    ['CONNECT autogen:1 HTTP/1.1\r\n\r\n', '400'],
    [`CONNECT autogen:1 HTTP/1.1\r\n${host}${host}\r\n`, '400'],
    [`CONNECT autogen:1 HTTP/1.1\r\n${host}Content-Length: 5\r\n\r\n`, '400'],
    [`CONNECT autogen:1 HTTP/1.1\r\n${host}transfer-encoding: chunked\r\n\r\n`, '400'],
    [`CONNECT autogen:1 HTTP/1.1\r\n${host}A : b\r\n\r\n`, '400'],
    [`CONNECT autogen:1 HTTP/1.1\r\n${host} folded\r\n\r\n`, '400'],
    [`CONNECT autogen:1 HTTP/1.1\r\n${host}A: b\nC: d\r\n\r\n`, '400'],
    [`CONNECT autogen:1 HTTP/1.1\r\n${host}A: b\0\r\n\r\n`, '400'],
    ['\x16\x03\x01\x02\x00', '400'],
    [`CONNECT autogen:1 HTTP/1.1\r\n${host}A: ${'x'.repeat(8192)}\r\n\r\n`, '431'],
    ['x'.repeat(8192), '431'],
  ];
  for (const [text, status] of cases) {
    t.match(
      parse(text),
      { kind: 'refused', status: new RegExp(`^${status} `) },
      JSON.stringify(text.slice(0, 60)),
    );
  }
});
