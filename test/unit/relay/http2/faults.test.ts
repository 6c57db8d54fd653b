import t from 'tap';
import type { Verdict } from '../../../../lib/relay/http2/client-relay.ts';
import { FrameWriter } from '../../../../lib/relay/http2/frame-writer.ts';
import { HeldBudget } from '../../../../lib/relay/http2/held-budget.ts';
import { sharedUpstream } from '../../../../lib/relay/http2/upstreams.ts';
import { settingsFrame } from '../../../../lib/wire/http2/encode.ts';
import { ErrorCode, FrameType, SettingId } from '../../../../lib/wire/http2/frames.ts';
import { data, frame, grpcFields, RawClient, requestFields, rst } from '../../../support/http2-raw.ts';
import { startRawServer } from '../../../support/http2-raw-server.ts';
import { type RigOptions, startRig } from '../../../support/http2-rig.ts';
import { manualClock } from '../../../support/observe-clock.ts';

/** A client and a server of raw frames, the relay between them. */
async function world(
  test: { teardown(callback: () => Promise<void>): void },
  options: RigOptions = {},
  settings: readonly (readonly [number, number])[] = [],
) {
  const server = await startRawServer(settings);
  const rig = await startRig(server.port, options);
  test.teardown(async () => {
    await rig.close();
    server.close();
  });
  const client = await RawClient.connect(rig.port);
  await client.hears(({ kind }) => kind === 'settings');
  return { server, rig, client };
}

type Opened = Awaited<ReturnType<typeof world>>;

/** A request of the client's that has arrived at the server. */
async function ask(
  { client, server }: Opened,
  fields = requestFields('/'),
  endStream = true,
): Promise<RawClient> {
  client.send(client.head(1, fields, endStream));
  const upstream = await server.accepted();
  await upstream.hears(({ kind }) => kind === 'headers');
  return upstream;
}

const ok = [[':status', '200']] as const;

t.test('a response of 5 B by its header and 0 B in truth is a 502, and leaves nothing behind', async t => {
  const opened = await world(t);
  const upstream = await ask(opened);
  upstream.send(upstream.head(1, [...ok, ['content-length', '5']], true));
  t.equal((await opened.client.answer(1)).status, '502');
  t.equal(opened.rig.relays[0]?.liveCount, 0);
  t.equal(opened.rig.bearer.live.size, 0);
});

for (const [method, status] of [
  ['HEAD', '200'],
  ['GET', '204'],
  ['GET', '304'],
] as const)
  t.test(`${method} answered ${status} with 3 B of body is broken off`, async t => {
    const opened = await world(t);
    const upstream = await ask(opened, requestFields('/', [], method));
    upstream.send(
      upstream.head(
        1,
        [
          [':status', status],
          ['content-length', '3'],
        ],
        false,
      ),
      data(1, 3, true),
    );
    t.ok(await opened.client.hears(({ kind }) => kind === 'reset'));
    t.equal(opened.client.count('data'), 0);
    t.equal(opened.rig.relays[0]?.liveCount, 0);
  });

t.test('RST_STREAM with NO_ERROR in the middle of a response is not taken for its end', async t => {
  const opened = await world(t);
  const upstream = await ask(opened);
  upstream.send(upstream.head(1, ok, false), data(1, 10), rst(1, ErrorCode.noError));
  t.equal((await opened.client.hears(({ kind }) => kind === 'reset'))?.code, ErrorCode.internalError);
});

t.test(
  'RST_STREAM with NO_ERROR behind the response stops an upload that goes on, and nothing is kept',
  async t => {
    const opened = await world(t);
    const upstream = await ask(opened, grpcFields('/s/m'), false);
    upstream.send(upstream.head(1, ok, true), rst(1, ErrorCode.noError));
    t.equal((await opened.client.hears(({ kind }) => kind === 'reset'))?.code, ErrorCode.noError);
    t.equal(opened.rig.relays[0]?.liveCount, 0);
  },
);

