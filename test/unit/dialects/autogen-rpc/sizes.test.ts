import t from 'tap';
import { registerAgentCodec } from '../../../../lib/demo/agent-rpc.ts';
import { HeldBudget } from '../../../../lib/relay/http2/held-budget.ts';
import { settled } from '../../../support/dialect-streams.ts';
import { callerAndCallee } from '../../../support/dialect-world.ts';

const mebibyte = 1_048_576;

async function turns(count: number): Promise<void> {
  for (let turn = 0; turn < count; turn += 1) await settled();
}

void t.test('RPCs of 5 and 20 MiB are answered with both numbers, and small ones go on', async t => {
  const { world, caller } = await callerAndCallee();
  caller.rpc('1', 'echo', { bytes: 5 * mebibyte });
  caller.rpc('2', 'echo', { bytes: 20 * mebibyte });
  caller.rpc('3', 'echo');
  await turns(60);
  t.match(caller.answers, {
    1: /^the message is 52\d{5} bytes long, the most is 4194304$/,
    2: /^the message is 2097\d{4} bytes long, the most is 4194304$/,
    3: '',
  });
  t.equal(world.count('rpc', 'too-large'), 2);
  t.equal(world.dialect.describe().pendingRequests, 0);
});

void t.test('a response of 5 MiB becomes an error at the caller, and small ones go on', async t => {
  const { world, caller, callee } = await callerAndCallee();
  callee.answer = request => ({
    response: {
      requestId: request.requestId,
      payload: {
        dataType: 'Text',
        dataContentType: 'x',
        data: Buffer.alloc(caller.received.length === 0 ? 5 * mebibyte : 5),
      },
    },
  });
  caller.rpc('1', 'echo');
  await turns(40);
  t.match(caller.answers['1'], /^the message is 52\d{5} bytes long, the most is 4194304$/);
  caller.rpc('2', 'echo');
  await settled();
  t.equal(caller.answers['2'], '');
  t.equal(world.count('respond', 'too-large'), 1);
});

void t.test('a publish of 5 MiB is dropped, counted and told', async t => {
  const { world, caller, callee } = await callerAndCallee();
  await callee.subscribe('s-1', 'news', 'echo');
  caller.publish('news', { bytes: 5 * mebibyte, id: 'large' });
  caller.publish('news', { id: 'small' });
  await turns(40);
  t.strictSame(callee.events, ['small']);
  t.equal(world.count('publish', 'too-large'), 1);
  t.match(caller.notices, [{ code: 'limit', text: /bytes long, the most is 4194304/ }]);
});

void t.test(
  'the limit is that of the message as it goes out: one of 4,194,304 B passes, one B more does not',
  async t => {
    const { caller, callee } = await callerAndCallee({
      options: { maxMessageBytes: { up: 1_000, down: 1_000 } },
    });
    // 31 bytes more than it came: the id of 1 B becomes one of 32.
    caller.rpc('1', 'echo', { bytes: 100 });
    await settled();
    const overhead = 1_000 - (callee.requests[0]?.payload?.data.byteLength ?? 0);
    t.ok(overhead > 0);
    const lengths: string[] = [];
    for (let bytes = 850; bytes < 960; bytes += 1) {
      caller.rpc(`n${bytes}`, 'echo', { bytes });
      await settled();
      if (caller.answers[`n${bytes}`] !== '') lengths.push(caller.answers[`n${bytes}`] ?? 'none');
    }
    t.match(lengths[0], /^the message is 1001 bytes long, the most is 1000$/);
  },
);

void t.test(
  'from the host: a request too long is turned back, an event dropped, a response an error',
  async t => {
    const { world, caller, callee } = await callerAndCallee({
      options: { maxMessageBytes: { up: 100_000, down: 1_000 } },
    });
    await callee.subscribe('s-1', 'news', 'echo');
    caller.rpc('1', 'echo', { bytes: 2_000 });
    caller.publish('news', { bytes: 2_000, id: 'large' });
    caller.publish('news', { id: 'small' });
    await settled();
    t.match(caller.answers['1'], /the most is 1000$/);
    t.strictSame(callee.requests, []);
    t.strictSame(callee.events, ['small']);
    t.match(callee.notices, [{ code: 'limit' }]);
    callee.answer = request => ({
      response: {
        requestId: request.requestId,
        payload: { dataType: '', dataContentType: '', data: Buffer.alloc(2_000) },
      },
    });
    caller.rpc('2', 'echo');
    await settled();
    t.match(caller.answers['2'], /the most is 1000$/);
    t.equal(world.dialect.describe().pendingRequests, 0);
  },
);

void t.test('a unary request of 5 MiB gets RESOURCE_EXHAUSTED with both numbers', async t => {
  const { caller } = await callerAndCallee();
  const message = registerAgentCodec.encode({ type: 'x'.repeat(5 * mebibyte) });
  const ending = await caller.unaryBytes('RegisterAgent', message);
  await turns(20);
  t.match(ending, { status: 8, text: /^the message is 5242\d{3} bytes long, the most is 4194304$/ });
  t.equal((await caller.register('small')).status, 0);
});

void t.test(
  'where half-read messages fill their budget, more of them are answered, not waited for',
  async t => {
    const { caller, world } = await callerAndCallee({ buffers: new HeldBudget(4 * mebibyte) });
    // A quarter of it is one principal's: 1 MiB.
    caller.rpc('1', 'echo', { bytes: 2 * mebibyte });
    caller.rpc('2', 'echo', { bytes: mebibyte / 2 });
    await turns(20);
    t.match(caller.answers, { 1: /^the gateway has no room for a message of 20\d{5} bytes now$/, 2: '' });
    t.equal(world.count('rpc', 'too-large'), 1);
  },
);

void t.test('a message that is announced and never comes holds no room for others', async t => {
  const { world, caller } = await callerAndCallee({ buffers: new HeldBudget(16 * mebibyte) });
  // A quarter of it is one principal's: 4 MiB.
  for (let at = 0; at < 8; at += 1) {
    const stalled = world.worker(`stalled-${at}`, { session: `session-${at}` });
    await stalled.open();
    stalled.channel?.end.write(Buffer.from([0, 0, 0x40, 0, 0, 0x0a]));
  }
  caller.rpc('1', 'echo', { bytes: 3 * mebibyte });
  await turns(20);
  t.strictSame(caller.answers, { 1: '' });
});
