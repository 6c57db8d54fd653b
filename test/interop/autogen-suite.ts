// The same test for whatever carries AutoGen: real workers, real payloads, every byte compared.
import { randomBytes } from 'node:crypto';
import { type Line, PythonProgram } from './python-program.ts';
import { autogenPython } from './venv.ts';

export interface SuiteOptions {
  /** What is tested: "AutoGen's own host over TCP". */
  readonly name: string;
  /** Where worker A reaches the host, and where worker B does. They may be the same. */
  readonly addressA: string;
  readonly addressB: string;
  /** For each worker's process: a proxy to go through. */
  readonly envA?: Readonly<Record<string, string>>;
  readonly envB?: Readonly<Record<string, string>>;
}

export interface Result {
  readonly passed: number;
  readonly failed: number;
}

const driverTimeoutMs = 240_000;
const helloTimeoutMs = 30_000;

/** Checks that a run has at least: fewer means that it broke off. */
const minChecks = 17;

/** Worker A in a process of its own; worker B in another, which drives it. Prints a line a check. */
export async function runAutogenSuite(options: SuiteOptions): Promise<Result> {
  const { name, addressB, envB = {} } = options;
  const tally = new Tally(name);
  const started = performance.now();
  try {
    await driveWorkers(options, tally);
    await sayHello(addressB, envB, tally);
  } catch (error) {
    tally.add('runs to its end', false, error instanceof Error ? error.message : String(error));
  }
  process.stdout.write(
    `${name}: ${tally.passed} of ${tally.passed + tally.failed} in ${seconds(started)} s\n`,
  );
  return tally;
}

async function driveWorkers(
  { addressA, addressB, envA = {}, envB = {} }: SuiteOptions,
  tally: Tally,
): Promise<void> {
  const python = autogenPython();
  const mark = randomBytes(4).toString('hex');
  const worker = new PythonProgram(
    python,
    'test/interop/worker.py',
    [addressA, `a_${mark}`],
    undefined,
    envA,
  );
  try {
    await worker.ready;
    let finished = false;
    let checks = 0;
    const heard = ({ check, ok, detail, done }: Line) => {
      if (done) finished = true;
      if (check === undefined) return;
      checks += 1;
      tally.add(check, ok === true, detail);
    };
    const args = [addressB, `a_${mark}`, `b_${mark}`];
    const driver = new PythonProgram(python, 'test/interop/driver.py', args, heard, envB);
    const code = await within(driver, driverTimeoutMs);
    const whole = code === 0 && finished && checks >= minChecks;
    tally.add(
      `all ${minChecks} checks or more ran`,
      whole,
      `${checks} ran, exit ${code}\n${driver.complaint}`,
    );
  } finally {
    await worker.stop();
  }
}

/** The README's example. */
async function sayHello(address: string, env: Readonly<Record<string, string>>, tally: Tally): Promise<void> {
  const hello = new PythonProgram(autogenPython(), 'examples/hello.py', [address], undefined, env);
  const code = await within(hello, helloTimeoutMs);
  tally.add('examples/hello.py', code === 0, `exit ${code}\n${hello.complaint}`);
}

async function within(program: PythonProgram, timeoutMs: number): Promise<number> {
  const timer = setTimeout(() => program.kill(), timeoutMs);
  const code = await program.exited;
  clearTimeout(timer);
  return code;
}

/** Prints a line a check, and counts. */
export class Tally implements Result {
  passed = 0;
  failed = 0;
  readonly #name: string;

  constructor(name: string) {
    this.#name = name;
  }

  add(check: string, ok: boolean, detail = ''): void {
    if (ok) this.passed += 1;
    else this.failed += 1;
    const why = ok || !detail ? '' : `: ${detail}`;
    process.stdout.write(`${ok ? 'ok    ' : 'FAILED'} ${this.#name} > ${check}${why}\n`);
  }
}

function seconds(sinceMs: number): string {
  return ((performance.now() - sinceMs) / 1_000).toFixed(1);
}
