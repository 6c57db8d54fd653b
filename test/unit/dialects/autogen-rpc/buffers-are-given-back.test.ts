import t from 'tap';
import { registerAgentCodec } from '../../../../lib/demo/agent-rpc.ts';
import { HeldBudget } from '../../../../lib/relay/http2/held-budget.ts';
import { framed } from '../../../support/dialect-frames.ts';
import { settled } from '../../../support/dialect-streams.ts';
import { callerAndCallee } from '../../../support/dialect-world.ts';

const mebibyte = 1_048_576;

void t.test(
  '5,000 unary calls with two messages and the beginning of a third take nothing of the budget for good',
  async t => {
    const buffers = new HeldBudget();
    const { caller } = await callerAndCallee({ buffers });
    const empty = framed(new Uint8Array(0));
    const third = framed(new Uint8Array(100_000)).subarray(0, 20_000);
    for (let call = 0; call < 5_000; call += 1) {
      const { end } = caller.call('RegisterAgent');
      end.write(Buffer.concat([empty, empty, third]));
      if (call % 100 === 0) await settled();
    }
    await settled();
    t.equal(buffers.heldBytes, 0);
    caller.rpc('1', 'echo', { bytes: mebibyte });
    for (let turn = 0; turn < 20; turn += 1) await settled();
    t.strictSame(caller.answers, { 1: '' }, 'room for a message in parts');
  },
);

void t.test(
  'unary messages count in the budget until they are answered: 64 of 1 MiB are not all kept',
  async t => {
    const buffers = new HeldBudget(8 * mebibyte);
    const { world, caller } = await callerAndCallee({ buffers, windowBytes: 2 * mebibyte });
    // A field that a later AutoGen may have: number 15, and bytes.
    const unknown = Buffer.alloc(mebibyte);
    unknown.set([0x7a, 0xfc, 0xff, 0x3f]);
    const message = Buffer.concat([registerAgentCodec.encode({ type: 'large' }), unknown]);
    const calls = Array.from({ length: 64 }, () => caller.call('RegisterAgent'));
    for (const { end } of calls) end.write(framed(message));
    await settled();
    t.ok(buffers.heldBytes >= mebibyte, 'those that are kept are counted');
    t.ok(buffers.heldBytes <= 2 * mebibyte, 'a quarter of the budget is one principal’s');
    const refused = calls.filter(({ ending }) => ending?.status === 8);
    t.ok(refused.length >= 62, `${refused.length} of 64 were refused`);
    t.match(refused[0]?.ending?.text, /^the gateway has no room for a message of \d{7} bytes now$/);
    const kept = calls.filter(({ ending }) => ending === undefined);
    for (const { end } of kept) end.end();
    await settled();
    t.equal(kept[0]?.ending?.status, 0, 'an honest one is answered');
    await world.pass(31_000, 1_000);
    t.equal(buffers.heldBytes, 0);
    t.equal((await caller.register('small')).status, 0);
  },
);
