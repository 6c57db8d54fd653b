import t from 'tap';
import { createMetrics } from '../../../lib/observe/metrics.ts';

t.test('counters, counters by label and gauges are rendered as they are at the scrape', async t => {
  const metrics = createMetrics();
  const plain = metrics.counter('lockwire_sessions_total', 'Sessions');
  const denied = metrics.counters('lockwire_denied_total', 'Denials', ['target', 'code']);
  let open = 3;
  metrics.gauge('lockwire_sessions_open', 'Open sessions', () => open);
  plain.add();
  plain.add(4);
  denied('autogen', 'default-deny').add();
  denied('autogen', 'default-deny').add();
  denied('legacy', 'revoked').add();
  t.match(await metrics.render(), /^lockwire_sessions_total 5$/m);
  open = 7;
  plain.add();
  const text = await metrics.render();
  t.match(text, /^# TYPE lockwire_sessions_total counter$/m);
  t.match(text, /^lockwire_sessions_total 6$/m, 'nothing is counted twice by a second scrape');
  t.match(text, /^lockwire_denied_total\{target="autogen",code="default-deny"\} 2$/m);
  t.match(text, /^lockwire_denied_total\{target="legacy",code="revoked"\} 1$/m);
  t.match(text, /^lockwire_sessions_open 7$/m);
  t.match(metrics.contentType, /^text\/plain; version=0\.0\.4/);
});

t.test('memory and event loop lag are among them', async t => {
  const text = await createMetrics().render();
  t.match(text, /^process_resident_memory_bytes \d+$/m);
  t.match(text, /^nodejs_eventloop_lag_seconds \S+$/m);
});

t.test('asking twice gives the same counter; two instances share nothing', async t => {
  const one = createMetrics();
  one.counter('lockwire_a_total', 'A').add();
  one.counter('lockwire_a_total', 'A').add();
  t.equal(
    one.counters('lockwire_b_total', 'B', ['x'])('1'),
    one.counters('lockwire_b_total', 'B', ['x'])('1'),
  );
  t.match(await one.render(), /^lockwire_a_total 2$/m);
  t.notMatch(await createMetrics().render(), 'lockwire_a_total');
});

t.test('a gauge asked for again, as after a reload, reads the new source', async t => {
  const metrics = createMetrics();
  metrics.gauge('lockwire_g', 'G', () => 1);
  metrics.gauge('lockwire_g', 'G', () => 2);
  t.match(await metrics.render(), /^lockwire_g 2$/m);
});

t.test('a gauge that throws is NaN and takes no other metric with it', async t => {
  const metrics = createMetrics();
  metrics.counter('lockwire_h_total', 'H').add(2);
  metrics.gauge('lockwire_i', 'I', () => {
    throw new Error('closed');
  });
  const text = await metrics.render();
  t.match(text, /^lockwire_i Nan$/im);
  t.match(text, /^lockwire_h_total 2$/m);
});

t.test('the 1,001st series of a metric and those after it are counted under other', async t => {
  const metrics = createMetrics();
  const counters = metrics.counters('lockwire_c_total', 'C', ['who']);
  for (let n = 0; n < 1500; n += 1) counters(`w${n}`).add();
  counters('w0').add();
  const text = await metrics.render();
  t.equal(text.match(/^lockwire_c_total\{/gm)?.length, 1001);
  t.match(text, /^lockwire_c_total\{who="other"\} 500$/m);
  t.match(text, /^lockwire_c_total\{who="w0"\} 2$/m);
});

t.test('a label value with quotes and line ends stays one line', async t => {
  const metrics = createMetrics();
  metrics.counters('lockwire_d_total', 'D', ['who'])('a"} 1\nforged 5').add();
  t.notMatch(await metrics.render(), /^forged/m);
});

t.test('labels that don’t fit are our own bug', async t => {
  const metrics = createMetrics();
  t.throws(
    () => metrics.counters('lockwire_e_total', 'E', ['a', 'b'])('1'),
    /internal error: expected 2 label values, got 1/,
  );
  metrics.counter('lockwire_f_total', 'F');
  t.throws(() => metrics.counters('lockwire_f_total', 'F', ['a']), /internal error/);
});
