import t from 'tap';
import { defaultShareLimits, Shares } from '../../../lib/gateway-shares.ts';
import { TurnedClock } from '../../support/transport-clock.ts';

const expose = (maxStreams: number) => ({ streamCount: 0, limits: { maxStreams } });

t.test('one principal gets half of 100 streams, the next half of what is left', async t => {
  const shares = new Shares(new TurnedClock());
  const at = expose(100);
  const fill = (who: string): number => {
    let taken = 0;
    try {
      for (;;) {
        shares.take(at, who);
        at.streamCount += 1;
        taken += 1;
      }
    } catch (error) {
      t.match(error, { code: 'limit', message: /at most half is for one/ });
      return taken;
    }
  };
  t.same([fill('a'), fill('b'), fill('c')], [50, 25, 13]);
});

t.test('a place that was left is free again, once however often it is left', async t => {
  const shares = new Shares(new TurnedClock());
  const at = expose(4);
  const leave = [shares.take(at, 'a'), shares.take(at, 'a')];
  at.streamCount = 2;
  t.throws(() => shares.take(at, 'a'), { code: 'limit' });
  leave[0]?.();
  leave[0]?.();
  at.streamCount = 1;
  shares.take(at, 'a');
  at.streamCount = 2;
  t.throws(() => shares.take(at, 'a'), { code: 'limit' }, 'one place was freed, not two');
});

t.test('257 opens at once: the last is refused; another principal and another second are not', async t => {
  const clock = new TurnedClock();
  const shares = new Shares(clock);
  const at = expose(4_096);
  for (let i = 0; i < defaultShareLimits.opensBurst; i += 1) shares.take(at, 'a')();
  t.throws(() => shares.take(at, 'a'), {
    code: 'limit',
    message: /more than 128 opens a second by this principal/,
  });
  shares.take(at, 'b');
  shares.take(expose(4_096), 'a');
  clock.turn(1000);
  for (let i = 0; i < defaultShareLimits.opensPerSecond; i += 1) shares.take(at, 'a')();
  t.throws(() => shares.take(at, 'a'), { code: 'limit' });
});

t.test(
  'beyond 3 remembered principals those without a stream are forgotten, one with a stream is not',
  async t => {
    const shares = new Shares(new TurnedClock(), { ...defaultShareLimits, opensBurst: 2, maxIdle: 3 });
    const at = expose(4_096);
    const leave = shares.take(at, 'a');
    shares.take(at, 'a')();
    for (const who of ['b', 'c', 'd', 'e', 'f']) shares.take(at, who)();
    t.throws(() => shares.take(at, 'a'), { code: 'limit' }, 'its rate is remembered while it has a stream');
    leave();
  },
);
