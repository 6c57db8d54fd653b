import t from 'tap';
import { type Log, silentLog } from '../../../lib/core/ports.ts';
import { BypassWatch } from '../../../lib/expose-bypass.ts';
import type { BoundAddresses } from '../../../lib/transport/bound-addresses.ts';
import { TurnedClock } from '../../support/transport-clock.ts';

const to = { kind: 'tcp', host: '127.0.0.1', port: 50_052 } as const;
const inside: BoundAddresses = { loopback: true, beyond: [] };
const outside: BoundAddresses = { loopback: false, beyond: ['0.0.0.0'] };
const absent: BoundAddresses = { loopback: false, beyond: [] };

/** A watch whose looks the test decides. */
function watch(required: boolean) {
  const clock = new TurnedClock();
  const lines: string[] = [];
  const say = (level: string) => (_: unknown, text: string) =>
    void lines.push(`${level} ${text.slice(0, 30)}`);
  const log: Log = { ...silentLog, info: say('info'), warn: say('warn') };
  const world = { bound: inside as BoundAddresses | Error, looks: 0 };
  const look = async (): Promise<BoundAddresses> => {
    world.looks += 1;
    if (world.bound instanceof Error) throw world.bound;
    return world.bound;
  };
  const bypass = new BypassWatch({ to, required }, { clock, log, look });
  const turn = async (ms: number): Promise<void> => {
    clock.turn(ms);
    await new Promise(setImmediate);
  };
  return { bypass, clock, lines, world, turn };
}

const hour = 3_600_000;

t.test('looks at start and each hour, and says what has changed once', async t => {
  const { bypass, lines, world, turn, clock } = watch(false);
  await bypass.start();
  await turn(hour - 1);
  t.equal(world.looks, 1);
  world.bound = outside;
  for (let i = 0; i < 3; i += 1) await turn(hour);
  t.equal(world.looks, 4);
  t.same(bypass.beyond, ['0.0.0.0']);
  world.bound = inside;
  await turn(hour);
  t.same(lines, ['warn the host can be reached past l', 'info the host is bound to loopback ']);
  bypass.stop();
  t.equal(clock.timers, 0);
});

t.test('required: refuses at start, and later says once that it must not go on', async t => {
  const at = watch(true);
  at.world.bound = outside;
  await t.rejects(at.bypass.start(), {
    code: 'denied',
    message:
      /^127\.0\.0\.1:50052 is bound beyond loopback \(0\.0\.0\.0\), and --require-no-bypass refuses that: bind the/,
  });
  const later = watch(true);
  await later.bypass.start();
  later.world.bound = outside;
  await later.turn(hour);
  t.match(await later.bypass.forbidden, { code: 'denied' });
});

t.test('where the system does not tell: said once, and refused at start where it is required', async t => {
  const { bypass, lines, world, turn } = watch(false);
  world.bound = new Error('no table');
  await bypass.start();
  await turn(hour);
  await turn(hour);
  t.same(lines, ['warn this system does not tell whet']);
  t.equal(world.looks, 3);
  const strict = watch(true);
  strict.world.bound = new Error('no table');
  await t.rejects(strict.bypass.start(), {
    code: 'denied',
    message: /may be bound beyond loopback: no table/,
  });
});

t.test(
  'a host that was not there at start is looked at when it is first reached, at most once a minute',
  async t => {
    const { bypass, world, turn, lines } = watch(false);
    world.bound = absent;
    await bypass.start();
    bypass.reached();
    t.equal(world.looks, 1, 'too soon');
    await turn(60_000);
    world.bound = outside;
    bypass.reached();
    await turn(0);
    t.equal(world.looks, 2);
    t.equal(lines.length, 1);
    await turn(60_000);
    bypass.reached();
    t.equal(world.looks, 2, 'seen: the hour is enough');
  },
);

t.test('a unix socket is never looked at', async t => {
  const clock = new TurnedClock();
  const look = async () => t.fail('looked') as never;
  const bypass = new BypassWatch(
    { to: { kind: 'unix', path: '/run/host.sock' }, required: true },
    { clock, log: silentLog, look },
  );
  await bypass.start();
  bypass.reached();
  t.equal(clock.timers, 0);
});
