import t from 'tap';
import type { AcceptedCall } from '../../../../lib/core/ports.ts';
import {
  aboutAgent,
  aboutPublish,
  Decisions,
} from '../../../../lib/dialects/autogen-rpc/policy-questions.ts';

/** A call that counts what the policy is asked. */
function counting(): { call: AcceptedCall; asked(): number } {
  let asked = 0;
  const call = {
    generation: () => 1,
    decide: () => {
      asked += 1;
      return { allow: false, id: 'd1', rule: 'default-deny' };
    },
  } as unknown as AcceptedCall;
  return { call, asked: () => asked };
}

t.test('a short question is decided once, at most 4 are remembered', async t => {
  const { call, asked } = counting();
  const decisions = new Decisions('autogen', 4);
  for (let count = 0; count < 3; count += 1) decisions.ask(call, aboutPublish('news', 's'));
  t.equal(asked(), 1);
  for (let key = 0; key < 10; key += 1) decisions.ask(call, aboutAgent('rpc', { type: 'w', key: `${key}` }));
  t.equal(decisions.size, 4);
});

t.test('a question of 3 MiB is decided each time, and takes no memory', async t => {
  const { call, asked } = counting();
  const decisions = new Decisions('autogen', 1_024);
  const long = 'k'.repeat(3 * 1_048_576);
  for (const question of [
    aboutAgent('rpc', { type: 'w', key: long }),
    aboutAgent('rpc', { type: long, key: 'k' }),
    aboutPublish('news', long),
  ])
    for (let count = 0; count < 2; count += 1) t.equal(decisions.ask(call, question).allow, false);
  t.equal(asked(), 6);
  t.equal(decisions.size, 0);
});

t.test('what one call was told is not remembered for another, whose generation counts apart', async t => {
  const decisions = new Decisions('autogen', 1_024);
  const one = counting();
  const other = counting();
  for (const { call } of [one, one, other, other, one]) decisions.ask(call, aboutPublish('news', 's'));
  t.equal(one.asked(), 2);
  t.equal(other.asked(), 1);
});
