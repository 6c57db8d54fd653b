// A real AutoGen worker whose connect is killed: what it loses, and how soon the next one has its agent types.
import { World } from '../support/e2e-world.ts';
import type { Result } from './autogen-suite.ts';
import { runCase, startHost } from './case.ts';
import { startWorker } from './steady.ts';

const withinMs = 5_000;

export function killConnect(name: string): Promise<Result> {
  return runCase(name, async (tally, undo) => {
    const { address } = await startHost(undo);
    const world = await World.make(undo);
    const gateway = await world.gateway();
    await world.expose(gateway, { target: 'rpc', to: address });
    const args = ['--instance-key-file', `${world.directory}/worker.key`];
    const first = await world.connect(gateway, { target: 'rpc', args });
    const before = startWorker(first.address, 'a');
    undo.teardown(() => before.kill());
    await before.ready;

    const startedMs = performance.now();
    const since = (): number => Math.round(performance.now() - startedMs);
    await first.program.kill();
    const again = await world.connect(gateway, { target: 'rpc', args, listen: first.address });
    const connectMs = since();
    // The one that was there is no use any more: AutoGen doesn't reconnect.
    before.kill();
    const after = startWorker(again.address, 'a');
    undo.teardown(() => after.kill());
    await after.ready;
    const what = `a worker registers the same agent types ${since()} ms after its connect was killed`;
    tally.add(`${what}, ${since() - connectMs} ms of them its own start`, since() < withinMs);
    await after.stop();
  });
}