t.test('a request whose upstream never takes the rest of it ends with its connection', async t => {
  const held = new HeldBudget();
  const opened = await world(t, { shared: sharedUpstream, held }, [[SettingId.initialWindowSize, 10]]);
  const { client, rig } = opened;
  // Its window is known after the first answer.
  const upstream = await ask(opened);
  upstream.send(upstream.head(1, ok, true));
  await client.answer(1);
  client.send(client.head(3, grpcFields('/s/m'), false), data(3, 1_000, true));
  await upstream.hears(({ kind, bytes }) => kind === 'data' && bytes === 10);
  upstream.send(upstream.head(3, ok, true));
  await client.hears(({ kind, streamId, endStream }) => kind === 'headers' && streamId === 3 && endStream);
  t.equal(rig.bearer.live.size, 1, 'the server may still want it');
  t.equal(held.heldBytes, 990);
  client.close();
  await upstream.hears(({ kind }) => kind === 'reset');
  t.equal(rig.bearer.live.size, 0);
  t.equal(held.heldBytes, 0);
});

t.test(
  'a content-length without a body, or with too little before the trailers, never gets to the upstream',
  async t => {
    const opened = await world(t);
    const { client } = opened;
    const upstream = await ask(opened, grpcFields('/first'), false);
    const declared = requestFields('/', [['content-length', '5']], 'POST');
    client.send(client.head(3, declared, true));
    t.equal((await client.answer(3)).code, ErrorCode.protocolError);
    client.send(client.head(5, declared, false), data(5, 2), client.head(5, [['x-last', '1']], true));
    t.equal((await client.answer(5)).code, ErrorCode.protocolError);
    await upstream.hears(({ kind }) => kind === 'reset');
    t.notOk(upstream.heard.some(({ endStream }) => endStream));
  },
);

t.test('trailers of 400 B are refused where the upstream takes 300 B', async t => {
  const opened = await world(t, {}, [[SettingId.maxHeaderListSize, 300]]);
  const upstream = await ask(opened, grpcFields('/s/m'), false);
  await upstream.hears(({ kind }) => kind === 'ack');
  opened.client.send(opened.client.head(1, [['x-last', 'x'.repeat(362)]], true));
  t.equal((await opened.client.answer(1)).fields['grpc-status'], '8');
  t.equal((await upstream.hears(({ kind }) => kind === 'reset'))?.code, ErrorCode.cancel);
});

t.test('trailers of 400 B are not sent to a client that takes 300 B', async t => {
  const opened = await world(t);
  opened.client.send(settingsFrame([[SettingId.maxHeaderListSize, 300]]));
  const upstream = await ask(opened, grpcFields('/s/m'));
  upstream.send(upstream.head(1, ok, false), upstream.head(1, [['x-last', 'x'.repeat(362)]], true));
  t.equal((await opened.client.hears(({ fields }) => 'grpc-status' in fields))?.fields['grpc-status'], '8');
});

t.test(
  'what a client does behind the gateway’s GOAWAY was on its way, and costs the others nothing',
  async t => {
    const opened = await world(t);
    const { client, rig } = opened;
    const upstream = await ask(opened);
    rig.relays[0]?.drain('draining');
    await client.hears(({ kind }) => kind === 'goaway');
    client.send(client.head(3, grpcFields('/late'), false), data(3, 1_000, true));
    t.equal((await client.answer(3)).code, ErrorCode.refusedStream);
    upstream.send(upstream.head(1, ok, true));
    t.equal((await client.answer(1)).status, '200');
    t.equal((await client.ended()).code, ErrorCode.noError);
    t.ok(
      client.heard.every(({ kind, streamId }) => kind !== 'goaway' || streamId === 1),
      'and the last stream stays 1',
    );
  },
);

