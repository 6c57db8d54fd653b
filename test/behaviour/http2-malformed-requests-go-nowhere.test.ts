/**
 * What RFC 9113 calls malformed ends as a stream error here: the server behind sees nothing of it, the connection goes
 * on, and an honest request on it is served. Sent to a bare node:http2 server, several of these are served.
 */
import { createServer, type IncomingHttpHeaders } from 'node:http2';
import t from 'tap';
import { ErrorCode } from '../../lib/wire/http2/frames.ts';
import { data, type Fields, RawClient, requestFields } from '../support/http2-raw.ts';
import { startBackend, startRig } from '../support/http2-rig.ts';

const get = (...more: Fields): Fields => requestFields('/bad', more);
const post = (...more: Fields): Fields => requestFields('/bad', more, 'POST');
const without = (name: string): Fields => get().filter(([one]) => one !== name);
const instead = (name: string, value: string): Fields =>
  get().map(([one, old]): [string, string] => [one, one === name ? value : old]);

const malformed: readonly (readonly [name: string, fields: Fields])[] = [
  ['CR in a value', get(['x-a', 'a\rb'])],
  ['LF in a value', get(['x-a', 'a\nx-injected: 1'])],
  ['NUL in a value', get(['x-a', 'a\0b'])],
  ['a value that begins with a space', get(['x-a', ' a'])],
  ['a value that ends with a tab', get(['x-a', 'a\t'])],
  ['CR LF in a name', get(['x-a\r\nx-b', '1'])],
  ['NUL in a name', get(['x\0a', '1'])],
  ['a colon in a name', get(['x:a', '1'])],
  ['a space in a name', get(['x a', '1'])],
  ['a name of 0 B', get(['', '1'])],
  ['a name in upper case', get(['X-Upper', '1'])],
  ['a name beyond ASCII', get(['x-ä', '1'])],
  ['connection', get(['connection', 'close'])],
  ['connection that names authorization', get(['connection', 'authorization'])],
  ['keep-alive', get(['keep-alive', '5'])],
  ['proxy-connection', get(['proxy-connection', 'close'])],
  ['transfer-encoding', post(['transfer-encoding', 'chunked'])],
  ['upgrade', get(['upgrade', 'h2c'])],
  ['te: gzip', get(['te', 'gzip'])],
  ['host unlike :authority', get(['host', 'other.test'])],
  ['host twice', get(['host', 'backend.test'], ['host', 'backend.test'])],
  ['authorization twice', get(['authorization', 'Basic x'], ['authorization', 'Bearer y'])],
  ['no :method', without(':method')],
  ['no :path', without(':path')],
  ['no :scheme', without(':scheme')],
  [':path of 0 B', instead(':path', '')],
  [':path twice', [[':path', '/other'], ...get()]],
  [':method twice', [[':method', 'GET'], ...get()]],
  [':status in a request', [[':status', '200'], ...get()]],
  [':protocol', [[':protocol', 'websocket'], ...get()]],
  ['a pseudo-header behind a field', [...get(['x-a', '1']), [':authority', 'backend.test']]],
  [':method with a path in it', instead(':method', 'GET /admin HTTP/1.1')],
  [':method with CR LF', instead(':method', 'GET / HTTP/1.1\r\nx: y')],
  [':path with CR LF', instead(':path', '/ HTTP/1.1\r\nx: y')],
  [':authority with userinfo', instead(':authority', 'user@backend.test')],
  [':authority with a path', instead(':authority', 'backend.test/admin')],
  [':authority with a space', instead(':authority', 'backend.test x')],
  [':scheme javascript', instead(':scheme', 'javascript')],
  ['CONNECT', instead(':method', 'CONNECT')],
  ['content-length twice', post(['content-length', '0'], ['content-length', '0'])],
  ['content-length +1', post(['content-length', '+1'])],
  ['content-length of 20 digits', post(['content-length', '99999999999999999999'])],
  ['content-length 5 and no body', post(['content-length', '5'])],
  ['grpc-timeout of 9 digits', get(['grpc-timeout', '999999999S'])],
  ['grpc-timeout -1S', get(['grpc-timeout', '-1S'])],
  ['grpc-timeout without a unit', get(['grpc-timeout', '1'])],
];

