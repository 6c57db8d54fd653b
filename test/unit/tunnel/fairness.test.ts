import t from 'tap';
import type { TunnelStream } from '../../../lib/tunnel/stream.ts';
import { readAll } from '../../support/tunnel-pair.ts';
import { type AgainstRogue, againstRogue, settle } from '../../support/tunnel-rogue.ts';

const frameBytes = 16_384;

/** A client with so many streams open, each allowed to send `credit` bytes; its peer reads a write at a time. */
async function client(
  streams: number,
  credit: number,
): Promise<{ a: AgainstRogue; streams: TunnelStream[] }> {
  const a = againstRogue({ side: 'dialler' });
  const opened = Array.from({ length: streams }, () => a.session.open('autogen', 'unix'));
  for (const stream of opened) readAll(stream);
  await settle();
  for (const { id } of opened) a.rogue.send(id, { type: 'opened', limit: credit });
  await settle();
  a.rogue.stuck = true;
  return { a, streams: opened };
}

/** Reads one write; the next is made meanwhile. */
async function round(a: AgainstRogue): Promise<number> {
  const before = a.rogue.wrote.reduce((sum, bytes) => sum + bytes.byteLength, 0);
  a.rogue.read();
  await settle(2);
  return a.rogue.wrote.reduce((sum, bytes) => sum + bytes.byteLength, 0) - before;
}

t.test(
  'one stuck stream among a hundred slows no other: after each write all have sent the same',
  async t => {
    const { a, streams } = await client(100, 1 << 20);
    const [stuck, ...others] = streams;
    // Its peer allows it no more than it has sent.
    stuck!.write(Buffer.alloc(2 << 20));
    await settle(2);
    for (let i = 0; i < 40; i += 1) await round(a);
    const atStart = a.rogue.payload(stuck!.id).byteLength;
    t.equal(atStart, 1 << 20);
    for (const stream of others) stream.write(Buffer.alloc(100_000));
    await settle(2);
    let rounds = 0;
    for (; rounds < 200; rounds += 1) {
      await round(a);
      const sent = others.map(({ id }) => a.rogue.payload(id).byteLength);
      const spread = Math.max(...sent) - Math.min(...sent);
      if (spread > frameBytes) t.fail(`spread of ${spread} bytes in round ${rounds}`);
      if (Math.min(...sent) === 100_000) break;
    }
    const perWrite = 131_072;
    t.ok(rounds <= Math.ceil((99 * 100_000) / perWrite) + 2, `${rounds} writes, none of them for nothing`);
    t.equal(a.rogue.payload(stuck!.id).byteLength, atStart);
  },
);

t.test(
  'a word on a new stream waits for one frame of each other stream, not for their megabytes',
  async t => {
    const { a, streams } = await client(11, 1 << 24);
    const [small, ...bulk] = streams;
    for (const stream of bulk) stream.write(Buffer.alloc(2 << 20));
    await settle(2);
    await round(a);
    small!.write(Buffer.from('hello'));
    const before = a.rogue.got.items.length;
    for (let i = 0; i < 5 && a.rogue.payload(small!.id).byteLength === 0; i += 1) await round(a);
    const waited = a.rogue.got.items.slice(before).findIndex(item => item.stream === small!.id);
    t.ok(
      waited >= 0 && waited <= 9 + 10 + 1,
      `behind ${waited} frames: a write in flight and one turn of ten`,
    );
  },
);

t.test('a control frame goes out with the next write, before any data', async t => {
  const { a, streams } = await client(10, 1 << 24);
  for (const stream of streams) stream.write(Buffer.alloc(2 << 20));
  await settle(2);
  await round(a);
  a.rogue.send(0, { type: 'ping', value: 42 });
  streams[3]!.reset({ code: 'cancelled', text: '' });
  await round(a);
  const before = a.rogue.got.items.length;
  await round(a);
  const [first, second] = a.rogue.got.items
    .slice(before)
    .map(item => ('data' in item ? 'data' : item.frame.type));
  t.strictSame([first, second], ['pong', 'reset']);
});

t.test('a stream that was reset sends nothing of what it had queued', async t => {
  const { a, streams } = await client(2, 1 << 24);
  streams[0]!.write(Buffer.alloc(2 << 20));
  await settle(2);
  await round(a);
  streams[0]!.reset({ code: 'cancelled', text: '' });
  streams[1]!.write(Buffer.from('next'));
  for (let i = 0; i < 4; i += 1) await round(a);
  const items = a.rogue.got.items;
  const reset = items.findIndex(item => 'frame' in item && item.frame.type === 'reset');
  t.ok(reset > 0);
  t.notOk(items.slice(reset).some(item => 'data' in item && item.stream === streams[0]!.id));
  t.equal(a.rogue.payload(streams[1]!.id).toString(), 'next');
});
