import { Client, credentials, Metadata, type ServiceError } from '@grpc/grpc-js';
import t from 'tap';
import { callOf, DirectWorld } from '../support/direct-world.ts';
import { metricsOf } from '../support/e2e-metrics.ts';
import { call, grpcHeaders } from '../support/http2-calls.ts';
import { admin } from '../support/store-admin.ts';

const direct = await DirectWorld.make(t);
await direct.expose();
const alice = await direct.agent('alice');
const bearer = { authorization: `Bearer ${alice}` };
const body = Buffer.from('\0\0\0\0\x05hello', 'latin1');

/** A unary call by grpc-js: its status and what came back. */
function grpcCall(
  authority: string,
  token?: string,
  certificate?: Awaited<ReturnType<typeof direct.worker>>,
) {
  const key = certificate && Buffer.from(certificate.keyPem);
  const chain = certificate && Buffer.from(certificate.certPem);
  const client = new Client(
    `127.0.0.1:${direct.gateway.port}`,
    credentials.createSsl(Buffer.from(direct.world.authority.certPem), key ?? null, chain ?? null),
    { 'grpc.ssl_target_name_override': 'gateway.example', 'grpc.default_authority': authority },
  );
  const metadata = new Metadata();
  if (token) metadata.set('authorization', `Bearer ${token}`);
  const same = (bytes: Buffer): Buffer => bytes;
  return new Promise<{ code: number; details: string; message?: string }>(resolve => {
    client.makeUnaryRequest(
      '/echo.Echo/Say',
      same,
      same,
      Buffer.from('hello'),
      metadata,
      (error: ServiceError | null, got?: Buffer) => {
        client.close();
        if (error) resolve({ code: error.code, details: error.details });
        else resolve({ code: 0, details: '', message: String(got) });
      },
    );
  });
}

t.test(
  'node:http2 with a token: a dialled target by its authority, an exposed one by its service',
  async t => {
    const client = await direct.client();
    const ask = (authority: string) =>
      call(client, { ...grpcHeaders, ...bearer, ':authority': authority, ':path': '/echo.Echo/Say' }, body);
    for (const [authority, server] of [
      ['dialled.example', 'dialled'],
      ['dialled.example:8443', 'dialled'],
      ['own.example', 'own'],
      ['gateway.example', 'exposed'],
      ['127.0.0.1:1234', 'exposed'],
    ] as const) {
      const answer = await ask(authority);
      t.match(answer, { status: 200, body, trailers: { 'grpc-status': '0' } }, authority);
      t.equal(answer.headers['x-server'], server, `${authority} leads to ${server}`);
    }
    t.equal(direct.dialled.lastHeaders[':authority'], `upstream.example:${direct.dialled.port}`);
    t.equal(
      direct.exposed.lastHeaders[':authority'],
      '127.0.0.1:1234',
      'an exposed one hears the client’s own',
    );
  },
);

t.test('grpc-js: with a token, with a client certificate, and a refusal as it reads it', async t => {
  const worker = await direct.worker();
  for (const authority of ['dialled.example', 'gateway.example']) {
    t.match(await grpcCall(authority, alice), { code: 0, message: 'hello' }, `token, ${authority}`);
    t.match(await grpcCall(authority, undefined, worker), { code: 0, message: 'hello' }, `certificate`);
  }
  t.match(await grpcCall('dialled.example'), { code: 16, details: /^neither a token/ });
});

t.test('a target that nothing names is unknown to who may ask for any, and denied to others', async t => {
  const client = await direct.client();
  const nobody = await direct.world.token({ sub: 'nobody', groups: [] });
  const unknown = await callOf(client, alice, 'elsewhere.example', '/other.Service/Say').ended;
  t.match(unknown, {
    status: '5',
    message: /^nothing is served as elsewhere.example for \/other.Service\/Say$/,
  });
  const words = ({ message, decision = '' }: { message: string; decision: string | undefined }) =>
    message.replaceAll(decision, 'ID').replaceAll(/\w+\.example/g, 'NAME');
  const hidden = await callOf(client, nobody, 'elsewhere.example', '/other.Service/Say').ended;
  const denied = await callOf(client, nobody, 'dialled.example').ended;
  t.match([hidden, denied], [{ status: '7' }, { status: '7' }]);
  t.equal(words(hidden), words(denied), 'nobody learns from the answer whether there is such a target');
  t.ok(await direct.live(client, alice), 'and the connection goes on');
});

t.test('a path that servers read in two ways goes nowhere; a gRPC target takes gRPC only', async t => {
  const client = await direct.client();
  const before = direct.own.seen.length;
  for (const path of ['//x', '/a/../b', '/a%2fb', '/a;b', '/a\\b', '/%61', '/a%00']) {
    const answer = await call(client, { ...bearer, ':authority': 'own.example', ':path': path });
    t.match(answer, { status: 400, headers: { 'content-type': 'application/problem+json' } }, path);
    t.match(JSON.parse(String(answer.body)), { detail: /^the path has/ });
  }
  t.equal(direct.own.seen.length, before, 'none of them was seen behind the gateway');
  t.match(await call(client, { ...bearer, ':authority': 'own.example', ':path': '/a/b?c=%2f' }), {
    status: 200,
  });
  t.match(await call(client, { ...bearer, ':authority': 'dialled.example', ':path': '/page' }), {
    status: 415,
  });
});

t.test('clients share the connections of a shared target and have their own to others', async t => {
  const counts = () => [direct.dialled.connections, direct.own.connections, direct.exposed.connections];
  const before = counts();
  const clients = await Promise.all([direct.client(), direct.client(), direct.client()]);
  for (const client of clients)
    for (const authority of ['dialled.example', 'own.example', 'gateway.example'])
      for (let i = 0; i < 2; i += 1) await direct.live(client, alice, authority);
  t.same(
    counts().map((count, index) => count - (before[index] ?? 0)),
    [0, 3, 3],
    'three clients, six calls each target',
  );
});

t.test('sessions and metrics show them', async t => {
  const client = await direct.client();
  const bob = await direct.agent('bob');
  const calls = [await direct.live(client, alice), await direct.live(client, bob)];
  const { http2 } = await admin(direct.gateway, 'GET', '/sessions');
  t.match(http2.at(-1), {
    session: /^[0-9a-f]{16}$/,
    listener: 'public',
    peer: '127.0.0.1',
    principals: ['User::corp|alice', 'User::corp|bob'],
    requests: 2,
  });
  const metrics = await metricsOf(direct.gateway);
  t.ok((metrics['lockwire_http2_requests_total{target="dialled"}'] ?? 0) >= 2);
  t.ok((metrics['lockwire_http2_refusals_total{target="own",reason="protocol"}'] ?? 0) >= 7);
  t.ok((metrics.lockwire_http2_connections ?? 0) >= 1);
  t.equal(metrics.lockwire_http2_shared_connections, 1);
  t.equal(metrics.lockwire_http2_held_bytes, 0);
  for (const { stream } of calls) stream.end();
  t.match(await Promise.all(calls.map(({ ended }) => ended)), [{ status: '0' }, { status: '0' }]);
  const after = direct.gateway.program.logs.length;
  client.close();
  const line = await direct.gateway.program.logged(
    ({ msg }) => msg === 'HTTP/2 connection ended',
    'its line',
    after,
  );
  t.match(line, { who: 'User::corp|alice, User::corp|bob', requests: 2, listener: 'public' });
});
