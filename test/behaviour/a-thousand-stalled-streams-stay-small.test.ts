import t from 'tap';
import { mebibyte, settledBytes } from '../support/e2e-memory.ts';
import { echo, ignore, talk } from '../support/e2e-sockets.ts';
import { dialRaw } from '../support/e2e-tunnel.ts';
import { World } from '../support/e2e-world.ts';
import type { Endpoint } from '../support/relay-endpoint.ts';

const block = Buffer.alloc(mebibyte, 7);

t.test('memory of the gateway: one stalled stream at most 8 MiB, a thousand at most 64 MiB', async t => {
  const world = await World.make(t);
  const honestHost = await world.host(echo);
  const stalledHost = await world.host(ignore);
  const gateway = await world.gateway();
  await Promise.all([
    world.expose(gateway, { target: 'plain', to: honestHost.address }),
    world.expose(gateway, { to: stalledHost.address }),
  ]);
  const connect = await world.connect(gateway, { target: 'plain' });
  const honest = async (): Promise<void> => {
    const client = talk(connect.address);
    for (let i = 0; i < 4; i += 1) client.write(block);
    await client.received(4 * block.byteLength);
    client.socket.end();
    t.equal(await client.closed, 'end');
  };
  for (let i = 0; i < 8; i += 1) await honest();
  const before = await settledBytes(gateway.program, honest);

  const session = async (sub: string) =>
    dialRaw({
      port: gateway.port,
      ca: world.authority.certPem,
      role: 'connect',
      token: await world.token({ sub, groups: ['agents'] }),
    });
  /** Sends until credit is used up all the way to the host that reads nothing. */
  const stall = async (stream: Endpoint): Promise<void> => {
    stream.write(block);
    await stream.until(() => stream.flushedBytes >= 65_536 || stream.reason !== undefined);
  };
  const first = await session('first');
  const one = first.open('autogen');
  await stall(one);
  const withOne = await settledBytes(gateway.program, honest, before + 8 * mebibyte);
  t.comment(`one stalled stream: ${Math.round((withOne - before) / 1024)} KiB more`);
  t.ok(withOne - before <= 8 * mebibyte, `${withOne - before} B for one`);

  const raws = await Promise.all(['a', 'b', 'c', 'd', 'e'].map(session));
  const streams: Endpoint[] = [];
  for (let round = 0; round < 4; round += 1) {
    // 50 at a time, for no more than 64 may be pending.
    const batch = raws.flatMap(raw => Array.from({ length: 50 }, () => raw.open('autogen')));
    await Promise.all(batch.map(stall));
    streams.push(...batch);
  }
  t.equal(streams.filter(({ reason }) => reason === undefined).length, 1_000, 'a thousand live and stall');
  const withAll = await settledBytes(gateway.program, honest, before + 64 * mebibyte);
  t.comment(`a thousand more: ${Math.round((withAll - before) / 1024)} KiB more`);
  t.ok(withAll - before <= 64 * mebibyte, `${withAll - before} B for a thousand and one`);
  for (const { session } of [first, ...raws]) session.close({ code: 'done', text: '' });
});
