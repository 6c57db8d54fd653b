import t from 'tap';
import { registerAgentCodec } from '../../../../lib/demo/agent-rpc.ts';
import { framed } from '../../../support/dialect-frames.ts';
import { settled } from '../../../support/dialect-streams.ts';
import { callerAndCallee, type Opened, type Worker, World } from '../../../support/dialect-world.ts';

function begin(worker: Worker, type: string): Opened {
  const call = worker.call('RegisterAgent');
  call.end.write(framed(registerAgentCodec.encode({ type })));
  call.end.end();
  return call;
}

async function answerAll({ host }: World): Promise<void> {
  for (const ask of host.slow?.splice(0) ?? []) {
    host.slow = undefined;
    ask();
  }
  await settled();
}

void t.test(
  'a worker without a channel gives its call up, the host takes it late: nobody is kept out for good',
  async t => {
    const world = new World();
    const gone = world.worker('gone', { subject: 'alice', session: 'session-a' });
    world.host.slow = [];
    const call = begin(gone, 'writer');
    await settled();
    call.end.reset(8);
    await settled();
    await answerAll(world);
    t.strictSame(
      [...world.host.types.keys()],
      ['writer'],
      'the host has it in the name of the one that is gone',
    );
    await world.pass(62_000, 1_000);
    t.strictSame(world.dialect.describe().clients, [], 'forgotten, with what it had');
    t.equal(world.host.types.size, 0, 'and so at the host');
    const honest = world.worker('honest', { subject: 'bob', session: 'session-b' });
    await honest.open();
    t.equal((await honest.register('writer')).status, 0);
  },
);

void t.test(
  'a worker is killed while it registers: its successor, and later anybody, has the type',
  async t => {
    const { world, caller } = await callerAndCallee();
    world.host.slow = [];
    const call = begin(caller, 'writer');
    await settled();
    const waiting = begin(caller, 'waits-behind-it');
    await settled();
    for (const end of [call.end, waiting.end, caller.channel?.end]) end?.cut('connection reset');
    await settled();
    await answerAll(world);
    await world.pass(2_000);
    t.strictSame(
      [...world.host.types.keys()],
      ['echo'],
      'swept at the host, and the second one was never begun',
    );
    const successor = world.worker('successor', { subject: 'alice', session: 'session-a' });
    await successor.open();
    t.equal((await successor.register('writer')).status, 0);
    t.equal((await successor.register('waits-behind-it')).status, 0);
    await world.pass(62_000, 1_000);
    t.equal(world.dialect.describe().clients.length, 2);
    successor.channel?.end.reset(8);
    await world.pass(62_000, 1_000);
    const other = world.worker('other', { subject: 'carol', session: 'session-c' });
    await other.open();
    t.equal((await other.register('writer')).status, 0);
  },
);

void t.test(
  '2,000 agent types that are asked for and given up at once leave nothing behind, and an honest one goes on',
  async t => {
    const { world, caller } = await callerAndCallee();
    const attacker = world.worker('attacker', { subject: 'mallory', session: 'session-m' });
    for (let at = 0; at < 2_000; at += 1) {
      const call = begin(attacker, `type-${at}`);
      if (at % 50 === 0) await settled();
      call.end.reset(8);
    }
    await settled();
    await world.pass(62_000, 1_000);
    t.equal(world.dialect.describe().clients.length, 2);
    t.strictSame([...world.host.types.keys()], ['echo']);
    caller.rpc('1', 'echo');
    await settled();
    t.strictSame(caller.answers, { 1: '' });
  },
);

void t.test(
  'types of workers whose connection to the host went with them are swept by whoever comes next',
  async t => {
    const world = new World();
    for (let at = 0; at < 40; at += 1) {
      const gone = world.worker(`gone-${at}`, { subject: 'alice', session: 'session-a' });
      await gone.register(`type-${at}`);
    }
    world.host.down = true;
    await world.pass(62_000, 1_000);
    t.strictSame(world.dialect.describe().clients, []);
    t.equal(world.host.types.size, 40, 'the host has no idea');
    world.host.down = false;
    const honest = world.worker('honest', { subject: 'bob', session: 'session-b' });
    await honest.open();
    const call = begin(honest, 'type-0');
    await world.pass(2_000);
    t.equal(call.ending?.status, 0, 'it waits for that and has it');
    t.equal(world.host.types.size, 40 - 16 + 1, 'not all over one connection at once');
    for (let at = 0; at < 2; at += 1) {
      const next = world.worker(`next-${at}`, { subject: 'bob', session: 'session-b' });
      await next.open();
      await world.pass(2_000);
    }
    t.strictSame([...world.host.types], [['type-0', honest.hostId]]);
  },
);
