/** What is begun and never ended, byte by byte or not at all: it has its time, and then it goes; others are served. */
import t from 'tap';
import { settingsFrame } from '../../lib/wire/http2/encode.ts';
import { ErrorCode, FrameType, preface, SettingId } from '../../lib/wire/http2/frames.ts';
import { frame, grpcFields, RawClient, requestFields } from '../support/http2-raw.ts';
import { growth, startWorld, type World } from '../support/http2-world.ts';

const frameTimeoutMs = 400;

/** One byte at a time, each when the one before has gone; from the last on again, until the connection is over. */
async function dribble(client: RawClient, bytes: Uint8Array): Promise<void> {
  let over = false;
  void client.closed.then(() => {
    over = true;
  });
  const last = bytes.byteLength - 1;
  for (let at = 0; at < last && !over; at += 1) {
    client.send(bytes.subarray(at, at + 1));
    await Promise.race([new Promise(resolve => setTimeout(resolve, 20)), client.closed]);
  }
}

const settingsOf = (count: number): Uint8Array =>
  settingsFrame(Array.from({ length: count }, () => [SettingId.headerTableSize, 4_096] as const));

t.test('frames dribbled byte by byte end after their time', async t => {
  const world = await startWorld(t, { limits: { frameTimeoutMs } });
  const before = await world.warmUp();
  const slow: readonly [string, (client: RawClient) => Uint8Array][] = [
    ['HEADERS', client => client.head(1, requestFields('/', [['x-long', 'x'.repeat(500)]]), true)],
    [
      'HEADERS and CONTINUATIONs of a byte',
      client => {
        const block = client.block(requestFields('/', [['x-long', '!'.repeat(500)]]));
        const parts = [frame(FrameType.headers, 0, 1, block.subarray(0, 1))];
        for (let at = 1; at < 16; at += 1)
          parts.push(frame(FrameType.continuation, 0, 1, block.subarray(at, at + 1)));
        return Buffer.concat(parts);
      },
    ],
    ['SETTINGS of 200 entries', () => settingsOf(200)],
    ['GOAWAY with 500 B of text', () => frame(FrameType.goaway, 0, 0, Buffer.alloc(508))],
    ['a frame of type 0xfa of 500 B', () => frame(0xfa, 0, 0, Buffer.alloc(500))],
  ];
  const { good } = await world.beside(async () => {
    // 40 at a time of each.
    for (const [name, bytes] of slow) {
      const clients = await Promise.all(Array.from({ length: 40 }, () => world.raw()));
      await Promise.all(clients.map(client => dribble(client, bytes(client))));
      const ends = await Promise.all(clients.map(client => client.ended()));
      t.ok(
        ends.every(({ code }) => code === ErrorCode.enhanceYourCalm),
        `${name}: ${ends[0]?.text}`,
      );
    }
  });
  t.equal(good.failed, 0, `${good.served} calls beside it, the slowest ${good.worstMs.toFixed(0)} ms`);
  const { held, text } = growth(before, await world.report());
  t.comment(`200 connections that dribbled: ${text}`);
  t.ok(held < 16, `heap and buffers grew by ${held.toFixed(1)} MiB`);
});

t.test('a DATA frame may take its time: its stream’s window bounds it', async t => {
  const world = await startWorld(t, { limits: { frameTimeoutMs } });
  const client = await world.raw({ givesCredit: false });
  client.send(client.head(1, grpcFields('/echo'), false));
  const slow = frame(FrameType.data, 1, 1, Buffer.alloc(40, 1));
  client.send(slow.subarray(0, 9));
  await dribble(client, slow.subarray(9));
  client.send(slow.subarray(slow.byteLength - 1));
  t.ok(await client.hears(({ kind, endStream }) => kind === 'data' && endStream));
});

t.test('a preface that does not come, and SETTINGS that are not acknowledged', async t => {
  const world = await startWorld(t, { limits: { frameTimeoutMs, settingsTimeoutMs: 800, lingerMs: 100 } });
  const { good } = await world.beside(async () => {
    const silent = await bare(world);
    const slow = await bare(world);
    const [, ended] = await Promise.all([dribble(slow, preface), silent.ended(), slow.closed]);
    t.equal(ended.code, ErrorCode.enhanceYourCalm, ended.text);
    const deaf = await world.raw({ acknowledges: false });
    t.equal((await deaf.ended()).code, ErrorCode.settingsTimeout);
    const mute = await bare(world);
    mute.send(preface);
    t.equal((await mute.ended()).code, ErrorCode.settingsTimeout, 'no SETTINGS of its own either');
  });
  t.equal(good.failed, 0);
});

/** Connected, and nothing said. */
async function bare(world: World): Promise<RawClient> {
  return RawClient.connect(world.ports[0] as number, { silent: true, acknowledges: false });
}
