// Real AutoGen workers under steady load while the legs under them are cut: through Lockwire, and through the cutter alone.
import { setTimeout as after } from 'node:timers/promises';
import { Cutter, type WireCut } from '../support/cuts-cutter.ts';
import { type Leg, legs, quickLimits, summary, type Way, ways } from '../support/cuts-legs.ts';
import { World } from '../support/e2e-world.ts';
import { Random } from '../support/fuzz.ts';
import { type Result, Tally } from './autogen-suite.ts';
import { type Line, PythonProgram } from './python-program.ts';
import { autogenPython } from './venv.ts';

const seed = 20_261_124;
/** Longer than it takes to find out a black hole. */
const flowTimeoutMs = 40_000;
const script = 'test/interop/steady.py';

/** A line of steady.py's driver. */
interface SteadyLine extends Line {
  /** When a call began and when its answer came, wall time in milliseconds. */
  readonly called?: readonly [number, number];
  readonly calls?: number;
  readonly published?: number;
  readonly heard?: readonly string[];
  readonly same?: boolean;
  readonly unfinished?: number;
  readonly faults?: readonly string[];
}

/** Two workers in their own processes, and what the one that drives says. */
class Steady {
  readonly #worker: PythonProgram;
  #driver: PythonProgram | undefined;
  #heard: (began: number, ended: number) => void = () => {};
  #last: SteadyLine | undefined;
  /** What the worker itself counted. */
  #counted = 0;

  private constructor(addressA: string) {
    const counts = ({ heard }: SteadyLine): void => {
      this.#counted = Number(heard?.[0]);
    };
    this.#worker = new PythonProgram(autogenPython(), script, ['worker', addressA, 'a'], counts);
  }

  static async start(addressA: string, addressB: string): Promise<Steady> {
    const steady = new Steady(addressA);
    // First: what is published before it has subscribed is heard by nobody, through any wire.
    await steady.#worker.ready;
    const args = ['driver', addressB, 'a', 'b'];
    steady.#driver = new PythonProgram(autogenPython(), script, args, line => steady.#take(line));
    await steady.#driver.ready;
    await steady.flows();
    return steady;
  }

  /** How long until a call that began after this moment is answered. */
  async flows(timeoutMs = flowTimeoutMs): Promise<number> {
    const since = Date.now();
    const { promise, resolve, reject } = Promise.withResolvers<number>();
    const timer = setTimeout(() => reject(new Error(`no answer within ${timeoutMs} ms`)), timeoutMs);
    this.#heard = (began, ended) => {
      if (began >= since) resolve(ended - since);
    };
    return await promise.finally(() => clearTimeout(timer));
  }

  /** Ends the load, and gives what became of it, with what the workers wrote on stderr. */
  async end(): Promise<{ last: SteadyLine; counted: number; complaints: string }> {
    await this.#driver?.stop(25_000);
    await this.#worker.stop();
    const complaints = [this.#driver?.complaint, this.#worker.complaint].join('\n').trim();
    return { last: this.#last ?? {}, counted: this.#counted, complaints };
  }

  #take(line: SteadyLine): void {
    if (line.called) this.#heard(...line.called);
    if (line.done) this.#last = line;
  }
}

export async function host(): Promise<{ program: PythonProgram; port: number }> {
  const program = new PythonProgram(autogenPython(), 'test/interop/host.py', ['127.0.0.1:0']);
  const { address = '' } = await program.ready;
  return { program, port: Number(address.split(':').at(-1)) };
}

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

/** Each leg cut so often in each of the six ways, at moments that the seed gives. */
export async function cutThroughLockwire(name: string, cuts: number): Promise<Result> {
  const tally = new Tally(name);
  const undo = new Undo();
  try {
    const random = new Random(seed);
    const { program, port } = await host();
    undo.teardown(() => program.stop());
    const world = await World.make(undo);
    const gateway = await world.gateway({ limits: quickLimits });
    const cutters: Record<Leg, Cutter> = {
      connect: await Cutter.start(gateway.port, random),
      expose: await Cutter.start(gateway.port, random),
    };
    for (const leg of legs) undo.teardown(() => cutters[leg].close());
    const config = world.file('quick.json', JSON.stringify({ limits: quickLimits }));
    const side = { target: 'rpc', args: ['--config', config] };
    await world.expose(cutters.expose, { ...side, to: `127.0.0.1:${port}` });
    const [a, b] = [await world.connect(cutters.connect, side), await world.connect(cutters.connect, side)];
    const steady = await Steady.start(a.address, b.address);
    const cut = async (way: Way, leg: Leg): Promise<number> => {
      await after(random.int(150));
      const kind: WireCut = way === 'both' ? 'rst' : way;
      for (const each of way === 'both' ? legs : [leg]) cutters[each].cut(kind);
      return await steady.flows();
    };
    for (const way of ways) {
      for (const leg of way === 'both' ? (['connect'] as const) : legs) {
        const times: number[] = [];
        for (let i = 0; i < cuts; i += 1) times.push(await cut(way, leg));
        const where = way === 'both' ? 'both legs at once (rst)' : `${way} on the leg of ${leg}`;
        tally.add(`${where}: ${cuts} cuts, from the cut to the next answer ${summary(times)}`, true);
      }
    }
    const { last, complaints } = await steady.end();
    judge(tally, last, complaints);
    const fresh = gateway.program.logs.filter(({ msg }) => msg === 'tunnel up').length;
    tally.add('three sessions, from the beginning to the end', fresh === 3, `${fresh}`);
  } catch (error) {
    tally.add('runs to its end', false, error instanceof Error ? error.message : String(error));
  } finally {
    await undo.run();
  }
  return tally;
}

function judge(tally: Tally, last: SteadyLine, complaints: string): void {
  const { calls = 0, published = 0, heard = [], same = false, unfinished, faults = [] } = last;
  tally.add(
    `${calls} calls, each answered once and with its own answer`,
    calls > 100 && faults.length === 0 && unfinished === 0,
    `${faults.slice(0, 3).join('; ')}; ${unfinished} unfinished`,
  );
  tally.add(
    `${published} publishes, each heard once and in its order`,
    published > 100 && same,
    `heard ${heard.join(' ')}`,
  );
  tally.add('no worker noticed', complaints === '', complaints.slice(-2_000));
}

/** One cut of the same kind without Lockwire: what it costs. */
export async function cutAlone(name: string): Promise<Result> {
  const tally = new Tally(name);
  const undo = new Undo();
  try {
    for (const kind of ['rst', 'fin'] as const) {
      const { program, port } = await host();
      undo.teardown(() => program.stop());
      const cutter = await Cutter.start(port, new Random(seed));
      undo.teardown(() => cutter.close());
      const address = `127.0.0.1:${cutter.port}`;
      const steady = await Steady.start(address, address);
      cutter.cut(kind);
      const back = await steady.flows(3_000).then(
        () => true,
        () => false,
      );
      const { last, counted } = await steady.end();
      const { published = 0 } = last;
      const lost = published - counted;
      tally.add(`${kind}: calls hang, and of ${published} publishes ${lost} are lost`, !back && lost > 0);
    }
  } catch (error) {
    tally.add('runs to its end', false, error instanceof Error ? error.message : String(error));
  } finally {
    await undo.run();
  }
  return tally;
}
