// Real AutoGen workers under load whose host is killed and started again, or whose connection to it is cut while it lives.
import { join } from 'node:path';
import { setTimeout as after } from 'node:timers/promises';
import { Cutter } from '../support/cuts-cutter.ts';
import { summary } from '../support/cuts-legs.ts';
import { metricsOf } from '../support/e2e-metrics.ts';
import { type Gateway, type Side, World } from '../support/e2e-world.ts';
import { Random } from '../support/fuzz.ts';
import type { Result, Tally } from './autogen-suite.ts';
import { runCase, startHost, type Undo } from './case.ts';
import { judgeCount, Numbered } from './numbered.ts';
import { PythonProgram } from './python-program.ts';
import { autogenPython } from './venv.ts';

const seed = 20_261_124;
/** Of load between one fault and the next. */
const betweenMs = 400;
/** A worker without Lockwire that has no answer after so long has none ever. */
const neverMs = 3_000;
const clients = 2;
/** Of the last kill: 1 MiB of publishes is held meanwhile, and what comes after that is refused. */
const longMs = 2_500;

/** A host that is killed and comes back on its port. */
class MortalHost {
  readonly address: string;
  #program: PythonProgram;

  private constructor(program: PythonProgram, address: string) {
    this.#program = program;
    this.address = address;
  }

  static async start(undo: Undo): Promise<MortalHost> {
    const program = launch('127.0.0.1:0');
    const { address = '' } = await program.ready;
    const host = new MortalHost(program, address);
    undo.teardown(() => host.#program.stop());
    return host;
  }

  /** kill -9; comes back when the next one is ready, with how long there was none: `awayMs` and its start. */
  async again(awayMs = 0): Promise<number> {
    this.#program.kill();
    await this.#program.exited;
    const goneMs = performance.now();
    await after(awayMs);
    this.#program = launch(this.address);
    await this.#program.ready;
    return performance.now() - goneMs;
  }
}

function launch(address: string): PythonProgram {
  return new PythonProgram(autogenPython(), 'test/interop/host.py', [address]);
}

interface Wired {
  readonly gateway: Gateway;
  expose: Side;
  readonly load: Numbered;
}

/** So that an expose that is started again is the same instance. */
function instance(world: World): string[] {
  return ['--instance-key-file', join(world.directory, 'host.key')];
}

async function wire(undo: Undo, to: string): Promise<Wired & { readonly world: World }> {
  const world = await World.make(undo);
  const gateway = await world.gateway({ admin: { bind: '127.0.0.1:0' } });
  const expose = await world.expose(gateway, { target: 'rpc', to, args: instance(world) });
  const [a, b] = await Promise.all([
    world.connect(gateway, { target: 'rpc' }),
    world
      .token({ sub: 'bob', groups: ['agents'] })
      .then(token => world.connect(gateway, { target: 'rpc', token })),
  ]);
  return { world, gateway, expose, load: await Numbered.start(undo, [a.address, b.address], 'numbered') };
}

/** The load has run on: what became of it. */
async function judge(
  tally: Tally,
  { gateway, load }: Wired,
  faults: number,
): Promise<Readonly<Record<string, number>>> {
  const count = await load.end();
  const metrics = await metricsOf(gateway);
  judgeCount(tally, count, metrics);
  const reopened = metrics['lockwire_autogen_channels_reopened_total{target="rpc"}'] ?? 0;
  tally.add(
    `the gateway opened both workers' channels anew ${faults} times`,
    reopened === clients * faults,
    `${reopened}`,
  );
  return metrics;
}

export function killHost(name: string, kills: number): Promise<Result> {
  return runCase(name, async (tally, undo) => {
    const host = await MortalHost.start(undo);
    const wired = await wire(undo, host.address);
    const downs: number[] = [];
    const backs: number[] = [];
    for (let i = 0; i < kills; i += 1) {
      await after(betweenMs);
      downs.push(await host.again(i === kills - 1 ? longMs : 0));
      backs.push(await wired.load.flows());
    }
    await after(betweenMs);
    tally.add(`${kills} kills: there is no host for ${summary(downs)}`, true);
    tally.add(`from the next host's start to the next answer ${summary(backs)}`, true);
    const metrics = await judge(tally, wired, kills);
    const notHeld = 'lockwire_autogen_messages_total{target="rpc",operation="publish",fate="not-held"}';
    tally.add('what did not fit while it was long away was refused', (metrics[notHeld] ?? 0) > 0);
  });
}

/** The expose before the host: its workers' channels stay open until it is started again. */
export function killExpose(name: string, kills: number): Promise<Result> {
  return runCase(name, async (tally, undo) => {
    const { address } = await startHost(undo);
    const { world, ...wired } = await wire(undo, address);
    const backs: number[] = [];
    for (let i = 0; i < kills; i += 1) {
      await after(betweenMs);
      await wired.expose.program.kill();
      wired.expose = await world.expose(wired.gateway, { target: 'rpc', to: address, args: instance(world) });
      backs.push(await wired.load.flows());
    }
    await after(betweenMs);
    tally.add(`${kills} kills: from the next expose's start to the next answer ${summary(backs)}`, true);
    await judge(tally, wired, kills);
  });
}

export function killHostAlone(name: string): Promise<Result> {
  return runCase(name, async (tally, undo) => {
    const host = await MortalHost.start(undo);
    const load = await Numbered.start(undo, [host.address, host.address], 'alone');
    await host.again();
    const back = await load.flows(neverMs).then(
      () => true,
      () => false,
    );
    tally.add(`killed and started again: no call is answered in ${neverMs} ms`, !back);
  });
}

export function cutHost(name: string, cuts: number): Promise<Result> {
  return runCase(name, async (tally, undo) => {
    const host = await startHost(undo);
    const cutter = await Cutter.start(host.port, new Random(seed));
    undo.teardown(() => cutter.close());
    const wired = await wire(undo, `127.0.0.1:${cutter.port}`);
    for (const kind of ['rst', 'fin'] as const) {
      const backs: number[] = [];
      for (let i = 0; i < cuts; i += 1) {
        await after(betweenMs);
        cutter.cut(kind);
        backs.push(await wired.load.flows());
      }
      tally.add(`${kind}: ${cuts} cuts, from the cut to the next answer ${summary(backs)}`, true);
    }
    await after(betweenMs);
    await judge(tally, wired, 2 * cuts);
  });
}
