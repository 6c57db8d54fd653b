/**
 * Header lists that cost more than their bytes: each is a 431 on its own stream, the connection goes on with its tables
 * in step, and what lives of large ones is bounded by the client's share.
 */
import t from 'tap';
import { ErrorCode, Flag, FrameType } from '../../lib/wire/http2/frames.ts';
import { type Fields, frame, grpcFields, type RawClient, requestFields } from '../support/http2-raw.ts';
import { growth, startWorld } from '../support/http2-world.ts';

/** Into the dynamic table (RFC 7541 section 6.2.1): a field of `bytes`, then `times` references of a byte to it. */
function referenceBomb(client: RawClient, bytes: number, times: number): Uint8Array {
  const value = Buffer.alloc(bytes, 97);
  const literal = Buffer.concat([Buffer.from([0x40, 1, 120, 0x7f]), integer(bytes - 0x7f), value]);
  // The client's own encoder uses no table: it says so once, and here it is opened again (section 6.3).
  client.block([]);
  const open = Buffer.from([0x3f, 0xe1, 0x1f]);
  return Buffer.concat([open, client.block(requestFields('/bomb')), literal, Buffer.alloc(times, 0x80 | 62)]);
}

function integer(rest: number): Uint8Array {
  const out: number[] = [];
  let left = rest;
  for (; left >= 0x80; left >>>= 7) out.push((left & 0x7f) | 0x80);
  out.push(left);
  return Uint8Array.from(out);
}

const whole = (streamId: number, block: Uint8Array): Uint8Array =>
  frame(FrameType.headers, Flag.endHeaders | Flag.endStream, streamId, block);

const many = (count: number, name: (at: number) => string, value = 'x'): Fields =>
  Array.from({ length: count }, (_, i): [string, string] => [name(i), value]);

t.test('bombs are refused one by one, beside honest requests on the same connection', async t => {
  const world = await startWorld(t);
  const before = await world.warmUp();
  const bombs: readonly [name: string, bomb: (client: RawClient, id: number) => Uint8Array][] = [
    ['16,000 B that decode to 64 MB', (client, id) => whole(id, referenceBomb(client, 4_000, 12_000))],
    [
      '129 fields',
      (client, id) =>
        client.head(
          id,
          requestFields(
            '/',
            many(125, i => `x-${i}`),
          ),
          true,
        ),
    ],
    [
      '33 crumbs of a cookie',
      (client, id) =>
        client.head(
          id,
          requestFields(
            '/',
            many(33, () => 'cookie'),
          ),
          true,
        ),
    ],
    [
      'a list of 66,000 B in a block of 64,000 B',
      (client, id) =>
        client.head(
          id,
          requestFields(
            '/',
            many(65, i => `x-${i}`, '!'.repeat(980)),
          ),
          true,
        ),
    ],
  ];
  const { good } = await world.beside(async () => {
    const client = await world.raw();
    let id = 1;
    for (const [name, bomb] of bombs) {
      for (let round = 0; round < 10; round += 1) {
        client.send(bomb(client, id));
        if (round === 0) t.equal((await client.answer(id)).status, '431', name);
        else await client.answer(id);
        id += 2;
      }
      client.send(client.head(id, grpcFields('/echo'), true));
      t.equal((await client.answer(id)).status, '200', 'and the next request is served');
      id += 2;
    }
  });
  t.ok(good.failed === 0, `${good.served} calls beside it, the slowest ${good.worstMs.toFixed(0)} ms`);
  const { rss, held, text } = growth(before, await world.report());
  t.comment(`40 bombs: ${text}`);
  t.ok(held < 8, `heap and buffers grew by ${held.toFixed(1)} MiB`);
  t.ok(rss < 48, `resident memory grew by ${rss.toFixed(1)} MiB`);
});

t.test('a block of over 65,536 B ends its connection', async t => {
  const world = await startWorld(t);
  const client = await world.raw();
  client.send(
    client.head(
      1,
      requestFields(
        '/',
        many(80, i => `x-${i}`, '!'.repeat(980)),
      ),
      true,
    ),
  );
  const { code, text } = await client.ended();
  t.equal(code, ErrorCode.enhanceYourCalm);
  t.match(text, /limit 65536/);
});

t.test('1,024 live requests of 50,000 B of headers each hold no more than a share of 16 MiB', async t => {
  const attack = async (unlimited: boolean): Promise<{ held: number; text: string; refused: number }> => {
    const world = await startWorld(t, { unlimited });
    const before = await world.warmUp();
    const { result, good } = await world.beside(async () => {
      const clients = await Promise.all(Array.from({ length: 4 }, () => world.raw()));
      for (let i = 0; i < 256; i += 1)
        for (const client of clients) {
          // Each value another: equal strings are kept once.
          const large = Array.from({ length: 50 }, (_, at): [string, string] => [
            `x-${at}`,
            `${i} ${at}`.padEnd(960, '!'),
          ]);
          client.send(client.head(i * 2 + 1, requestFields('/never', large), true));
        }
      // The last of each is judged when a request behind it is answered.
      for (const client of clients) {
        client.send(frame(FrameType.ping, 0, 0, Buffer.alloc(8)));
        await client.hears(({ kind }) => kind === 'ping');
      }
      return {
        after: await world.report(),
        refused: clients.reduce((sum, one) => sum + one.count('headers'), 0),
      };
    });
    t.equal(good.failed, 0, `${good.served} calls beside it`);
    return { ...growth(before, result.after), refused: result.refused };
  };
  const guarded = await attack(false);
  t.comment(`with a share: ${guarded.text}, ${guarded.refused} refused`);
  t.ok(guarded.held < 28, `heap and buffers grew by ${guarded.held.toFixed(1)} MiB`);
  t.ok(guarded.refused > 500);
  const bare = await attack(true);
  t.comment(`without: ${bare.text}`);
  t.ok(bare.held > guarded.held * 1.5, 'without a share all are kept');
});
