import t from 'tap';
import type { RowResult } from '../../../bench/path/measure.ts';
import { perPiece, type Row, type Target } from '../../../bench/path/rows.ts';
import { judge } from '../../../bench/path/verdict.ts';

function row(targets: readonly Target[]): Row {
  const load = { by: 'load', kind: 'h2-unary', amount: { full: 10 }, warmUp: 1 } as const;
  return { name: 'calls', title: 'calls', load, ...perPiece, targets };
}

/** Lockwire at 10 µs beside a peer at `price`, with rounds as far apart as `noise`. */
function measured(price: number, noise = 0.05): RowResult {
  const system = (name: 'lockwire' | 'nginx', of: number) => ({
    name,
    price: of,
    prices: [of],
    memoryBytes: 1,
  });
  const ratio = 10 / price;
  const comparisons = [{ peer: 'nginx', ratio, ratios: [ratio], noise }] as const;
  const systems = [system('lockwire', 10), system('nginx', price)];
  return { scenario: 'http2', name: 'calls', title: 'calls', unit: 'µs', systems, comparisons };
}

const target: Target = { peer: 'nginx', must: 0.5, aim: 0.25 };

t.test('a full run says of each target whether the aim is met, the must is met, or neither', async t => {
  const say = (price: number) => judge(row([target]), measured(price), 'full', undefined)[0];
  t.match(say(50), { ok: true, text: 'aim met', measured: '0.20 × nginx' });
  t.match(say(25), { ok: true, text: 'must met' });
  t.match(say(19), { ok: false, text: 'over 0.50' });
});

t.test('a missed aim without a must fails nothing', async t => {
  const [verdict] = judge(row([{ peer: 'nginx', aim: 0.25 }]), measured(20), 'full', undefined);
  t.match(verdict, { ok: true, text: 'aim missed', must: '' });
});

t.test('more than 20 % of noise fails a full run and not a short one', async t => {
  t.match(judge(row([target]), measured(50, 0.21), 'full', undefined), [{ ok: false, text: 'noise 21 %' }]);
  t.match(judge(row([target]), measured(50, 0.2), 'full', undefined), [{ ok: true }]);
  t.match(judge(row([target]), measured(50, 0.5), 'short', undefined), [{ ok: true }]);
});

t.test('a short run fails only over three times what was recorded, or over three times the must', async t => {
  const recorded = measured(40);
  const short = (price: number, before?: RowResult) =>
    judge(row([target]), measured(price), 'short', before)[0];
  t.match(short(14, recorded), { ok: true });
  t.match(short(13, recorded), { ok: false, text: 'over 0.75' });
  t.match(short(7), { ok: true });
  t.match(short(6), { ok: false, text: 'over 1.5' });
});

t.test('an amount is judged in the unit of its row', async t => {
  const amount: Target = { mustAtMost: 9, aimAtMost: 5 };
  t.match(judge(row([amount]), measured(20), 'full', undefined), [{ ok: false, must: '≤ 9 µs' }]);
});

t.test(
  'what is added to a peer is judged by the difference of the medians and the noise of the differences',
  async t => {
    const adds: Target = { over: 'direct', mustAdd: 1.5, aimAdd: 0.6 };
    const say = (price: number, noise = 0.1, form: 'full' | 'short' = 'full') => {
      const result = measured(1);
      const added = { price, prices: [price], noise };
      const comparisons = [{ peer: 'direct', ratio: 2, ratios: [2], noise: 0.9, added }] as const;
      const direct = { name: 'direct', price: 1, prices: [1], memoryBytes: 0 } as const;
      const systems = [...result.systems, direct];
      return judge(row([adds]), { ...result, unit: 'ms', systems, comparisons }, form, undefined)[0];
    };
    t.match(say(0.6), { ok: true, text: 'aim met', measured: 'direct + 0.60 ms' });
    t.match(say(1.5), { ok: true, text: 'must met', must: '≤ direct + 1.50 ms' });
    t.match(say(1.6), { ok: false, text: 'over 1.5' });
    t.match(say(0.6, 0.21), { ok: false, text: 'noise 21 %' });
    t.match(say(4.5, 0.5, 'short'), { ok: true });
    t.match(say(4.6, 0.5, 'short'), { ok: false });
    t.same(judge(row([adds]), measured(20), 'full', undefined), [], 'direct was not measured');
  },
);

t.test('what could not be measured has failed; a peer that was not asked for is left out', async t => {
  t.match(judge(row([target]), measured(Number.NaN), 'full', undefined), [
    { ok: false, text: 'not measured' },
  ]);
  t.same(judge(row([{ peer: 'envoy', must: 1 }]), measured(20), 'full', undefined), []);
});
