import t from 'tap';
import { LeakyBuckets } from '../../../lib/transport/leaky-buckets.ts';
import { sourceOf } from '../../../lib/transport/source.ts';
import { type Pending, Unfinished } from '../../../lib/transport/unfinished.ts';
import { TurnedClock } from '../../support/transport-clock.ts';

t.test('a source is an IPv4 address or an IPv6 /64, however it is written', t => {
  const cases: [string, string][] = [
    ['192.0.2.1', '192.0.2.1'],
    ['::ffff:192.0.2.1', '192.0.2.1'],
    ['2001:db8:1:2:3:4:5:6', '2001:db8:1:2::/64'],
    ['2001:db8:1:2::9', '2001:db8:1:2::/64'],
    ['2001:0db8:0001:0002:ffff::', '2001:db8:1:2::/64'],
    ['2001:db8::9', '2001:db8:0:0::/64'],
    ['2001:db8::1:0:0:1', '2001:db8:0:0::/64'],
    ['::1', '0:0:0:0::/64'],
    ['::', '0:0:0:0::/64'],
    ['fe80::1%eth0', 'fe80:0:0:0::/64'],
    ['64:ff9b::192.0.2.33', '64:ff9b:0:0::/64'],
    ['1:2:3:4:5:6:192.0.2.33', '1:2:3:4::/64'],
  ];
  for (const [address, source] of cases) t.equal(sourceOf(address), source, address);
  t.end();
});

t.test('a bucket of 20 a minute is full at 20, drains one in 3 s and is empty after a minute', t => {
  const clock = new TurnedClock();
  const buckets = new LeakyBuckets(clock, { size: 20, periodMs: 60_000, maxKeys: 10 });
  for (let i = 0; i < 20; i += 1) t.ok(buckets.add('a'));
  t.ok(buckets.isFull('a'));
  t.notOk(buckets.add('a'));
  t.notOk(buckets.isFull('b'));
  clock.turn(2_999);
  t.ok(buckets.isFull('a'));
  clock.turn(1);
  t.notOk(buckets.isFull('a'));
  t.ok(buckets.add('a'));
  t.notOk(buckets.add('a'));
  clock.turn(60_000);
  for (let i = 0; i < 20; i += 1) t.ok(buckets.add('a'));
  t.end();
});

t.test('of 100,000 keys 4,096 are kept, and those last touched', t => {
  const clock = new TurnedClock();
  const buckets = new LeakyBuckets(clock, { size: 2, periodMs: 60_000, maxKeys: 4096 });
  buckets.add('old');
  buckets.add('old');
  buckets.add('busy');
  buckets.add('busy');
  for (let i = 0; i < 100_000; i += 1) {
    buckets.add(`key ${i}`);
    if (i % 1000 === 0) buckets.add('busy');
  }
  t.equal(buckets.keys, 4096);
  t.ok(buckets.isFull('busy'));
  t.notOk(buckets.isFull('old'), 'longest untouched, so forgotten');
  t.end();
});

function pending(source: string, dropped: string[], name: string): Pending {
  return { source, drop: why => dropped.push(`${name} ${why}`) };
}

t.test('at the cap of a source its own oldest goes, at the cap of all the oldest of all', t => {
  const dropped: string[] = [];
  const unfinished = new Unfinished(new TurnedClock(), {
    deadlineMs: 10_000,
    maxUnfinished: 4,
    maxUnfinishedPerSource: 2,
  });
  unfinished.add(pending('a', dropped, 'a1'));
  unfinished.add(pending('b', dropped, 'b1'));
  unfinished.add(pending('b', dropped, 'b2'));
  unfinished.add(pending('b', dropped, 'b3'));
  t.same(dropped, ['b1 crowded-out']);
  unfinished.add(pending('c', dropped, 'c1'));
  t.equal(unfinished.size, 4);
  unfinished.add(pending('d', dropped, 'd1'));
  t.same(dropped, ['b1 crowded-out', 'a1 crowded-out']);
  t.equal(unfinished.size, 4);
  t.end();
});

t.test('each is due at its own time under one timer, which goes with the last', t => {
  const clock = new TurnedClock();
  const dropped: string[] = [];
  const unfinished = new Unfinished(clock, {
    deadlineMs: 10_000,
    maxUnfinished: 512,
    maxUnfinishedPerSource: 128,
  });
  const first = pending('a', dropped, 'first');
  unfinished.add(first);
  clock.turn(4_000);
  unfinished.add(pending('a', dropped, 'second'));
  clock.turn(4_000);
  const third = pending('b', dropped, 'third');
  unfinished.add(third);
  t.equal(clock.timers, 1);
  unfinished.remove(first);
  unfinished.remove(first);
  clock.turn(5_999);
  t.same(dropped, []);
  clock.turn(1);
  t.same(dropped, ['second deadline']);
  t.equal(unfinished.size, 1);
  unfinished.remove(third);
  t.equal(clock.timers, 0);
  t.equal(unfinished.dropOldest(), false);
  t.end();
});
