// Runs the fuzz targets of this folder, each in a worker under a watchdog, and says last how many held.
// Usage: npm run fuzz -- [--seconds N] [--seed N] [--jobs N] [target...]
//        npm run fuzz -- --seed N --tries 1 target   does one finding again
import { readdirSync } from 'node:fs';
import { basename } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { parseArgs } from 'node:util';
import { isMainThread, parentPort, Worker, workerData } from 'node:worker_threads';
import { eachAtMost, type FuzzTarget, Random } from '../support/fuzz.ts';

/** A try that takes longer than this hangs. */
const hangMs = 10_000;
/** Seeds of one run lie apart by this, so that each try has its own. */
const seedStep = 0x9e3779b1;
/** Targets that run at a time: a worker each. */
const defaultJobs = 1;
const maxJobs = 16;

interface Job {
  readonly file: string;
  readonly seconds: number;
  readonly tries: number;
  readonly seed: number;
  /** The number of the try that runs now, for the watchdog. */
  readonly progress: SharedArrayBuffer;
}

type Outcome = { readonly tries: number; readonly failedSeed?: number; readonly error?: string };

if (isMainThread) await main();
else parentPort?.postMessage(await work(workerData as Job));

async function work({ file, seconds, tries, seed, progress }: Job): Promise<Outcome> {
  const { target } = (await import(pathToFileURL(file).href)) as { target: FuzzTarget };
  const current = new Int32Array(progress);
  const end = performance.now() + seconds * 1_000;
  let own = seed;
  // What a callback of a timer or a promise throws belongs to the try that runs now.
  const loose = new Promise<never>((_, reject) => {
    process.on('uncaughtException', reject);
    process.on('unhandledRejection', reject);
  });
  loose.catch(() => {});
  for (let done = 0; done < tries && performance.now() < end; done += 1) {
    Atomics.store(current, 0, done);
    try {
      await Promise.race([target.once(new Random(own)), loose]);
    } catch (error) {
      return {
        tries: done + 1,
        failedSeed: own,
        error: error instanceof Error ? String(error.stack) : String(error),
      };
    }
    own = (own + seedStep) | 0;
  }
  return { tries: Atomics.load(current, 0) + 1 };
}

async function main(): Promise<void> {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: {
      seconds: { type: 'string' },
      seed: { type: 'string' },
      tries: { type: 'string' },
      jobs: { type: 'string' },
    },
  });
  const folder = fileURLToPath(new URL('.', import.meta.url));
  const all = readdirSync(folder)
    .map(name => basename(name, '.ts'))
    .filter(name => name !== 'run')
    .sort();
  const names = positionals.length > 0 ? positionals : all;
  const seed = Number(values.seed ?? Math.floor(Math.random() * 2 ** 31)) | 0;
  const jobs = Number(values.jobs ?? defaultJobs);
  if (!Number.isInteger(jobs) || jobs < 1 || jobs > maxJobs) {
    process.stdout.write(`--jobs ${values.jobs}: expected 1 to ${maxJobs}\n0 passed, 1 failed\n`);
    process.exit(1);
  }
  process.stdout.write(`seed ${seed}\n`);
  let failed = 0;
  await eachAtMost(jobs, names, async name => {
    const outcome = await fuzz(name);
    if (outcome.error === undefined) {
      process.stdout.write(`ok     ${name}: ${outcome.tries} tries\n`);
      return;
    }
    failed += 1;
    const again = `npm run fuzz -- --seed ${outcome.failedSeed} --tries 1 ${name}`;
    process.stdout.write(`FAILED ${name} in try ${outcome.tries}: ${outcome.error}\n`);
    if (outcome.failedSeed !== undefined) process.stdout.write(`  again: ${again}\n`);
  });
  process.stdout.write(`${names.length - failed} passed, ${failed} failed\n`);
  // A target may leave a timer behind; the count is what matters.
  process.exit(failed > 0 || names.length === 0 ? 1 : 0);

  async function fuzz(name: string): Promise<Outcome> {
    if (!all.includes(name)) return { tries: 0, error: `no such target, there are ${all.join(', ')}` };
    return run({
      file: `${folder}${name}.ts`,
      seconds: Number(values.seconds ?? 5),
      tries: Number(values.tries ?? Number.MAX_SAFE_INTEGER),
      seed,
      progress: new SharedArrayBuffer(4),
    });
  }
}

function run(job: Job): Promise<Outcome> {
  return new Promise(resolve => {
    const worker = new Worker(new URL(import.meta.url), { workerData: job });
    const current = new Int32Array(job.progress);
    let last = -1;
    const finish = (outcome: Outcome): void => {
      clearInterval(watchdog);
      void worker.terminate();
      resolve(outcome);
    };
    const fail = (error: string): void => {
      const tries = Atomics.load(current, 0);
      finish({ tries: tries + 1, failedSeed: (job.seed + Math.imul(tries, seedStep)) | 0, error });
    };
    const watchdog = setInterval(() => {
      const now = Atomics.load(current, 0);
      if (now === last) fail(`no end within ${hangMs} ms`);
      last = now;
    }, hangMs);
    worker.on('message', finish);
    worker.on('error', error => fail(error instanceof Error ? String(error.stack) : String(error)));
    worker.on('exit', code => fail(`the worker ended with ${code}`));
  });
}
