/** Frames on streams that are idle, half-closed or closed, and windows beyond their bound (RFC 9113 sections 5.1, 6.9). */

import type { ServerHttp2Stream } from 'node:http2';
import { createServer } from 'node:http2';
import t from 'tap';
import { settingsFrame } from '../../lib/wire/http2/encode.ts';
import { ErrorCode, Flag, FrameType, SettingId } from '../../lib/wire/http2/frames.ts';
import { credit, data, frame, grpcFields, RawClient, requestFields, rst } from '../support/http2-raw.ts';
import { startBackend, startRig } from '../support/http2-rig.ts';
import { serve } from '../support/http2-world.ts';

async function world(test: { teardown(callback: () => Promise<void>): void }) {
  const server = createServer({ maxSessionMemory: 1_000 });
  server.on('stream', (stream, headers) => {
    stream.on('error', () => {});
    serve(stream as ServerHttp2Stream, headers);
  });
  const backend = await startBackend(server);
  const rig = await startRig(backend.port);
  test.teardown(async () => {
    await rig.close();
    await backend.close();
  });
  return {
    rig,
    open: async (): Promise<RawClient> => {
      const client = await RawClient.connect(rig.port, { givesCredit: false });
      await client.hears(({ kind }) => kind === 'settings');
      return client;
    },
  };
}

const eight = Buffer.alloc(8);

/** The connection's fault: it ends with this code. */
const connectionFaults: readonly (readonly [
  name: string,
  code: number,
  send: (client: RawClient) => Uint8Array[],
])[] = [
  ['DATA on an idle stream', ErrorCode.protocolError, () => [data(5, 1)]],
  ['RST_STREAM on an idle stream', ErrorCode.protocolError, () => [rst(5)]],
  ['WINDOW_UPDATE on an idle stream', ErrorCode.protocolError, () => [credit(5, 2_000)]],
  [
    'HEADERS on a stream of ours',
    ErrorCode.protocolError,
    client => [client.head(2, requestFields('/'), true)],
  ],
  [
    'HEADERS on a stream lower than one before',
    ErrorCode.streamClosed,
    client => [client.head(5, requestFields('/never'), true), client.head(3, requestFields('/never'), true)],
  ],
  [
    'DATA on a stream that the client has reset',
    ErrorCode.streamClosed,
    client => [client.head(1, grpcFields('/never'), false), rst(1), data(1, 1)],
  ],
  ['DATA on stream 0', ErrorCode.protocolError, () => [data(0, 1)]],
  [
    'HEADERS on stream 0',
    ErrorCode.protocolError,
    client => [client.head(1, requestFields('/'), true).map((byte, at) => (at === 8 ? 0 : byte))],
  ],
  ['PING on stream 1', ErrorCode.protocolError, () => [frame(FrameType.ping, 0, 1, eight)]],
  ['PING of 7 B', ErrorCode.frameSizeError, () => [frame(FrameType.ping, 0, 0, eight.subarray(1))]],
  ['SETTINGS of 5 B', ErrorCode.frameSizeError, () => [frame(FrameType.settings, 0, 0, eight.subarray(3))]],
  [
    'SETTINGS with MAX_FRAME_SIZE of 100',
    ErrorCode.protocolError,
    () => [settingsFrame([[SettingId.maxFrameSize, 100]])],
  ],
  [
    'SETTINGS with a window of 2^31',
    ErrorCode.flowControlError,
    () => [settingsFrame([[SettingId.initialWindowSize, 0x80000000]])],
  ],
  [
    'SETTINGS that push a stream’s window over 2^31 - 1',
    ErrorCode.flowControlError,
    client => [
      client.head(1, grpcFields('/never'), false),
      credit(1, 0x7fffffff - 65_535),
      settingsFrame([[SettingId.initialWindowSize, 65_536]]),
    ],
  ],
  ['a connection window over 2^31 - 1', ErrorCode.flowControlError, () => [credit(0, 0x7fffffff)]],
  ['a connection window of 0 more', ErrorCode.protocolError, () => [credit(0, 0)]],
  [
    'a CONTINUATION of nothing',
    ErrorCode.protocolError,
    () => [frame(FrameType.continuation, Flag.endHeaders, 1, eight)],
  ],
  [
    'PUSH_PROMISE',
    ErrorCode.protocolError,
    client => [
      client.head(1, grpcFields('/never'), false),
      frame(FrameType.pushPromise, Flag.endHeaders, 1, eight),
    ],
  ],
  [
    'a frame of 16,385 B',
    ErrorCode.frameSizeError,
    client => [client.head(1, grpcFields('/never'), false), data(1, 16_385)],
  ],
  [
    'padding longer than its frame',
    ErrorCode.protocolError,
    client => [
      client.head(1, grpcFields('/never'), false),
      frame(FrameType.data, Flag.padded, 1, Buffer.from([9, 1])),
    ],
  ],
  [
    'a header block of rubbish',
    ErrorCode.compressionError,
    () => [frame(FrameType.headers, Flag.endHeaders, 1, Buffer.from([0xff, 0xff, 0xff, 0xff, 0xff, 0xff]))],
  ],
  [
    'frames between HEADERS and CONTINUATION',
    ErrorCode.protocolError,
    client => [
      frame(FrameType.headers, 0, 1, client.block(requestFields('/'))),
      frame(FrameType.ping, 0, 0, eight),
    ],
  ],
];

