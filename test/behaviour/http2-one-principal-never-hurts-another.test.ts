/**
 * Two principals on one shared upstream: whatever A does with its streams, stuck or hostile, B's calls over the same
 * connections are answered, all of them and soon, and A has no more than its share. Where nothing is shared out, A alone
 * takes all the room there is.
 */
import t from 'tap';
import { FrameType, SettingId } from '../../lib/wire/http2/frames.ts';
import { data, type Fields, frame, grpcFields, requestFields, rst } from '../support/http2-raw.ts';
import { type Beside, growth, startWorld, type World } from '../support/http2-world.ts';

const both = { principals: ['A', 'B'], shared: {} };
const noWindow = { settings: [[SettingId.initialWindowSize, 0]] as const };
/** Generous for a busy machine; a call that waits for A's streams takes its 10 s. */
const soonMs = 5_000;

const figures = ({ served, failed, medianMs, worstMs }: Beside): string =>
  `B: ${served} served, ${failed} failed, median ${medianMs.toFixed(1)} ms, slowest ${worstMs.toFixed(0)} ms`;

async function alone(world: World): Promise<Beside> {
  const quiet = () => world.report().then(() => world.report());
  return (await world.beside(quiet, world.ports[1] as number)).good;
}

const large = Array.from({ length: 50 }, (_, i): [string, string] => [`x-${i}`, '!'.repeat(1_200)]);

interface Attack {
  readonly name: string;
  run(world: World): Promise<void>;
}

const attacks: readonly Attack[] = [
  {
    name: '400 responses of 200,000 B stuck at a window of 0',
    async run(world) {
      const clients = await Promise.all([world.raw(noWindow), world.raw(noWindow)]);
      for (const client of clients)
        for (let i = 0; i < 200; i += 1)
          client.send(client.head(i * 2 + 1, grpcFields('/bytes/200000'), true));
      for (const client of clients)
        await client.hears(() => client.count('headers') + client.count('reset') >= 200);
    },
  },
  {
    name: '400 uploads that never end, to a server that does not read them',
    async run(world) {
      const clients = await Promise.all([world.raw(), world.raw()]);
      for (const client of clients) {
        for (let i = 0; i < 200; i += 1)
          client.send(
            client.head(i * 2 + 1, grpcFields('/never'), false),
            data(i * 2 + 1, 16_000),
            data(i * 2 + 1, 16_000),
          );
        client.send(client.head(401, grpcFields('/bytes/1'), true));
        await client.answer(401);
      }
    },
  },
  {
    name: '4,000 requests begun and not ended, over 20 connections',
    async run(world) {
      const clients = await Promise.all(Array.from({ length: 20 }, () => world.raw()));
      for (const client of clients)
        for (let i = 0; i < 200; i += 1) client.send(client.head(i * 2 + 1, grpcFields('/never'), false));
      // Beyond its 400 streams A is refused; a PING behind them all is answered when they were judged.
      for (const client of clients) {
        client.send(frame(FrameType.ping, 0, 0, Buffer.alloc(8)));
        await client.hears(({ kind }) => kind === 'ping');
      }
    },
  },
  {
    name: '4,000 rapid resets over 10 connections',
    async run(world) {
      const clients = await Promise.all(Array.from({ length: 10 }, () => world.raw()));
      await Promise.all(
        clients.map(client =>
          client.flood(400, at =>
            Buffer.concat([client.head(at * 2 + 1, grpcFields('/bytes/50000'), true), rst(at * 2 + 1)]),
          ),
        ),
      );
    },
  },
  {
    name: '600 deadlines of 1 ms, which the gateway resets itself',
    async run(world) {
      const client = await world.raw();
      for (let i = 0; i < 600; i += 1) {
        client.send(client.head(i * 2 + 1, grpcFields('/never', [['grpc-timeout', '1m']]), true));
        if (i % 50 === 49) await client.answer(i * 2 + 1);
      }
    },
  },
  {
    name: '200 header lists of 62,000 B, and as many trailers',
    async run(world) {
      const client = await world.raw();
      const trailers: Fields = large.map(([name]): [string, string] => [name, '?'.repeat(1_200)]);
      for (let i = 0; i < 100; i += 1) {
        client.send(client.head(i * 4 + 1, requestFields('/echo', large), true));
        client.send(
          client.head(i * 4 + 3, grpcFields('/echo'), false),
          client.head(i * 4 + 3, trailers, true),
        );
        await client.answer(i * 4 + 1);
      }
    },
  },
];

t.test('B is served beside each of A’s attacks, over the same upstream', async t => {
  for (const { name, run } of attacks) {
    // A server like most: 100 streams a connection, and a list of 16 KiB.
    const world = await startWorld(t, both, undefined, {
      settings: { maxConcurrentStreams: 100, maxHeaderListSize: 16_384 },
      streamResetBurst: 1_000,
      streamResetRate: 33,
    });
    const before = await world.warmUp();
    const quiet = await alone(world);
    const { good } = await world.beside(() => run(world), world.ports[1] as number);
    const after = await world.beside(() => world.report(), world.ports[1] as number);
    t.equal(
      good.failed + after.good.failed,
      0,
      `${name}: ${figures(good)} (alone: ${quiet.medianMs.toFixed(1)} ms)`,
    );
    t.ok(
      good.worstMs < soonMs && after.good.worstMs < soonMs,
      `${after.good.worstMs.toFixed(0)} ms at the end`,
    );
    const { held, text } = growth(before, after.result);
    t.comment(`${name}: ${text}, ${after.result.live} live, ${after.result.upstreamConnections} connections`);
    t.ok(held < 48, `heap and buffers grew by ${held.toFixed(1)} MiB`);
    t.notOk(after.result.ended.some(text => text.startsWith('internal')));
  }
});

t.test('with 10 streams on one upstream connection A has 5, and B is served', async t => {
  const world = await startWorld(t, { ...both, shared: { maxConnections: 1 } }, undefined, {
    settings: { maxConcurrentStreams: 10 },
  });
  await world.warmUp();
  const client = await world.raw();
  for (let i = 0; i < 50; i += 1) client.send(client.head(i * 2 + 1, grpcFields('/never'), false));
  const { good } = await world.beside(() => world.report(), world.ports[1] as number);
  t.equal(good.failed, 0, figures(good));
  t.ok(good.worstMs < soonMs);
});

t.test('without shares A takes all 10, and B waits until it is refused', async t => {
  const world = await startWorld(
    t,
    { ...both, shared: { maxConnections: 1, waitTimeoutMs: 300 }, unshared: true },
    undefined,
    { settings: { maxConcurrentStreams: 10 } },
  );
  await world.warmUp();
  const client = await world.raw();
  for (let i = 0; i < 50; i += 1) client.send(client.head(i * 2 + 1, grpcFields('/never'), false));
  client.send(frame(FrameType.ping, 0, 0, Buffer.alloc(8)));
  await client.hears(({ kind }) => kind === 'ping');
  const b = await world.raw({ port: world.ports[1] as number });
  b.send(b.head(1, grpcFields('/echo'), true));
  t.equal((await b.answer(1)).fields['grpc-status'], '14');
});