t.test('frames on 1,000 streams that clients have reset never end the upstream’s connection', async t => {
  const opened = await world(t, {
    shared: { ...sharedUpstream, cutsPerPrincipal: { burst: 10_000, perSecond: 0 } },
    limits: { flood: { resets: { burst: 10_000, perSecond: 0 }, idleFrames: { burst: 100, perSecond: 0 } } },
  });
  const { client } = opened;
  const upstream = await ask(opened, requestFields('/first'), true);
  await client.flood(1_000, at =>
    Buffer.concat([client.head(at * 2 + 3, requestFields('/'), true), rst(at * 2 + 3)]),
  );
  await upstream.hears(({ kind, streamId }) => kind === 'reset' && streamId === 2_001);
  // What was on its way for each: header sections and bytes.
  for (let id = 3; id <= 2_001; id += 2) upstream.send(upstream.head(id, ok, false), data(id, 5, true));
  upstream.send(upstream.head(1, ok, true));
  t.equal((await client.answer(1)).status, '200');
  t.equal(opened.rig.shared?.connectionCount, 1);
});

t.test('a verdict that was given before the rules changed is asked for again', async t => {
  let generation = 1;
  const asked = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
  let calls = 0;
  const refuse: Verdict = {
    kind: 'refuse',
    refusal: { httpStatus: 403, grpcStatus: 7, title: 'Forbidden', reason: { code: 'denied', text: 'no' } },
  };
  const opened = await world(t, {
    generation: () => generation,
    judge: async (_head, forward) => {
      const call = calls;
      calls += 1;
      await asked[call]?.promise;
      return call === 0 ? forward : refuse;
    },
  });
  opened.client.send(
    opened.client.head(1, requestFields('/'), true),
    frame(FrameType.ping, 0, 0, Buffer.alloc(8)),
  );
  await opened.client.hears(({ kind }) => kind === 'ping');
  generation = 2;
  asked[0]?.resolve();
  asked[1]?.resolve();
  t.equal((await opened.client.answer(1)).status, '403');
  t.equal(calls, 2);
});

t.test('a request that has 0.3 ms left is answered here', async t => {
  const { client, rig } = await world(t);
  client.send(client.head(1, grpcFields('/s/m', [['grpc-timeout', '300u']]), true));
  t.equal((await client.answer(1)).fields['grpc-status'], '4');
  t.equal(rig.refusals.length, 1);
});

t.test('bodies and large header lists that wait for a verdict count as held', async t => {
  const held = new HeldBudget(4 * 40_000);
  const gate = Promise.withResolvers<void>();
  const opened = await world(t, { held, judge: async (_head, forward) => gate.promise.then(() => forward) });
  const { client, rig } = opened;
  client.send(client.head(1, grpcFields('/s/m', [['x-large', 'x'.repeat(9_000)]]), false), data(1, 16_000));
  client.send(client.head(3, grpcFields('/s/m'), false), data(3, 16_000));
  t.equal((await client.answer(3)).fields['grpc-status'], '8', 'the part of one is a quarter, 40,000 B');
  t.ok(held.heldBytes > 25_000 && held.heldBytes < 26_000, `${held.heldBytes} B`);
  client.close();
  while (rig.ended.length === 0) await new Promise(resolve => setImmediate(resolve));
  t.equal(held.heldBytes, 0);
  gate.resolve();
});

t.test('a client that reads no header sections holds no more than its share', async t => {
  const held = new HeldBudget(4 * 100_000);
  const limits = { outputMarkBytes: 1 };
  const opened = await world(t, { held, limits });
  const { client, rig, server } = opened;
  client.socket.pause();
  client.send(...Array.from({ length: 40 }, (_, i) => client.head(i * 2 + 1, requestFields('/'), true)));
  const upstream = await server.accepted();
  await upstream.hears(({ kind, streamId }) => kind === 'headers' && streamId === 79);
  // The first fills what the kernel takes; none of the others goes out.
  const large = Array.from({ length: 6 }, (_, i): [string, string] => [`x-${i}`, 'x'.repeat(8_000)]);
  for (let i = 0; i < 40; i += 1) upstream.send(upstream.head(i * 2 + 1, [...ok, ...large], true));
  upstream.send(frame(FrameType.ping, 0, 0, Buffer.alloc(8)));
  await upstream.hears(({ kind }) => kind === 'ping');
  t.ok(held.heldBytes <= 100_000, `${held.heldBytes} B are held`);
  client.socket.resume();
  await client.hears(() => client.count('headers') + client.count('reset') >= 40);
  t.equal(held.heldBytes, 0);
  t.equal(rig.relays[0]?.liveCount, 0);
});

