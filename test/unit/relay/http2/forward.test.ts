import { once } from 'node:events';
import { createServer, type IncomingHttpHeaders, type ServerHttp2Stream } from 'node:http2';
import t from 'tap';
import { ownUpstream, sharedUpstream } from '../../../../lib/relay/http2/upstreams.ts';
import { answerOf, call, grpcHeaders } from '../../../support/http2-calls.ts';
import { type RigOptions, startBackend, startRig } from '../../../support/http2-rig.ts';

async function world(
  test: { teardown(callback: () => Promise<void>): void },
  serve: (stream: ServerHttp2Stream, headers: IncomingHttpHeaders) => void,
  options: RigOptions = {},
) {
  const server = createServer({ maxSessionMemory: 1_000 });
  server.on('stream', (stream, headers) => {
    stream.on('error', () => {});
    serve(stream as ServerHttp2Stream, headers);
  });
  const backend = await startBackend(server);
  const rig = await startRig(backend.port, options);
  test.teardown(async () => {
    await rig.close();
    await backend.close();
  });
  return { backend, rig, client: await rig.client() };
}

const echo = (stream: ServerHttp2Stream): void => {
  stream.respond({ ':status': 200, 'content-type': 'application/grpc' }, { waitForTrailers: true });
  stream.on('wantTrailers', () => stream.sendTrailers({ 'grpc-status': '0', 'x-last': 'yes' }));
  stream.pipe(stream);
};

t.test('a GET of 0 B has its status, fields and 11 B of body passed on', async t => {
  const { client } = await world(t, (stream, headers) => {
    stream.respond({ ':status': 203, 'x-path': headers[':path'] ?? '' });
    stream.end('hello world');
  });
  const answer = await call(client, { ':path': '/a/b?c=d' });
  t.equal(answer.status, 203);
  t.equal(answer.headers['x-path'], '/a/b?c=d');
  t.equal(answer.body.toString(), 'hello world');
});

t.test('8 MiB each way come back the same, with their trailers', async t => {
  const { client, rig } = await world(t, echo);
  const body = Buffer.alloc(8 * 1_048_576, 'pattern of 17 B..');
  const answer = await call(client, { ...grpcHeaders, ':path': '/s/m' }, body);
  t.ok(answer.body.equals(body));
  t.match(answer.trailers, { 'grpc-status': '0', 'x-last': 'yes' });
  t.equal(rig.held.heldBytes, 0, 'nothing is held');
  t.equal(rig.relays[0]?.liveCount, 0);
});

t.test('200 requests at a time on one connection keep apart', async t => {
  const { client } = await world(t, echo);
  const bodies = Array.from({ length: 200 }, (_, i) =>
    Buffer.alloc(i * 257, String.fromCharCode(65 + (i % 26))),
  );
  const answers = await Promise.all(
    bodies.map(body => call(client, { ...grpcHeaders, ':path': '/s/m' }, body)),
  );
  t.ok(answers.every(({ body }, i) => body.equals(bodies[i] as Buffer)));
});

t.test('a response begins before its request has ended, and messages go both ways one by one', async t => {
  const { client } = await world(t, echo);
  const stream = client.request({ ...grpcHeaders, ':path': '/s/bidi' });
  stream.write('one');
  await once(stream, 'response');
  t.equal(String((await once(stream, 'data'))[0]), 'one');
  stream.write('two');
  t.equal(String((await once(stream, 'data'))[0]), 'two');
  stream.end();
  t.match((await once(stream, 'trailers'))[0], { 'grpc-status': '0' });
});

t.test("the client's credentials and claims stay here; its other fields go on", async t => {
  const { client } = await world(t, (stream, headers) => {
    stream.respond({ ':status': 200 });
    stream.end(JSON.stringify(headers));
  });
  const answer = await call(client, {
    ':path': '/',
    authorization: 'Bearer secret',
    'proxy-authorization': 'Basic x',
    cookie: 'a=b',
    'x-lockwire-user': 'admin',
    x_lockwire_user: 'admin',
    'x-forwarded-for': '10.0.0.1',
    forwarded: 'for=10.0.0.1',
    'x-mine': 'kept',
    'grpc-timeout': '5S',
  });
  const seen = JSON.parse(answer.body.toString()) as Record<string, string>;
  t.equal(seen['x-mine'], 'kept');
  t.equal(seen['grpc-timeout'], '5S');
  for (const name of Object.keys(seen)) t.notMatch(name, /authorization|cookie|lockwire|forwarded/);
});

