// Calls and publishes between two real AutoGen workers, each message with its number, and what became of each.
import type { Tally } from './autogen-suite.ts';
import type { Undo } from './case.ts';
import { type Line, PythonProgram } from './python-program.ts';
import { autogenPython } from './venv.ts';

/** heal.py's own bound for a call, and some more. */
const endTimeoutMs = 30_000;
const script = 'test/interop/heal.py';

/** A line of heal.py. */
interface NumberedLine extends Line {
  readonly called?: readonly [number, number];
  readonly calls?: number;
  readonly answered?: readonly number[];
  readonly errors?: readonly (readonly [number, string])[];
  readonly hung?: number;
  readonly published?: number;
  readonly executed?: readonly number[];
  readonly doubledCalls?: number;
  readonly heard?: number;
  readonly doubled?: number;
}

/** What both sides counted. */
export interface Count {
  readonly driver: NumberedLine;
  readonly worker: NumberedLine;
  readonly slowestMs: number;
  /** What the workers wrote on stderr. */
  readonly complaints: string;
}

/** An error after which nobody knows whether the call was made; every other says that it was not. */
const lostText = /whether the call was made is not known|has gone/;

export class Numbered {
  readonly #worker: PythonProgram;
  #driver: PythonProgram | undefined;
  #answered: (began: number, ended: number) => void = () => {};
  #said: { driver: NumberedLine; worker: NumberedLine } = { driver: {}, worker: {} };
  #slowestMs = 0;

  private constructor(address: string, name: string) {
    this.#worker = new PythonProgram(autogenPython(), script, ['worker', address, name], line => {
      if (line.done) this.#said.worker = line;
    });
  }

  /** Comes back when a call was answered. */
  static async start(
    undo: Undo,
    [workerAddress, driverAddress]: readonly [string, string],
    name: string,
  ): Promise<Numbered> {
    const load = new Numbered(workerAddress, name);
    undo.teardown(() => load.#kill());
    // First: the host never answers a call to an agent type that is not there yet.
    await load.#worker.ready;
    const args = ['driver', driverAddress, name];
    load.#driver = new PythonProgram(autogenPython(), script, args, line => load.#take(line));
    await load.#driver.ready;
    await load.flows();
    return load;
  }

  /** Until a call that began from now on is answered; in milliseconds. */
  async flows(timeoutMs = 20_000): Promise<number> {
    const since = Date.now();
    const { promise, resolve, reject } = Promise.withResolvers<number>();
    const timer = setTimeout(() => reject(new Error(`no answer within ${timeoutMs} ms`)), timeoutMs);
    this.#answered = (began, ended) => {
      if (began >= since) resolve(ended - since);
    };
    return await promise.finally(() => clearTimeout(timer));
  }

  async end(): Promise<Count> {
    await this.#driver?.stop(endTimeoutMs);
    await this.#worker.stop(endTimeoutMs);
    const complaints = `${this.#driver?.complaint}\n${this.#worker.complaint}`.trim();
    return { ...this.#said, slowestMs: Math.round(this.#slowestMs), complaints };
  }

  /** After a case that broke off. */
  #kill(): void {
    this.#driver?.kill();
    this.#worker.kill();
  }

  #take(line: NumberedLine): void {
    if (line.done) this.#said.driver = line;
    if (line.called === undefined) return;
    const [began, ended] = line.called;
    this.#slowestMs = Math.max(this.#slowestMs, ended - began);
    this.#answered(began, ended);
  }
}

/** Whether the counts of both sides and of the gateway add up, with nothing doubled and nothing that hangs. */
export function judgeCount(tally: Tally, count: Count, metrics: Readonly<Record<string, number>>): void {
  const { driver, worker, slowestMs, complaints } = count;
  const { calls = 0, answered = [], errors = [], hung = -1, published = 0 } = driver;
  const { executed = [], doubledCalls = -1, heard = 0, doubled = -1 } = worker;
  const lost = errors.filter(([, text]) => lostText.test(text));
  const refused = errors.filter(([, text]) => !lostText.test(text));
  const made = new Set(executed);
  const of = (operation: string, fate: string): number =>
    metrics[`lockwire_autogen_messages_total{target="rpc",operation="${operation}",fate="${fate}"}`] ?? 0;

  tally.add(
    `${calls} calls: ${answered.length} answered, ${lost.length} lost in flight, ${refused.length} refused; none hangs, the slowest answer after ${slowestMs} ms`,
    calls > 0 && hung === 0 && calls === answered.length + lost.length + refused.length,
    `${hung} hang; ${errors.slice(0, 3).join('; ')}`,
  );
  const unmade = answered.filter(number => !made.has(number)).length;
  const forbidden = refused.filter(([number]) => made.has(number));
  const unaccounted = executed.length - answered.length - lost.filter(([number]) => made.has(number)).length;
  tally.add(
    `each answered call was made once, none twice, and of the refused ones none`,
    unmade === 0 && doubledCalls === 0 && forbidden.length === 0 && unaccounted === 0,
    `${unmade} answered but not made, ${doubledCalls} made twice, ${forbidden.slice(0, 3).join('; ')} refused but made, ${unaccounted} made but unaccounted for`,
  );
  const passed = of('publish', 'passed');
  const dropped = of('publish', 'not-held');
  tally.add(
    `${published} publishes: ${heard} heard, none twice, ${passed - heard} lost in flight, ${dropped} refused`,
    published > 0 && doubled === 0 && passed >= heard && published === passed + dropped,
    `${doubled} heard twice; the gateway counts ${passed} passed and ${dropped} not held`,
  );
  const rpcs = ['passed', 'not-held', 'no-taker'].map(fate => of('rpc', fate));
  tally.add(
    `the gateway counts the same calls: ${rpcs[0]} passed, ${rpcs[1]} not held, ${rpcs[2]} without a taker`,
    rpcs.reduce((sum, some) => sum + some, 0) === calls && calls - (rpcs[0] ?? 0) <= refused.length,
    `${calls} calls, ${refused.length} refused`,
  );
  tally.add('no worker noticed', complaints === '', complaints.slice(-2_000));
}
