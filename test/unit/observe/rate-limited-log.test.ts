import t from 'tap';
import type { LogFields } from '../../../lib/core/ports.ts';
import { RateLimitedLog, type RateLimitedLogOptions } from '../../../lib/observe/rate-limited-log.ts';
import { manualClock } from '../../support/observe-clock.ts';

function make(options: Partial<RateLimitedLogOptions> = {}) {
  const clock = manualClock();
  const lines: string[] = [];
  const log = new RateLimitedLog({
    clock,
    write: (_: LogFields, message: string) => lines.push(message),
    ...options,
  });
  return { clock, lines, log };
}

t.test('10 lines a minute and key pass, then one says how many more there were', async t => {
  const { clock, lines, log } = make();
  for (let n = 0; n < 500; n += 1) log.line('192.0.2.1', {}, 'rubbish');
  log.line('192.0.2.2', {}, 'honest');
  t.equal(lines.length, 11);
  t.equal(lines.at(-1), 'honest', 'another source is not held back');
  clock.advance(60_000);
  t.equal(lines.at(-1), 'rubbish (490 more like it)');
  log.line('192.0.2.1', {}, 'rubbish');
  t.equal(lines.at(-1), 'rubbish', 'after a minute it may speak again');
  clock.advance(60_000);
  t.equal(clock.timers, 0, 'no timer is left');
  t.equal(lines.length, 13);
});

t.test('1,000 keys are followed, the oldest goes and its count is said', async t => {
  const { lines, log } = make({ linesPerMinute: 1, maxKeys: 1000, totalPerMinute: 1_000_000 });
  log.line('first', {}, 'first');
  log.line('first', {}, 'first');
  for (let n = 0; n < 1000; n += 1) log.line(`key${n}`, {}, 'x');
  t.ok(lines.includes('first (1 more like it)'));
  t.equal(lines.length, 1002);
});

t.test('a flood from 100,000 sources is 600 lines a minute, and the rest a number', async t => {
  const { clock, lines, log } = make();
  for (let n = 0; n < 100_000; n += 1) log.line(`source ${n}`, {}, 'rubbish');
  t.equal(lines.length, 600);
  clock.advance(60_000);
  t.equal(lines.at(-1), '99400 more such lines from many sources');
  t.equal(lines.length, 601);
});

t.test('closing says what was held back', async t => {
  const { clock, lines, log } = make({ linesPerMinute: 1 });
  log.line('a', { source: 'a' }, 'x');
  log.line('a', { source: 'a' }, 'x');
  log.close();
  t.strictSame(lines, ['x', 'x (1 more like it)']);
  t.equal(clock.timers, 0);
});
