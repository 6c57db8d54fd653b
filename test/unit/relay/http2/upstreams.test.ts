import { once } from 'node:events';
import { createServer, type ServerHttp2Stream } from 'node:http2';
import t from 'tap';
import { sharedUpstream, type UpstreamOptions } from '../../../../lib/relay/http2/upstreams.ts';
import { type Answer, answerOf, call, grpcHeaders } from '../../../support/http2-calls.ts';
import { startBackend, startRig } from '../../../support/http2-rig.ts';
import { manualClock } from '../../../support/observe-clock.ts';

/** Two principals before one server that answers nothing by itself. */
async function world(
  test: { teardown(callback: () => Promise<void>): void },
  maxConcurrentStreams: number,
  shared: Partial<UpstreamOptions>,
  clock?: ReturnType<typeof manualClock>,
) {
  const held: ServerHttp2Stream[] = [];
  const server = createServer({ settings: { maxConcurrentStreams } });
  server.on('stream', (stream, headers) => {
    stream.on('error', () => {});
    if (headers[':path'] === '/now')
      (stream as ServerHttp2Stream).respond({ ':status': 204 }, { endStream: true });
    else held.push(stream as ServerHttp2Stream);
  });
  const backend = await startBackend(server);
  const options = clock ? { clock } : {};
  const a = await startRig(backend.port, {
    ...options,
    principal: 'A',
    shared: { ...sharedUpstream, ...shared },
  });
  if (a.shared === undefined) throw new Error('not shared');
  const b = await startRig(backend.port, { ...options, principal: 'B', upstreams: a.shared });
  test.teardown(async () => {
    await a.close();
    await b.close();
    await backend.close();
  });
  const [ofA, ofB] = [await a.client(), await b.client()];
  // Its SETTINGS are known after the first answer.
  await call(ofA, { ...grpcHeaders, ':path': '/now' });
  return { held, server, upstreams: a.shared, ofA, ofB };
}

const forever = { ...grpcHeaders, ':path': '/held' };

t.test('a request beyond maxStreamsPerPrincipal is refused, and its refusal frees nothing', async t => {
  const { held, ofA, ofB } = await world(t, 100, { maxStreamsPerPrincipal: 3 });
  for (let i = 0; i < 3; i += 1) call(ofA, forever);
  for (let i = 0; i < 10; i += 1) {
    const { headers } = await call(ofA, forever);
    t.equal(headers['grpc-status'], '8');
    t.match(decodeURIComponent(String(headers['grpc-message'])), /3 streams to backend are open/);
  }
  t.equal(held.length, 3);
  t.equal((await call(ofB, { ...grpcHeaders, ':path': '/now' })).status, 204);
});

t.test('one principal has at most half of 8 streams; another is served at once', async t => {
  const { held, server, ofA, ofB } = await world(t, 4, { maxConnections: 2 });
  const answers = Array.from({ length: 8 }, () => call(ofA, forever));
  while (held.length < 4) await once(server, 'stream');
  t.equal((await call(ofB, { ...grpcHeaders, ':path': '/now' })).status, 204);
  t.equal(held.length, 4, 'the others wait');
  for (const stream of held.splice(0)) stream.respond({ ':status': 200 }, { endStream: true });
  while (held.length < 4) await once(server, 'stream');
  for (const stream of held.splice(0)) stream.respond({ ':status': 200 }, { endStream: true });
  t.ok((await Promise.all(answers)).every(({ status }) => status === 200));
});

t.test('of 20 that wait, the turn is that of whoever has fewest streams', async t => {
  const { held, server, ofA, ofB } = await world(t, 2, { maxConnections: 1 });
  const order: string[] = [];
  const begin = (who: string, client: typeof ofA): Promise<Answer> => {
    const answer = call(client, forever);
    void answer.then(() => order.push(who));
    return answer;
  };
  const answers = Array.from({ length: 20 }, () => begin('A', ofA));
  await once(server, 'stream');
  answers.push(begin('B', ofB), begin('B', ofB));
  for (let i = 0; i < 22; i += 1) {
    while (held.length === 0) await once(server, 'stream');
    held.shift()?.respond({ ':status': 200 }, { endStream: true });
  }
  await Promise.all(answers);
  t.ok(order.lastIndexOf('B') < 8, order.join(''));
});

t.test(
  'a principal whose streams are reset over and over is told to wait, and its server is spared',
  async t => {
    const clock = manualClock();
    const cutsPerPrincipal = { burst: 5, perSecond: 1 };
    const { held, server, ofA, ofB } = await world(t, 100, { cutsPerPrincipal }, clock);
    for (let i = 0; i < 5; i += 1) {
      const stream = ofA.request(forever);
      const over = answerOf(stream);
      while (held.length === 0) await once(server, 'stream');
      const seen = held.shift();
      const cut = seen && once(seen, 'close');
      stream.close(8);
      await Promise.all([over, cut]);
    }
    const refused = await call(ofA, { ...grpcHeaders, ':path': '/now' });
    t.equal(refused.headers['grpc-status'], '8');
    t.match(decodeURIComponent(String(refused.headers['grpc-message'])), /over 5 and 1 a second/);
    t.equal((await call(ofB, { ...grpcHeaders, ':path': '/now' })).status, 204);
    clock.advance(1_000);
    t.equal((await call(ofA, { ...grpcHeaders, ':path': '/now' })).status, 204);
  },
);

t.test(
  'what waits when its set is replaced is refused as UNAVAILABLE, and so is what comes later',
  async t => {
    const { held, server, upstreams, ofA } = await world(t, 1, { maxConnections: 1 });
    void call(ofA, forever);
    while (held.length === 0) await once(server, 'stream');
    const waits = call(ofA, forever);
    await call(ofA, { ...grpcHeaders, ':path': '/x', 'grpc-timeout': '1n' });
    upstreams.retire();
    t.equal((await waits).headers['grpc-status'], '14');
    t.equal((await call(ofA, forever)).headers['grpc-status'], '14');
    held[0]?.respond({ ':status': 200 }, { endStream: true });
  },
);

t.test('a stream that was reset takes one of 4 places for 100 ms more', async t => {
  const clock = manualClock();
  const options = { maxConnections: 1, maxStreamsPerPrincipal: Number.POSITIVE_INFINITY };
  const { held, server, ofA } = await world(t, 4, options, clock);
  const stream = ofA.request(forever);
  stream.on('error', () => {});
  void call(ofA, forever);
  while (held.length < 2) await once(server, 'stream');
  const cut = held[0] && once(held[0], 'close');
  stream.close(8);
  await cut;
  // One is live, one cools: of three more, two are served.
  const others = Array.from({ length: 3 }, () => call(ofA, forever));
  while (held.length < 4) await once(server, 'stream');
  clock.advance(99);
  t.equal(
    (await call(ofA, { ...grpcHeaders, ':path': '/x', 'grpc-timeout': '1n' })).headers['grpc-status'],
    '4',
  );
  t.equal(held.length, 4);
  clock.advance(1);
  while (held.length < 5) await once(server, 'stream');
  for (const one of held) if (!one.destroyed) one.respond({ ':status': 200 }, { endStream: true });
  t.ok((await Promise.all(others)).every(({ status }) => status === 200));
});