async function world(test: { teardown(callback: () => Promise<void>): void }) {
  const seen: IncomingHttpHeaders[] = [];
  let reset = 0;
  let resetSeen: (() => void) | undefined;
  const server = createServer();
  server.on('stream', (stream, headers) => {
    stream.on('error', () => {});
    seen.push(headers);
    stream.once('aborted', () => {
      reset += 1;
      resetSeen?.();
    });
    if (headers[':path'] === '/held') stream.resume();
    else (stream as import('node:http2').ServerHttp2Stream).respond({ ':status': 200 }, { endStream: true });
  });
  const backend = await startBackend(server);
  const rig = await startRig(backend.port);
  test.teardown(async () => {
    await rig.close();
    await backend.close();
  });
  const open = async (port: number): Promise<RawClient> => {
    const client = await RawClient.connect(port);
    test.teardown(async () => client.close());
    await client.hears(({ kind }) => kind === 'settings');
    return client;
  };
  const resets = async (count: number): Promise<void> => {
    while (reset < count) {
      const { promise, resolve } = Promise.withResolvers<void>();
      resetSeen = resolve;
      await promise;
    }
  };
  return { seen, rig, backend, open, resets };
}

t.test(`${malformed.length} malformed requests end alone`, async t => {
  const { seen, rig, open } = await world(t);
  const client = await open(rig.port);
  let id = 1;
  for (const [name, fields] of malformed) {
    client.send(client.head(id, fields, true));
    t.equal((await client.answer(id)).code, ErrorCode.protocolError, name);
    id += 2;
  }
  t.equal(seen.length, 0, 'the server behind saw none of them');
  client.send(
    client.head(
      id,
      requestFields('/good', [
        ['content-length', '0'],
        ['te', 'trailers'],
      ]),
      true,
    ),
  );
  t.equal((await client.answer(id)).status, '200');
  t.equal(seen.length, 1);
  t.equal(rig.relays[0]?.liveCount, 0);
});

t.test('bare node:http2 serves several of them', async t => {
  const { backend, open } = await world(t);
  let served = 0;
  for (const [, fields] of malformed) {
    const client = await open(backend.port);
    client.send(client.head(1, fields, true));
    if ((await client.answer(1)).status === '200') served += 1;
    client.close();
  }
  t.ok(served >= 5, `${served} of ${malformed.length}`);
});

const held = requestFields('/held', [], 'POST');
const bodies: readonly (readonly [name: string, send: (client: RawClient, id: number) => Uint8Array[]])[] = [
  [
    'DATA over its content-length',
    (client, id) => [
      client.head(id, requestFields('/held', [['content-length', '3']], 'POST'), false),
      data(id, 4),
    ],
  ],
  [
    'DATA of less than its content-length',
    (client, id) => [
      client.head(id, requestFields('/held', [['content-length', '3']], 'POST'), false),
      data(id, 2, true),
    ],
  ],
  [
    'trailers with :path',
    (client, id) => [client.head(id, held, false), client.head(id, [[':path', '/admin']], true)],
  ],
  [
    'trailers with CR LF',
    (client, id) => [client.head(id, held, false), client.head(id, [['x-a', 'a\r\nb: c']], true)],
  ],
  [
    'trailers with transfer-encoding',
    (client, id) => [client.head(id, held, false), client.head(id, [['transfer-encoding', 'chunked']], true)],
  ],
  [
    'a second header section that does not end',
    (client, id) => [client.head(id, held, false), client.head(id, [['x-a', 'a']], false)],
  ],
];

t.test(
  'what turns out to be malformed on the way is reset on both sides, and never ends as whole',
  async t => {
    const { seen, rig, open, resets } = await world(t);
    const client = await open(rig.port);
    let id = 1;
    for (const [name, send] of bodies) {
      client.send(...send(client, id));
      t.equal((await client.answer(id)).code, ErrorCode.protocolError, name);
      id += 2;
    }
    // The first came and went before there was a connection to the server.
    await resets(seen.length);
    client.send(client.head(id, requestFields('/good'), true));
    t.equal((await client.answer(id)).status, '200');
  },
);

t.test('trailers that would be taken for a request’s own fields do not get there', async t => {
  const trailers: IncomingHttpHeaders[] = [];
  const server = createServer();
  server.on('stream', stream => {
    stream.on('trailers', got => trailers.push(got));
    stream.resume();
    stream.once('end', () =>
      (stream as import('node:http2').ServerHttp2Stream).respond({ ':status': 200 }, { endStream: true }),
    );
  });
  const backend = await startBackend(server);
  const rig = await startRig(backend.port);
  t.teardown(async () => {
    await rig.close();
    await backend.close();
  });
  const client = await RawClient.connect(rig.port);
  await client.hears(({ kind }) => kind === 'settings');
  client.send(
    client.head(1, requestFields('/trailers', [], 'POST'), false),
    client.head(
      1,
      [
        ['content-length', '7'],
        ['host', 'other.test'],
        ['authorization', 'Bearer x'],
        ['x-lockwire-user', 'root'],
        ['x-last', 'kept'],
      ],
      true,
    ),
  );
  t.equal((await client.answer(1)).status, '200');
  t.same(
    trailers.map(one => Object.entries(one)),
    [[['x-last', 'kept']]],
  );
  client.close();
});