t.test('an upstream’s own x-lockwire fields stay there', async t => {
  const { client } = await world(t, stream => {
    stream.respond({ ':status': 200, 'x-lockwire-decision': 'forged', 'x-other': '1' });
    stream.end();
  });
  const { headers } = await call(client, { ':path': '/' });
  t.equal(headers['x-lockwire-decision'], undefined);
  t.equal(headers['x-other'], '1');
});

t.test(
  'a refused gRPC call is Trailers-Only with its decision, another request a problem document; the connection goes on',
  async t => {
    const { client } = await world(t, echo, {
      judge: (head, forward) =>
        head.path === '/no/no'
          ? {
              kind: 'refuse',
              refusal: {
                httpStatus: 403,
                grpcStatus: 7,
                title: 'Forbidden',
                reason: { code: 'denied', text: 'denied: no “é”', decision: '7f3a' },
              },
            }
          : forward,
    });
    const grpc = await call(client, { ...grpcHeaders, ':path': '/no/no' }, Buffer.alloc(100_000));
    t.equal(grpc.status, 200);
    t.equal(grpc.headers['grpc-status'], '7');
    t.equal(decodeURIComponent(String(grpc.headers['grpc-message'])), 'denied: no “é”');
    t.equal(grpc.headers['x-lockwire-decision'], '7f3a');
    const plain = await call(client, { ':path': '/no/no' });
    t.equal(plain.status, 403);
    t.match(JSON.parse(plain.body.toString()), { status: 403, decision: '7f3a' });
    t.equal(
      (await call(client, { ...grpcHeaders, ':path': '/yes/m' }, Buffer.from('x'))).body.toString(),
      'x',
    );
  },
);

t.test('a verdict that takes time holds the body, and then lets it through', async t => {
  const gate = Promise.withResolvers<void>();
  const { client } = await world(t, echo, {
    judge: async (_head, forward) => {
      await gate.promise;
      return forward;
    },
  });
  const answer = call(client, { ...grpcHeaders, ':path': '/s/m' }, Buffer.alloc(200_000, 'z'));
  setImmediate(() => gate.resolve());
  t.equal((await answer).body.byteLength, 200_000);
});

t.test('grpc-timeout is enforced: DEADLINE_EXCEEDED, and the upstream is told', async t => {
  const cut = Promise.withResolvers<number>();
  const { client } = await world(t, stream => {
    stream.on('close', () => cut.resolve(stream.rstCode ?? 0));
  });
  const answer = await call(
    client,
    { ...grpcHeaders, ':path': '/s/slow', 'grpc-timeout': '50m' },
    Buffer.from('x'),
  );
  t.equal(answer.headers['grpc-status'], '4');
  t.equal(await cut.promise, 8, 'CANCEL');
});

t.test('a reset goes through in both directions with its code', async t => {
  const cut = Promise.withResolvers<number>();
  const { client } = await world(t, (stream, headers) => {
    if (headers[':path'] === '/s/reset') return stream.close(11);
    stream.on('close', () => cut.resolve(stream.rstCode ?? 0));
  });
  t.equal((await call(client, { ...grpcHeaders, ':path': '/s/reset' })).code, 11);
  const stream = client.request({ ...grpcHeaders, ':path': '/s/wait' });
  stream.on('error', () => {});
  await new Promise(resolve => setImmediate(resolve));
  stream.close(8);
  t.equal(await cut.promise, 8);
});

t.test(
  'an upstream that goes away in the middle is told as UNAVAILABLE, and the next call finds a new connection',
  async t => {
    let sessions = 0;
    const { client, backend } = await world(t, (stream, headers) => {
      stream.respond({ ':status': 200, 'content-type': 'application/grpc' });
      if (headers[':path'] === '/s/die') stream.session?.destroy();
      else stream.end('ok');
    });
    backend.server.on('session', () => {
      sessions += 1;
    });
    const died = await call(client, { ...grpcHeaders, ':path': '/s/die' }, Buffer.from('x'));
    t.match(String(died.trailers['grpc-status'] ?? died.headers['grpc-status']), '14');
    t.equal((await call(client, { ...grpcHeaders, ':path': '/s/m' })).body.toString(), 'ok');
    t.ok(sessions >= 1);
  },
);

t.test('an upstream that can’t be reached is UNAVAILABLE with its name', async t => {
  const { client } = await world(t, () => {}, {
    open: () => Promise.reject(new Error('no')),
  });
  const answer = await call(client, { ...grpcHeaders, ':path': '/s/m' });
  t.equal(answer.headers['grpc-status'], '13', 'what is not ours to show is an internal error');
});

