// What the cases have in common that start the parts of the wire themselves: AutoGen's host, and what is undone after them.
import { type Result, Tally } from './autogen-suite.ts';
import { PythonProgram } from './python-program.ts';
import { autogenPython } from './venv.ts';

/** What must be undone, the last first. */
export class Undo {
  readonly #steps: (() => unknown)[] = [];

  teardown(step: () => unknown): void {
    this.#steps.unshift(step);
  }

  async run(): Promise<void> {
    for (const step of this.#steps) await step();
  }
}

/** Runs a case to its end, whatever happens in it, and counts what it found. */
export async function runCase(
  name: string,
  body: (tally: Tally, undo: Undo) => Promise<void>,
): Promise<Result> {
  const tally = new Tally(name);
  const undo = new Undo();
  const startedMs = performance.now();
  try {
    await body(tally, undo);
  } catch (error) {
    tally.add('runs to its end', false, error instanceof Error ? error.message : String(error));
  } finally {
    await undo.run();
  }
  const seconds = ((performance.now() - startedMs) / 1_000).toFixed(1);
  process.stdout.write(`${name}: ${tally.passed} of ${tally.passed + tally.failed} in ${seconds} s\n`);
  return tally;
}

/** AutoGen's own host on a port of loopback. */
export async function startHost(
  undo: Undo,
): Promise<{ address: string; port: number; residentBytes(): number }> {
  const program = new PythonProgram(autogenPython(), 'test/interop/host.py', ['127.0.0.1:0']);
  undo.teardown(() => program.stop());
  const { address = '' } = await program.ready;
  return {
    address,
    port: Number(address.split(':').at(-1)),
    residentBytes: () => program.residentBytes(),
  };
}
