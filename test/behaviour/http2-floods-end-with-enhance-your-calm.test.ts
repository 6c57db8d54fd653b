/**
 * Frames that move nothing and cost us something: a burst is taken, then the connection is told to calm down and
 * closed. Memory stays, and a good client beside is served. Without the limit each flood goes through to its end.
 */
import t from 'tap';
import { settingsFrame } from '../../lib/wire/http2/encode.ts';
import { ErrorCode, Flag, FrameType, SettingId } from '../../lib/wire/http2/frames.ts';
import { credit, data, frame, grpcFields, type RawClient, requestFields, rst } from '../support/http2-raw.ts';
import { growth, startWorld } from '../support/http2-world.ts';

const eight = Buffer.alloc(8);
const initialWindows = settingsFrame(
  Array.from({ length: 2_730 }, (_, i) => [SettingId.initialWindowSize, 60_000 + (i % 2)] as const),
);

interface Flood {
  readonly name: string;
  /** More than the burst of its kind. */
  readonly times: number;
  readonly frame: (client: RawClient) => Uint8Array | ((at: number) => Uint8Array);
  /** Streams 1 to this are open, with a request that is never answered. */
  readonly open?: number;
}

const priority = (streamId: number, dependsOn: number): Uint8Array => {
  const payload = Buffer.alloc(5);
  payload.writeUInt32BE(dependsOn);
  return frame(FrameType.priority, 0, streamId, payload);
};

/** A request, and behind it what makes the gateway reset it, or the client's own reset. */
const begun =
  (client: RawClient, then: (streamId: number) => Uint8Array, endStream = false) =>
  (at: number): Uint8Array =>
    Buffer.concat([client.head(at * 2 + 1, grpcFields('/never'), endStream), then(at * 2 + 1)]);

const floods: readonly Flood[] = [
  { name: 'PING', times: 4_000, frame: () => frame(FrameType.ping, 0, 0, eight) },
  { name: 'SETTINGS', times: 4_000, frame: () => settingsFrame([]) },
  {
    name: 'SETTINGS acknowledgements',
    times: 4_000,
    frame: () => frame(FrameType.settings, Flag.ack, 0, eight.subarray(8)),
  },
  { name: 'PRIORITY', times: 4_000, frame: () => priority(1, 3) },
  { name: 'frames of type 0xfa', times: 4_000, frame: () => frame(0xfa, 0, 0, eight) },
  { name: 'DATA of 0 B', times: 4_000, open: 1, frame: () => data(1, 0) },
  {
    name: 'DATA of 20 B of padding',
    times: 4_000,
    open: 1,
    frame: () => frame(FrameType.data, Flag.padded, 1, Buffer.from([19, ...new Uint8Array(19)])),
  },
  { name: 'WINDOW_UPDATE of 1 B', times: 4_000, open: 1, frame: () => credit(1, 1) },
  {
    name: 'CONTINUATIONs of 0 B',
    times: 4_000,
    frame: client => at =>
      at === 0
        ? frame(FrameType.headers, 0, 1, client.block(requestFields('/')))
        : frame(FrameType.continuation, 0, 1, eight.subarray(8)),
  },
  {
    name: 'CONTINUATIONs of 8 KiB',
    times: 400,
    frame: () => at =>
      frame(at === 0 ? FrameType.headers : FrameType.continuation, 0, 1, Buffer.alloc(8_192)),
  },
  { name: 'rapid resets (CVE-2023-44487)', times: 1_500, frame: client => begun(client, id => rst(id)) },
  {
    name: 'streams made to be reset by WINDOW_UPDATE of 0 (CVE-2025-8671)',
    times: 1_500,
    frame: client => begun(client, id => credit(id, 0)),
  },
  {
    name: 'streams made to be reset by a window over 2^31 - 1',
    times: 1_500,
    frame: client => begun(client, id => credit(id, 0x7fffffff)),
  },
  {
    name: 'streams made to be reset by DATA behind their end',
    times: 1_500,
    frame: client => begun(client, id => data(id, 1), true),
  },
  {
    name: 'streams made to be reset by PRIORITY on themselves',
    times: 1_500,
    frame: client => begun(client, id => priority(id, id)),
  },
  {
    name: 'streams made to be reset by PRIORITY of 4 B',
    times: 1_500,
    frame: client => begun(client, id => frame(FrameType.priority, 0, id, eight.subarray(4))),
  },
  {
    name: 'streams made to be reset by a second header section',
    times: 1_500,
    frame: client => begun(client, id => client.head(id, [['x', 'y']], false)),
  },
  {
    name: 'streams made to be reset by a name in upper case',
    times: 1_500,
    frame: client => at => client.head(at * 2 + 1, requestFields('/', [['X-Upper', '1']]), true),
  },
  {
    name: 'streams made to be reset by DATA over their content-length',
    times: 1_500,
    frame: client => at =>
      Buffer.concat([
        client.head(at * 2 + 1, requestFields('/never', [['content-length', '1']], 'POST'), false),
        data(at * 2 + 1, 2),
      ]),
  },
];