t.test('the connection’s faults end it with their code, and its requests with it', async t => {
  const { rig, open } = await world(t);
  for (const [name, code, send] of connectionFaults) {
    const client = await open();
    client.send(...send(client));
    const ended = await client.ended();
    t.equal(ended.code, code, `${name}: ${ended.text}`);
  }
  t.ok(rig.relays.every(({ liveCount }) => liveCount === 0));
  t.equal(rig.bearer.live.size, 0);
});

const streamFaults: readonly (readonly [
  name: string,
  code: number,
  send: (client: RawClient) => Uint8Array[],
])[] = [
  [
    'DATA behind the end',
    ErrorCode.streamClosed,
    client => [client.head(1, grpcFields('/never'), true), data(1, 1)],
  ],
  [
    'HEADERS behind the end',
    ErrorCode.streamClosed,
    client => [client.head(1, grpcFields('/never'), true), client.head(1, [['x', 'y']], true)],
  ],
  [
    'a stream’s window over 2^31 - 1',
    ErrorCode.flowControlError,
    client => [client.head(1, grpcFields('/never'), false), credit(1, 0x7fffffff)],
  ],
  [
    'a stream’s window of 0 more',
    ErrorCode.protocolError,
    client => [client.head(1, grpcFields('/never'), false), credit(1, 0)],
  ],
  [
    'a stream that depends on itself',
    ErrorCode.protocolError,
    client => [
      frame(
        FrameType.headers,
        Flag.endHeaders | Flag.priority,
        1,
        Buffer.concat([Buffer.from([0, 0, 0, 1, 0]), client.block(grpcFields('/never'))]),
      ),
    ],
  ],
];

t.test('a stream’s faults end it alone', async t => {
  const { open } = await world(t);
  for (const [name, code, send] of streamFaults) {
    const client = await open();
    client.send(...send(client));
    t.equal((await client.hears(({ kind }) => kind === 'reset'))?.code, code, name);
    client.send(client.head(3, grpcFields('/echo'), false), data(3, 5, true));
    t.equal((await client.answer(3)).status, '200');
    client.close();
  }
});

t.test('DATA beyond a stream’s window is its fault; beyond the connection’s, the connection’s', async t => {
  const { open } = await world(t);
  const client = await open();
  // Never answered and never read: node:http2 behind takes its own window of 64 KiB, the relay another.
  client.send(client.head(1, grpcFields('/never'), false));
  await client.flood(40, data(1, 16_384), 1);
  t.equal((await client.hears(({ kind }) => kind === 'reset'))?.code, ErrorCode.flowControlError);
  client.send(client.head(3, grpcFields('/echo'), true));
  t.equal((await client.answer(3)).status, '200');
  client.close();
});

t.test('late frames on streams that the relay has reset are no fault', async t => {
  const { open } = await world(t);
  const client = await open();
  client.send(client.head(1, grpcFields('/never', [['content-length', '1']]), false), data(1, 2));
  t.equal((await client.answer(1)).code, ErrorCode.protocolError);
  client.send(data(1, 1_000), credit(1, 2_000), client.head(1, [['x-last', '1']], true), rst(1));
  client.send(client.head(3, grpcFields('/echo'), false), data(3, 5, true));
  t.equal((await client.answer(3)).status, '200', 'and the header tables are still in step');
  client.close();
});
