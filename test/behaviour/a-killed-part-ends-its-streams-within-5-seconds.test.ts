import type { Socket } from 'node:net';
import t from 'tap';
import { exchange, type Host, type Talk, talk } from '../support/e2e-sockets.ts';
import { type Gateway, type Side, World } from '../support/e2e-world.ts';

const withinMs = 5_000;

interface Running {
  readonly host: Host;
  readonly gateway: Gateway;
  readonly expose: Side;
  readonly connect: Side;
  readonly stream: Talk;
  /** The other end of the stream, at the host. */
  readonly far: Socket;
}

const world = await World.make(t);

/** Each of its own, so that the four kills run side by side. */
async function running(): Promise<Running> {
  const host = await world.host();
  const gateway = await world.gateway();
  const expose = await world.expose(gateway, { to: host.address });
  const connect = await world.connect(gateway);
  const stream = talk(connect.address);
  stream.write('alive');
  await stream.received(5);
  return { host, gateway, expose, connect, stream, far: await host.next() };
}

/** How long after the kill each end of the stream saw its end. */
async function endsAfter({ stream, far }: Running, kill: () => Promise<unknown>) {
  const startedMs = performance.now();
  const since = (): number => Math.round(performance.now() - startedMs);
  // The system closes a killed process's connections with an end or a reset, as they stood.
  const ended = new Promise<void>(resolve => stream.socket.once('end', resolve));
  const near = Promise.race([stream.closed, ended]).then(since);
  const farther = new Promise<number>(resolve => far.once('close', () => resolve(since())));
  await kill();
  return { near: await near, far: await farther };
}

t.test('kill -9 of each part: both ends of its streams end within 5 s, with a reason', async t => {
  const kills: readonly [string, (parts: Running) => Promise<unknown>][] = [
    ['gateway', ({ gateway }) => gateway.program.kill()],
    ['connect', ({ connect }) => connect.program.kill()],
    ['expose', ({ expose }) => expose.program.kill()],
    ['host', ({ host }) => host.crash()],
  ];
  const judge = async ([part, kill]: (typeof kills)[number]): Promise<void> => {
    const parts = await running();
    const { near, far } = await endsAfter(parts, () => kill(parts));
    t.ok(near < withinMs && far < withinMs, `${part}: client after ${near} ms, host after ${far} ms`);
    // Whoever lives says why; of the gateway's death both sides do.
    const witness = part === 'gateway' || part === 'expose' ? parts.connect : parts.expose;
    const line = await witness.program.logged(({ msg }) => msg === 'stream ended', 'the reason');
    t.match(line.reason, /^(session-lost|io)$/, `${part}: ${line.detail}`);
  };
  await Promise.all(kills.map(judge));
});

t.test('a connect killed and started again serves at once; the others were not restarted', async t => {
  const parts = await running();
  await parts.connect.program.kill();
  const again = await world.connect(parts.gateway);
  t.equal(await exchange(again.address, 'again'), 'again');
  t.ok(parts.gateway.program.alive && parts.expose.program.alive);
});
