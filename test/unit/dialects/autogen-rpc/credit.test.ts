import t, { type Test } from 'tap';
import { settled } from '../../../support/dialect-streams.ts';
import { callerAndCallee, type Worker, type World } from '../../../support/dialect-world.ts';

const rounds = 100;
const perRound = 100;

/** 10,000 in a row, each side taking what comes. */
async function each(act: (at: number) => void): Promise<void> {
  for (let round = 0; round < rounds; round += 1) {
    for (let at = 0; at < perRound; at += 1) act(round * perRound + at);
    await settled();
  }
  for (let turn = 0; turn < 20; turn += 1) await settled();
}

async function world(): Promise<{ world: World; caller: Worker; callee: Worker }> {
  const found = await callerAndCallee({ options: { maxMessageBytes: { up: 1_000, down: 900 } } });
  await found.callee.subscribe('s-1', 'news', 'echo');
  found.world.deny = a => a.id === 'autogen/denied';
  found.world.generation += 1;
  return found;
}

/** Afterwards a window and more goes through, both ways. */
async function goesOn(t: Test, caller: Worker, callee: Worker): Promise<void> {
  const before = callee.requests.length;
  for (let at = 0; at < 200; at += 1) {
    caller.rpc(`honest-${at}`, 'echo', { bytes: 700 });
    await settled();
  }
  t.equal(callee.requests.length - before, 200);
  t.equal(caller.answers['honest-199'], '');
}

const upward: Readonly<Record<string, (caller: Worker, at: number) => void>> = {
  'denied RPCs': (caller, at) => caller.rpc(`${at}`, 'denied'),
  'denied publishes': caller => caller.publish('denied'),
  'spoofed publishes': caller => caller.publish('news', { sender: 'another' }),
  'oversize RPCs': (caller, at) => caller.rpc(`${at}`, 'echo', { bytes: 1_300 }),
  'oversize publishes': caller => caller.publish('news', { bytes: 1_300 }),
  'malformed messages': caller => caller.sendBytes(Buffer.from([0x0a, 5, 1])),
  'empty messages': caller => caller.sendBytes(Buffer.alloc(0)),
  'answers that nobody asked for': caller => caller.send({ response: { requestId: 'x', error: 'y' } }),
};
for (const [what, act] of Object.entries(upward))
  void t.test(`10,000 ${what} cost no credit`, async t => {
    const { caller, callee } = await world();
    await each(at => act(caller, at));
    t.equal(caller.channel?.end.window, 65_536, 'all of the window is back');
    await goesOn(t, caller, callee);
  });

const downward: Readonly<Record<string, (world: World, hostId: string, at: number) => void>> = {
  'oversize requests': ({ host }, hostId, at) =>
    host.send(hostId, {
      request: {
        requestId: `${at}`,
        target: { type: 'echo', key: 'default' },
        source: null,
        payload: { dataType: '', dataContentType: '', data: Buffer.alloc(1_300) },
      },
    }),
  'oversize events': ({ host }, hostId) =>
    host.send(hostId, {
      cloudEvent: {
        id: 'large',
        source: 'default',
        specVersion: '1.0',
        type: 'news',
        attributes: {},
        binaryData: Buffer.alloc(1_300),
      },
    }),
  'malformed messages': ({ host }, hostId) => host.sendBytes(hostId, Buffer.from([0x0a, 5, 1])),
  'answers that nobody asked for': ({ host }, hostId) =>
    host.send(hostId, { response: { requestId: 'x', error: 'y' } }),
};
for (const [what, act] of Object.entries(downward))
  for (const halfClosed of [false, true])
    void t.test(
      `10,000 ${what} from the host cost no credit${halfClosed ? ', where the worker sends no more' : ''}`,
      async t => {
        const { world: gateway, caller, callee } = await world();
        if (halfClosed) {
          callee.channel?.end.end();
          await settled();
        }
        await each(at => act(gateway, callee.hostId, at));
        const { end } = gateway.host.channels.get(callee.hostId) ?? {};
        t.equal(end?.window, 65_536, 'all of the window is back');
        if (!halfClosed) return goesOn(t, caller, callee);
        for (let at = 0; at < 200; at += 1) {
          caller.publish('news', { bytes: 700, id: `honest-${at}` });
          await settled();
        }
        t.equal(callee.events.length, 200);
      },
    );
