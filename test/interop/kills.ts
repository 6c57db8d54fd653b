// A real AutoGen worker whose connect is killed: what it loses, and how soon the next one has its agent types.
import { World } from '../support/e2e-world.ts';
import { type Result, Tally } from './autogen-suite.ts';
import { host, Undo } from './cuts.ts';
import { PythonProgram } from './python-program.ts';
import { autogenPython } from './venv.ts';

const withinMs = 5_000;

const worker = (address: string): PythonProgram =>
  new PythonProgram(autogenPython(), 'test/interop/steady.py', ['worker', address, 'a']);

export async function killConnect(name: string): Promise<Result> {
  const tally = new Tally(name);
  const undo = new Undo();
  try {
    const { program, port } = await host();
    undo.teardown(() => program.stop());
    const world = await World.make(undo);
    const gateway = await world.gateway();
    await world.expose(gateway, { target: 'rpc', to: `127.0.0.1:${port}` });
    const args = ['--instance-key-file', `${world.directory}/worker.key`];
    const first = await world.connect(gateway, { target: 'rpc', args });
    const before = worker(first.address);
    await before.ready;

    const startedMs = performance.now();
    const since = (): number => Math.round(performance.now() - startedMs);
    await first.program.kill();
    const again = await world.connect(gateway, { target: 'rpc', args, listen: first.address });
    const connectMs = since();
    // The one that was there is no use any more: AutoGen doesn't reconnect.
    before.kill();
    const after = worker(again.address);
    await after.ready;
    const what = `a worker registers the same agent types ${since()} ms after its connect was killed`;
    tally.add(`${what}, ${since() - connectMs} ms of them its own start`, since() < withinMs);
    await after.stop();
  } catch (error) {
    tally.add('runs to its end', false, error instanceof Error ? error.message : String(error));
  } finally {
    await undo.run();
  }
  return tally;
}