t.test('64 clients share one connection upstream, and one that has its own does not', async t => {
  for (const [shared, wanted] of [
    [sharedUpstream, 1],
    [undefined, 4],
  ] as const) {
    let sessions = 0;
    const { rig, backend } = await world(t, echo, shared ? { shared } : {});
    backend.server.on('session', () => {
      sessions += 1;
    });
    const clients = await Promise.all(Array.from({ length: wanted === 1 ? 64 : 4 }, () => rig.client()));
    const answers = await Promise.all(
      clients.map(client => call(client, { ...grpcHeaders, ':path': '/s/m' }, Buffer.from('hi'))),
    );
    t.ok(answers.every(({ body }) => body.toString() === 'hi'));
    t.equal(sessions, wanted);
  }
});

t.test(
  'requests beyond the upstream’s MAX_CONCURRENT_STREAMS wait, beyond maxWaiting they are refused',
  async t => {
    const held: ServerHttp2Stream[] = [];
    const server = createServer({ settings: { maxConcurrentStreams: 2 } });
    server.on('stream', stream => {
      stream.on('error', () => {});
      held.push(stream as ServerHttp2Stream);
    });
    const backend = await startBackend(server);
    const rig = await startRig(backend.port, {
      shared: {
        ...sharedUpstream,
        maxConnections: 1,
        maxWaiting: 2,
        maxStreamsPerPrincipal: Number.POSITIVE_INFINITY,
      },
    });
    t.teardown(async () => {
      await rig.close();
      await backend.close();
    });
    const client = await rig.client();
    // Its SETTINGS are known after the first answer.
    const first = call(client, { ...grpcHeaders, ':path': '/s/m' });
    await once(server, 'stream');
    held.pop()?.respond({ ':status': 200 }, { endStream: true });
    await first;
    const answers = Array.from({ length: 5 }, () => call(client, { ...grpcHeaders, ':path': '/s/m' }));
    const refused = await Promise.race(answers);
    t.equal(refused.headers['grpc-status'], '14');
    t.match(decodeURIComponent(String(refused.headers['grpc-message'])), /2 requests wait/);
    t.equal(held.length, 2);
    const serve = (): void => {
      for (const stream of held.splice(0)) stream.respond({ ':status': 204 }, { endStream: true });
    };
    serve();
    server.on('stream', serve);
    const statuses = (await Promise.all(answers)).map(({ status }) => status);
    t.equal(statuses.filter(status => status === 204).length, 4);
  },
);

t.test(
  'a header list over the upstream’s MAX_HEADER_LIST_SIZE of 16,384 B is refused with both numbers',
  async t => {
    const server = createServer({ settings: { maxHeaderListSize: 16_384 } });
    server.on('stream', stream =>
      (stream as ServerHttp2Stream).respond({ ':status': 200 }, { endStream: true }),
    );
    const backend = await startBackend(server);
    const rig = await startRig(backend.port);
    t.teardown(async () => {
      await rig.close();
      await backend.close();
    });
    const client = await rig.client();
    t.equal((await call(client, { ':path': '/' })).status, 200);
    const answer = await call(client, { ':path': '/', 'x-large': 'x'.repeat(17_000) });
    t.equal(answer.status, 431);
    t.match(answer.body.toString(), /17\d\d\d B, the upstream takes 16384 B/);
  },
);

t.test('a stream of its own identity ends alone when that is revoked', async t => {
  const { client, rig } = await world(t, stream => {
    stream.respond({ ':status': 200, 'content-type': 'application/grpc' });
    stream.write('begun');
  });
  const stream = client.request({ ...grpcHeaders, ':path': '/s/m' });
  const answer = answerOf(stream);
  await once(stream, 'data');
  rig.bearer.close({ code: 'revoked', text: 'revoked: this token may not be used' });
  const { trailers, body } = await answer;
  t.equal(body.toString(), 'begun');
  t.equal(trailers['grpc-status'], '16');
  t.equal(client.closed, false);
});

t.test('a client that reads nothing holds no more than its window of 65,536 B, and others go on', async t => {
  const { client, rig } = await world(
    t,
    (stream, headers) => {
      stream.respond({ ':status': 200 });
      stream.end(Buffer.alloc(headers[':path'] === '/large' ? 4 * 1_048_576 : 10));
    },
    { shared: { ...ownUpstream, maxConnections: 1 } },
  );
  const stuck = client.request({ ':path': '/large' });
  stuck.pause();
  await once(stuck, 'response');
  t.equal((await call(await rig.client(), { ':path': '/small' })).body.byteLength, 10);
  t.ok(rig.held.heldBytes <= 65_536 + 16_384, `${rig.held.heldBytes} B are held`);
  stuck.close();
});
