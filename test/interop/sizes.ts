// Messages around the limit of 4 MiB: on the bare host the first larger one ends its worker; through Lockwire none does.
import { metricsOf } from '../support/e2e-metrics.ts';
import { World } from '../support/e2e-world.ts';
import type { Result, Tally } from './autogen-suite.ts';
import { runCase, startHost } from './case.ts';
import { PythonProgram } from './python-program.ts';
import { autogenPython } from './venv.ts';

const timeoutMs = 120_000;
/** Those of sizes.py. */
const checks = { bare: 3, wired: 17 } as const;
/** Of 5 and of 20 MiB. */
const tooLarge = 2;

async function send(tally: Tally, mode: 'bare' | 'wired', addresses: readonly string[]): Promise<void> {
  const where = mode === 'bare' ? 'without Lockwire' : 'through Lockwire';
  let ran = 0;
  const args = [mode, ...addresses];
  const program = new PythonProgram(autogenPython(), 'test/interop/sizes.py', args, line => {
    if (line.check === undefined) return;
    ran += 1;
    tally.add(`${where}: ${line.check}`, line.ok === true, line.detail);
  });
  program.ready.catch(() => {});
  const timer = setTimeout(() => program.kill(), timeoutMs);
  const code = await program.exited;
  clearTimeout(timer);
  if (code !== 0 || ran !== checks[mode])
    throw new Error(`${ran} checks, exit ${code}: ${program.complaint}`);
}

export function sendSizes(name: string): Promise<Result> {
  return runCase(name, async (tally, undo) => {
    const bare = await startHost(undo);
    const host = await startHost(undo);
    const world = await World.make(undo);
    const gateway = await world.gateway({ admin: { bind: '127.0.0.1:0' } });
    await world.expose(gateway, { target: 'rpc', to: host.address });
    const worker = await world.connect(gateway, { target: 'rpc' });
    const token = await world.token({ sub: 'bob', groups: ['agents'] });
    const caller = await world.connect(gateway, { target: 'rpc', token });
    await Promise.all([
      send(tally, 'bare', [bare.address]),
      send(tally, 'wired', [worker.address, caller.address]),
    ]);

    const metrics = await metricsOf(gateway);
    for (const operation of ['rpc', 'respond', 'publish']) {
      const labels = `target="rpc",operation="${operation}",fate="too-large"`;
      const counted = metrics[`lockwire_autogen_messages_total{${labels}}`];
      tally.add(`${operation}: ${tooLarge} were counted as too large`, counted === tooLarge, `${counted}`);
    }
    // Whoever publishes gets no answer: the person at the other end is told.
    await caller.program.line(/the message is 20971\d{3} bytes long, the most is 4194304/);
    tally.add('connect tells of a publish that was dropped, with both numbers', true);
  });
}
