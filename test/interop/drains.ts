// Real AutoGen workers under steady load while their gateway is replaced by another on the same port: five times.
import type { Program } from '../support/e2e-program.ts';
import { type Gateway, type Side, World } from '../support/e2e-world.ts';
import { admin } from '../support/store-admin.ts';
import type { Result, Tally } from './autogen-suite.ts';
import { runCase, startHost } from './case.ts';
import { judgeUntilItsEnd, judgeWhole, leastMessages, Steady } from './steady.ts';

const drains = 5;
/** Of the last one: its load outlasts it. */
const shortDrainMs = 5_000;
/** How long before that its last answer may have come, and how long after it the gateway may take to end. */
const quietMs = 1_000;
const lateMs = 3_000;

/** Those on the way of all the workers, whatever becomes of the gateway. */
interface Sides {
  readonly connects: readonly [Side, Side];
  readonly expose: Side;
}

interface Drain {
  /** Wall time. */
  readonly toldMs: number;
  readonly ended: Promise<{ readonly code: number | null; readonly tookMs: number }>;
}

/** Tells a gateway to end; comes back when connects and expose know. */
async function beginDrain(gateway: Gateway, { connects, expose }: Sides): Promise<Drain> {
  const programs = [...connects, expose].map(({ program }) => ({ program, before: program.logs.length }));
  const toldMs = Date.now();
  gateway.program.signal('SIGTERM');
  const ended = gateway.program.ended.then(({ code }) => ({ code, tookMs: Date.now() - toldMs }));
  const msg = 'gateway goes away; dialling again';
  for (const { program, before } of programs) await program.logged(line => line.msg === msg, msg, before);
  return { toldMs, ended };
}

/** The reasons of all the streams that it ever carried. */
function reasons(gateway: Gateway): string {
  const ended = gateway.program.logs.filter(({ msg }) => msg === 'session ended');
  return ended.map(({ reason }) => String(reason)).join(' ');
}

/** The load ends by itself, and with it the gateway that it was left to. */
async function endsByItself(tally: Tally, load: Steady, draining: Gateway, { ended }: Drain): Promise<void> {
  await load.carries(leastMessages);
  await load.flows();
  tally.add(
    'meanwhile the old ones go on',
    draining.program.alive && reasons(draining) === '',
    reasons(draining),
  );
  judgeWhole(tally, await load.end());
  const { code } = await ended;
  tally.add(`its gateway ends with its last stream: ${reasons(draining)}`, code === 0, `exit ${code}`);
}

/** The gateway's time is up before the load is. */
async function isCutShort(
  tally: Tally,
  load: Steady,
  draining: Gateway,
  { toldMs, ended }: Drain,
): Promise<void> {
  const { code, tookMs } = await ended;
  const outcome = await load.end('ended');
  judgeUntilItsEnd(tally, outcome);
  const lastMs = Math.round(outcome.last.endedMs - toldMs);
  const inTime = tookMs >= shortDrainMs && tookMs < shortDrainMs + lateMs;
  tally.add(
    `drainTimeout ${shortDrainMs} ms: its last answer came after ${lastMs} ms, the gateway ended after ${tookMs} ms`,
    code === 0 && inTime && lastMs > shortDrainMs - quietMs,
    `exit ${code}`,
  );
  tally.add(`its streams end with a reason: ${reasons(draining)}`, reasons(draining) === 'shutdown shutdown');
}

export function drainUnderLoad(name: string): Promise<Result> {
  return runCase(name, async (tally, undo) => {
    const { address } = await startHost(undo);
    const world = await World.make(undo);
    const start = (bind: string, drain: number): Promise<Gateway> =>
      world.gateway({
        store: 'shared',
        bind,
        ...(drain === drains ? { drainTimeout: `${shortDrainMs}ms` } : {}),
      });
    let gateway = await start('127.0.0.1:0', 1);
    const expose = await world.expose(gateway, { target: 'rpc', to: address });
    const side = { target: 'rpc' };
    const sides: Sides = {
      connects: [await world.connect(gateway, side), await world.connect(gateway, side)],
      expose,
    };
    const [a, b] = sides.connects;
    const bind = `127.0.0.1:${gateway.port}`;
    let load = await Steady.start(undo, [a.address, b.address], 'load_1');
    for (let number = 1; number <= drains; number += 1) {
      const carried = await relayed(gateway);
      const drain = await beginDrain(gateway, sides);
      const successor = await start(bind, number + 1);
      const readyMs = Date.now();
      const exposed = successor.program
        .logged(({ msg, role }) => msg === 'tunnel up' && role === 'expose', 'expose at the successor')
        .then(() => Date.now() - readyMs);
      // New workers on the same ports and at the same host, while the old ones go on in the gateway that drains. They do
      // not wait for expose: the successor does.
      const next = await Steady.start(undo, [a.address, b.address], `load_${number + 1}`);
      const moved = await relayed(successor);
      const exposedMs = await exposed;
      tally.add(
        `drain ${number}: two streams stay, two new ones go to the successor, where expose is ${exposedMs} ms after its start`,
        carried === 2 && moved === 2,
        `${carried} and ${moved}`,
      );
      if (number < drains) await endsByItself(tally, load, gateway, drain);
      else await isCutShort(tally, load, gateway, drain);
      [gateway, load] = [successor, next];
    }
    await load.carries(leastMessages);
    judgeWhole(tally, await load.end());
    const told = sides.connects.map(({ program }) => shutdowns(program));
    tally.add(
      'each connect tells of the one stream that was cut short',
      String(told) === '1,1',
      String(told),
    );
  });
}

async function relayed(gateway: Gateway): Promise<number> {
  return (await admin(gateway, 'GET', '/sessions')).relays.length;
}

function shutdowns({ logs }: Program): number {
  return logs.filter(({ msg, reason }) => msg === 'stream ended' && reason === 'shutdown').length;
}
