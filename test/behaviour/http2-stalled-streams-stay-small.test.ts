/**
 * Clients that ask for much and take nothing: a stream holds its window of 64 KiB, a client its share of 16 MiB, and the
 * server behind is stopped by its own window. Others are served meanwhile, also over the same upstream connection.
 */
import t from 'tap';
import { FrameType, SettingId } from '../../lib/wire/http2/frames.ts';
import { frame, grpcFields, type RawClient } from '../support/http2-raw.ts';
import { growth, mebibyte, startWorld, type World } from '../support/http2-world.ts';

const noWindow = { settings: [[SettingId.initialWindowSize, 0]] as const };

/** Asks `streams` times for 8 MiB each, and takes none of it. */
async function stall(world: World, streams: number, from = 1): Promise<RawClient> {
  const client = await world.raw(noWindow);
  for (let i = 0; i < streams; i += 1)
    client.send(client.head(from + i * 2, grpcFields('/bytes/8388608'), true));
  for (let i = 0; i < streams; i += 1) await client.answer(from + i * 2);
  return client;
}

/** Until the relay holds as much as it is going to. */
async function settled(world: World): Promise<number> {
  for (let last = -1; ; ) {
    const { heldBytes } = await world.report();
    if (heldBytes === last) return heldBytes;
    last = heldBytes;
  }
}

t.test('80 responses of 8 MiB held at a window of 0 hold 5 MiB', async t => {
  const world = await startWorld(t, { shared: {} });
  const before = await world.warmUp();
  const { result, good } = await world.beside(async () => {
    const client = await stall(world, 80);
    const heldBytes = await settled(world);
    return { client, heldBytes, after: await world.report() };
  });
  const { rss, held, text } = growth(before, result.after);
  t.comment(
    `80 × 8 MiB held at window 0: ${text}; held back ${(result.heldBytes / mebibyte).toFixed(1)} MiB`,
  );
  t.ok(result.heldBytes <= 80 * 65_536);
  t.ok(held < 16, `heap and buffers grew by ${held.toFixed(1)} MiB`);
  t.ok(rss < 48, `resident memory grew by ${rss.toFixed(1)} MiB`);
  t.equal(
    good.failed,
    0,
    `${good.served} calls over the same upstream connection, the slowest ${good.worstMs.toFixed(0)} ms`,
  );
  result.client.close();
  while ((await world.report()).heldBytes > 0);
  t.equal((await world.report()).live, 0, 'all of it is given back');
});

t.test('1,280 such responses over 5 connections of one client hold no more than its 16 MiB', async t => {
  const world = await startWorld(t);
  const before = await world.warmUp();
  const { result, good } = await world.beside(async () => {
    await Promise.all(Array.from({ length: 5 }, () => stall(world, 256)));
    const heldBytes = await settled(world);
    return { heldBytes, after: await world.report() };
  });
  const { rss, held, text } = growth(before, result.after);
  t.comment(
    `1,280 × 8 MiB held at window 0: ${text}; held back ${(result.heldBytes / mebibyte).toFixed(1)} MiB`,
  );
  t.ok(result.heldBytes <= 16 * mebibyte);
  t.ok(held < 48, `heap and buffers grew by ${held.toFixed(1)} MiB`);
  t.ok(rss < 128, `resident memory grew by ${rss.toFixed(1)} MiB`);
  t.equal(good.failed, 0, `${good.served} calls beside it, the slowest ${good.worstMs.toFixed(0)} ms`);
});

t.test('without windows and shares, 24 of them hold all their 192 MiB', async t => {
  const window = 16 * mebibyte;
  const world = await startWorld(t, {
    unlimited: true,
    limits: {
      streamWindowBytes: window,
      maxStreamWindowBytes: window,
      connectionWindowBytes: 512 * mebibyte,
    },
  });
  const before = await world.report();
  await stall(world, 24);
  const heldBytes = await settled(world);
  const { text } = growth(before, await world.report());
  t.comment(`24 × 8 MiB without limits: ${text}`);
  t.equal(heldBytes, 24 * 8 * mebibyte);
});

t.test('a client that never reads its socket is cut off once 1 MiB is unread', async t => {
  const idleFrames = { burst: 1_000_000, perSecond: 0 };
  const resets = { burst: 500, perSecond: 100 };
  const world = await startWorld(t, { limits: { flood: { idleFrames, resets } } });
  const before = await world.warmUp();
  const { good } = await world.beside(async () => {
    const client = await world.raw();
    client.socket.pause();
    await client.flood(1_000_000, frame(FrameType.ping, 0, 0, Buffer.alloc(8)), 10_000);
    t.ok(
      client.socket.destroyed || client.socket.writableEnded || client.socket.errored,
      'closed before all was sent',
    );
    client.close();
  });
  const after = await world.report();
  t.match(after.ended.join('\n'), /limit: HTTP\/2: over 1048576 B are not read/);
  const { held, text } = growth(before, after);
  t.comment(`PINGs whose answers are not read: ${text}`);
  t.ok(held < 8, `heap and buffers grew by ${held.toFixed(1)} MiB`);
  t.equal(good.failed, 0);
});
