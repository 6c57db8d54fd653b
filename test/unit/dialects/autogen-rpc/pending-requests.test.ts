import t from 'tap';
import { PendingRequests } from '../../../../lib/dialects/autogen-rpc/pending-requests.ts';
import { settled } from '../../../support/dialect-streams.ts';
import { callerAndCallee, World } from '../../../support/dialect-world.ts';
import { ManualClock } from '../../../support/tunnel-pair.ts';

interface Caller {
  readonly name: string;
}

/** What the table must do, done without care for speed. */
interface Model {
  readonly caller: Caller;
  readonly requestId: string;
  readonly dueAtMs: number;
}

void t.test('20,000 random steps agree with a list of who waits for what', async t => {
  let seed = 20_260_101;
  const random = (below: number): number => {
    seed = (Math.imul(seed, 1_103_515_245) + 12_345) >>> 0;
    return (seed >>> 8) % below;
  };
  const clock = new ManualClock();
  const callers: Caller[] = [{ name: 'a' }, { name: 'b' }, { name: 'c' }];
  const model = new Map<string, Model>();
  const late: string[] = [];
  const table = new PendingRequests<Caller>({ perCaller: 8, inAll: 20, timeoutMs: 1_000 }, clock, p =>
    late.push(p.id),
  );
  const ids = new Set<string>();
  for (let step = 0; step < 20_000; step += 1) {
    const caller = callers[random(3)] as Caller;
    const own = [...model.values()].filter(m => m.caller === caller).length;
    const choice = random(10);
    if (choice < 5) {
      const full = own >= 8 || model.size >= 20;
      try {
        const { id } = table.open(caller, '1', 'type');
        if (full) t.fail('opened beyond its bounds');
        if (ids.has(id)) t.fail('an id came twice');
        ids.add(id);
        model.set(id, { caller, requestId: '1', dueAtMs: clock.monotonic() + 1_000 });
      } catch {
        if (!full) t.fail('refused within its bounds');
      }
    } else if (choice < 8) {
      const [id] = [...model.keys()].slice(random(Math.max(1, model.size)));
      const pending = id === undefined ? undefined : table.get(id);
      if (id !== undefined && pending?.caller !== model.get(id)?.caller) t.fail('an answer would go astray');
      if (pending && id !== undefined) {
        if (!table.close(pending)) t.fail('an open one could not be closed');
        if (table.close(pending)) t.fail('a closed one was closed again');
        model.delete(id);
      }
    } else if (choice === 8 && random(20) === 0) {
      for (const { id } of table.closeAll(p => p.caller === caller)) model.delete(id);
      if ([...model.values()].some(m => m.caller === caller)) t.fail('one was left');
    } else {
      late.length = 0;
      clock.advance(random(400));
      const due = [...model].filter(([, m]) => m.dueAtMs <= clock.monotonic()).map(([id]) => id);
      if (JSON.stringify(due) !== JSON.stringify(late))
        t.fail(`late: ${late.length}, expected ${due.length}`);
      for (const id of due) model.delete(id);
    }
    if (table.size !== model.size) t.fail(`step ${step}: ${table.size} of ${model.size}`);
    if (table.of(caller) !== [...model.values()].filter(m => m.caller === caller).length)
      t.fail('a count is off');
  }
  t.ok(ids.size > 3_000, `${ids.size} ids, all different`);
  table.stop();
});

void t.test(
  'the 1,025th unanswered RPC of a client is answered with an error, another client’s passes',
  async t => {
    const { world, caller, callee } = await callerAndCallee();
    const other = world.worker('other', { session: 'session-c' });
    await other.open();
    callee.answer = () => undefined;
    for (let at = 1; at <= 1_025; at += 1) caller.rpc(String(at), 'echo');
    other.rpc('1', 'echo');
    for (let turn = 0; turn < 10; turn += 1) await settled();
    t.match(caller.answers, { 1025: /^1024 RPCs are without an answer/ });
    t.equal(Object.keys(caller.answers).length, 1);
    t.equal(world.dialect.describe().pendingRequests, 1_025);
  },
);

void t.test('an RPC without an answer for 10 min gets an error, and a late answer is dropped', async t => {
  const { world, caller, callee } = await callerAndCallee();
  callee.answer = () => undefined;
  caller.rpc('1', 'echo');
  await settled();
  world.clock.advance(599_000);
  await settled();
  t.strictSame(caller.answers, {});
  world.clock.advance(1_000);
  await settled();
  t.match(caller.answers['1'], /has not answered within 600000 ms$/);
  const requestId = callee.requests[0]?.requestId ?? '';
  callee.send({ response: { requestId, error: 'too late' } });
  await settled();
  t.equal(caller.received.length, 1);
  t.equal(world.count('respond', 'unasked'), 1);
});

void t.test('a callee that goes away answers all that it was asked with an error', async t => {
  const { world, caller, callee } = await callerAndCallee();
  callee.answer = () => undefined;
  caller.rpc('1', 'echo');
  caller.rpc('2', 'echo');
  await settled();
  callee.channel?.end.reset(8);
  await settled();
  t.match(caller.answers, { 1: /has gone$/, 2: /has gone$/ });
  caller.rpc('3', 'echo');
  await settled();
  t.match(caller.answers['3'], /is not connected$/);
  t.equal(world.count('rpc', 'no-taker'), 1);
});

void t.test(
  'an RPC to a type that nobody registered: the host’s to answer, or with "exclusive" ours',
  async t => {
    for (const exclusive of [false, true]) {
      const world = new World({ options: { exclusive } });
      const caller = world.worker('caller');
      await caller.open();
      caller.rpc('1', 'nobody');
      await settled();
      if (exclusive) t.match(caller.answers, { 1: /no agent of type nobody/ });
      else t.strictSame(caller.answers, {}, 'somebody beside the gateway may have it');
      t.equal(world.host.messages.length, exclusive ? 0 : 1);
    }
  },
);

void t.test('a request id of 257 characters is refused', async t => {
  const { world, caller } = await callerAndCallee();
  caller.rpc('x'.repeat(257), 'echo');
  caller.rpc('x'.repeat(256), 'echo');
  await settled();
  t.strictSame(Object.keys(caller.answers), ['x'.repeat(256)]);
  t.equal(world.count('rpc', 'invalid'), 1);
});
