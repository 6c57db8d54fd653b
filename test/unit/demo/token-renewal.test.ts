import { mkdir, mkdtemp, readdir, readFile, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import type { Timer } from '../../../lib/core/clock.ts';
import { type Log, silentLog } from '../../../lib/core/ports.ts';
import type { TokenRequest } from '../../../lib/demo/development-issuer.ts';
import { startRenewal } from '../../../lib/demo/token-renewal.ts';
import { TurnedClock } from '../../support/transport-clock.ts';

const minuteMs = 60_000;

/** Tells each time a timer is set: the renewal has finished what it did and waits again. */
class HeardClock extends TurnedClock {
  heard: () => void = () => {};
  sleptMs = 0;

  override now(): number {
    return super.now() + this.sleptMs;
  }

  override after(delayMs: number, callback: () => void): Timer {
    const timer = super.after(delayMs, callback);
    this.heard();
    return timer;
  }

  /** Goes on in steps of 30 s, each after what the step before set off is done. */
  async run(ms: number): Promise<void> {
    for (let passed = 0; passed < ms; passed += 30_000) {
      const waits = new Promise<void>(resolve => {
        this.heard = resolve;
      });
      this.turn(30_000);
      await waits;
    }
  }
}

async function scene(t: Test, log: Log = silentLog) {
  const directory = await mkdtemp(join(tmpdir(), 'lockwire-'));
  t.teardown(() => rm(directory, { recursive: true, force: true }));
  const file = join(directory, 'connect.jwt');
  const clock = new HeardClock();
  const minted: TokenRequest[] = [];
  const mint = async (request: TokenRequest): Promise<string> => {
    minted.push(request);
    return `token-${minted.length}`;
  };
  const renewal = await startRenewal({ file, subject: 'connect', clock, log }, mint);
  const current = async (): Promise<string> => (await readFile(file, 'utf8')).trim();
  return { directory, file, clock, minted, renewal, current };
}

t.test('a token of an hour is there at once, 0600, and is replaced at 48 minutes, day after day', async t => {
  const { file, clock, minted, current, directory } = await scene(t);
  t.match(minted, [{ subject: 'connect', lifetimeMs: 60 * minuteMs }]);
  t.equal(await current(), 'token-1');
  t.equal((await stat(file)).mode & 0o777, 0o600);
  await clock.run(47 * minuteMs + 30_000);
  t.equal(await current(), 'token-1');
  await clock.run(30_000);
  t.equal(await current(), 'token-2');
  await clock.run(24 * 60 * minuteMs);
  t.equal(await current(), 'token-32');
  t.same(await readdir(directory), ['connect.jwt'], 'no temporary file is left');
});

t.test('after a sleep of the machine, in which timers stand still, it is replaced within 30 s', async t => {
  const { clock, current } = await scene(t);
  await clock.run(10 * minuteMs);
  clock.sleptMs = 8 * 60 * minuteMs;
  await clock.run(30_000);
  t.equal(await current(), 'token-2');
});

t.test('a directory that is gone is told, tried again every 30 s, and renewed when it is back', async t => {
  const warnings: unknown[] = [];
  const { directory, clock, current } = await scene(t, {
    ...silentLog,
    warn: fields => warnings.push(fields),
  });
  await rm(directory, { recursive: true });
  await clock.run(48 * minuteMs);
  t.equal(warnings.length, 1);
  await clock.run(minuteMs);
  t.equal(warnings.length, 3);
  t.notOk(JSON.stringify(warnings).includes('token-'), 'no token in the log');
  await mkdir(directory);
  await clock.run(30_000);
  t.equal(await current(), 'token-5');
});

t.test('stopped, it renews no more; a first token that cannot be written is an error', async t => {
  const { clock, renewal, minted } = await scene(t);
  renewal.stop();
  t.equal(clock.timers, 0);
  clock.turn(60 * minuteMs);
  t.equal(minted.length, 1);
  const options = { file: '/nowhere/token', subject: 'x', clock, log: silentLog };
  await t.rejects(
    startRenewal(options, async () => 'token'),
    { code: 'io', message: /^cannot write \/nowhere\/token/ },
  );
});