t.test('a stream that ends in the middle of a DATA frame is passed nothing more of it', async t => {
  const opened = await world(t);
  const upstream = await ask(opened, requestFields('/', [['content-length', '10']], 'POST'), false);
  const frameOf20 = data(1, 20);
  opened.client.send(frameOf20.subarray(0, 9 + 11));
  t.equal((await opened.client.answer(1)).code, ErrorCode.protocolError);
  opened.client.send(frameOf20.subarray(9 + 11));
  opened.client.send(frame(FrameType.ping, 0, 0, Buffer.alloc(8)));
  t.ok(await opened.client.hears(({ kind }) => kind === 'ping'));
  await upstream.hears(({ kind }) => kind === 'reset');
  t.equal(upstream.count('data'), 0);
});

t.test('frames that come in parts for 30 s, none of which takes longer than 9 s, are no stall', async t => {
  const clock = manualClock();
  const { client } = await world(t, { clock });
  const ping = frame(FrameType.ping, 0, 0, Buffer.alloc(8));
  client.send(ping.subarray(0, 5));
  for (let i = 1; i <= 30; i += 1) {
    client.send(ping.subarray(5), ping.subarray(0, 5));
    await client.hears(() => client.count('ping') === i);
    clock.advance(1_000);
  }
  client.send(ping.subarray(5));
  await client.hears(() => client.count('ping') === 31);
  t.equal(client.count('goaway'), 0);
});

t.test('one byte of window wakes one of 200 streams that wait', t => {
  const stream = { start() {}, write() {}, end() {}, reset() {}, consume() {} };
  const writer = new FrameWriter(stream, 131_072);
  let turns = 0;
  writer.window = 0;
  for (let i = 0; i < 200; i += 1) {
    writer.wait({
      blockedByConnection: true,
      advance(maxBytes: number) {
        turns += 1;
        if (maxBytes > 0) writer.data(1, new Uint8Array(maxBytes), false, true);
      },
    });
  }
  writer.pump();
  t.equal(turns, 200, 'each has had its turn');
  for (let i = 0; i < 50; i += 1) {
    writer.window += 1;
    writer.pump();
  }
  t.equal(turns, 250);
  t.equal(writer.usefulFrames, 0, 'and frames of a byte pay for nothing');
  t.end();
});

t.test(
  'a server whose SETTINGS come before the first request is acknowledged behind the preface',
  async t => {
    const opened = await world(t, { shared: sharedUpstream });
    const { client, server } = opened;
    // Gone before its connection is made: that one is there, and nothing was said on it.
    client.send(client.head(1, requestFields('/', [['content-length', '1']], 'POST'), false), data(1, 2));
    const upstream = await server.accepted();
    upstream.send(frame(FrameType.ping, 0, 0, Buffer.alloc(8)));
    await client.answer(1);
    // Whatever it said has arrived when another connection has had its answer behind it.
    const other = await RawClient.connect(server.port);
    await server.accepted();
    await other.hears(({ kind }) => kind === 'settings');
    other.close();
    client.send(client.head(3, requestFields('/'), true));
    await upstream.hears(({ kind }) => kind === 'headers');
    t.same(
      upstream.heard.map(({ kind }) => kind),
      ['settings', 'ack', 'window', 'ping', 'headers'],
    );
  },
);