t.test('each flood is ended, alone', async t => {
  const world = await startWorld(t);
  const before = await world.warmUp();
  for (const flood of floods) {
    const { result, good } = await world.beside(async () => {
      const client = await world.raw();
      for (let i = 0; i < (flood.open ?? 0); i += 1)
        client.send(client.head(i * 2 + 1, grpcFields('/never'), false));
      await client.flood(flood.times, flood.frame(client));
      return client.ended();
    });
    t.equal(result.code, ErrorCode.enhanceYourCalm, `${flood.name}: ${result.text}`);
    t.ok(
      good.failed === 0 && good.served > 0,
      `${good.served} calls beside it, the slowest ${good.worstMs.toFixed(0)} ms`,
    );
  }
  const after = await world.report();
  const { rss, held, text } = growth(before, after);
  t.comment(`all floods together: ${text}`);
  t.equal(after.live, 0, 'no request is left');
  t.ok(held < 16, `heap and buffers grew by ${held.toFixed(1)} MiB`);
  t.ok(rss < 64, `resident memory grew by ${rss.toFixed(1)} MiB`);
});

t.test(
  '256 open streams and SETTINGS that name a window 2,730 times cost no more than one naming',
  async t => {
    const world = await startWorld(t);
    const attack = async (): Promise<number> => {
      const client = await world.raw();
      for (let i = 0; i < 256; i += 1) client.send(client.head(i * 2 + 1, grpcFields('/never'), true));
      const since = performance.now();
      await client.flood(400, initialWindows, 1);
      await new Promise<void>(resolve => {
        client.send(frame(FrameType.ping, 0, 0, eight));
        void client.hears(({ kind }) => kind === 'ping').then(() => resolve());
      });
      const ms = performance.now() - since;
      client.close();
      return ms;
    };
    const { result, good } = await world.beside(attack);
    t.comment(`6.2 MiB of SETTINGS took ${result.toFixed(0)} ms`);
    t.ok(result < 1_500, 'a walk over all streams for each naming takes seconds');
    t.equal(good.failed, 0);
  },
);

t.test('without the limit each goes on for as long as the client likes', async t => {
  const world = await startWorld(t, { unlimited: true });
  for (const flood of floods.filter(({ name }) => !name.startsWith('CONTINUATION'))) {
    const client = await world.raw();
    for (let i = 0; i < (flood.open ?? 0); i += 1)
      client.send(client.head(i * 2 + 1, grpcFields('/never'), false));
    await client.flood(flood.times, flood.frame(client));
    client.send(frame(FrameType.ping, 0, 0, Buffer.alloc(8, 7)));
    t.ok(await client.hears(({ kind }) => kind === 'ping'), `${flood.times} × ${flood.name}`);
    client.close();
  }
  const before = await world.report();
  const client = await world.raw();
  await client.flood(
    6_000,
    at => frame(at === 0 ? FrameType.headers : FrameType.continuation, 0, 1, Buffer.alloc(8_192)),
    20,
  );
  const { held, text } = growth(before, await world.report());
  t.comment(`CONTINUATIONs of 48 MiB, no limit: ${text}`);
  t.ok(held > 24, `one header block holds ${held.toFixed(0)} MiB`);
  client.close();
});
