// Steady calls and publishes between two real AutoGen workers, each in a process of its own, and what became of them.
import type { Tally } from './autogen-suite.ts';
import type { Undo } from './case.ts';
import { type Line, PythonProgram } from './python-program.ts';
import { autogenPython } from './venv.ts';

/** Longer than it takes to find out a black hole. */
const flowTimeoutMs = 40_000;
/** steady.py waits for what may have been lost; so long and some more. */
const endTimeoutMs = 15_000;
const callers = 3;
/** Of each kind: of a load that carried fewer, nothing can be said. */
export const leastMessages = 150;
const script = 'test/interop/steady.py';

/** A line of steady.py. */
interface SteadyLine extends Line {
  /** When a call began and when its answer came, wall time in milliseconds. */
  readonly called?: readonly [number, number];
  /** Before that call began; at the end, in all. */
  readonly published?: number;
  readonly calls?: number;
  readonly unfinished?: number;
  readonly faults?: readonly string[];
  readonly heard?: number;
  /** The first event that was not the one due. */
  readonly fault?: string;
}

/** A call that was answered. */
interface Answered {
  readonly endedMs: number;
  /** How many events had been published before it. */
  readonly published: number;
}

/** What became of a load. */
export interface Outcome {
  readonly calls: number;
  readonly unfinished: number;
  readonly faults: readonly string[];
  readonly published: number;
  readonly heard: number;
  readonly fault: string;
  readonly last: Answered;
  readonly slowestMs: number;
  /** What the workers wrote on stderr. */
  readonly complaints: string;
}

/** A worker alone: an echo, and a listener. */
export function startWorker(address: string, name: string, heard?: (line: Line) => void): PythonProgram {
  return new PythonProgram(autogenPython(), script, ['worker', address, name], heard);
}

export class Steady {
  readonly #worker: PythonProgram;
  #driver: PythonProgram | undefined;
  #answered: (began: number, ended: number) => void = () => {};
  #last: Answered = { endedMs: 0, published: 0 };
  #slowestMs = 0;
  #answers = 0;
  #driverSaid: SteadyLine = {};
  #workerSaid: SteadyLine = {};

  private constructor(address: string, name: string) {
    this.#worker = startWorker(address, name, line => {
      this.#workerSaid = line;
    });
  }

  /** Comes back when a call was answered. The workers' agent types begin with `name`: no others at their host may have them. */
  static async start(
    undo: Undo,
    [workerAddress, driverAddress]: readonly [string, string],
    name = 'steady',
  ): Promise<Steady> {
    const steady = new Steady(workerAddress, `${name}_a`);
    undo.teardown(() => steady.#kill());
    // First: what is published before it has subscribed is heard by nobody, through any wire.
    await steady.#worker.ready;
    const args = ['driver', driverAddress, `${name}_a`, `${name}_b`];
    steady.#driver = new PythonProgram(autogenPython(), script, args, line => steady.#take(line));
    await steady.#driver.ready;
    await steady.flows();
    return steady;
  }

  /** How long until a call that began after this moment is answered. */
  async flows(timeoutMs: number = flowTimeoutMs): Promise<number> {
    const since = Date.now();
    const { promise, resolve, reject } = Promise.withResolvers<number>();
    const timer = setTimeout(() => reject(new Error(`no answer within ${timeoutMs} ms`)), timeoutMs);
    this.#answered = (began, ended) => {
      if (began >= since) resolve(ended - since);
    };
    return await promise.finally(() => clearTimeout(timer));
  }

  /** Comes back when at least so many publishes and calls have arrived. */
  async carries(messages: number): Promise<void> {
    while (this.#last.published < messages || this.#answers < messages) await this.flows();
  }

  /** Ends the load; where its wire has ended before, only what went before the last answer is waited for. */
  async end(wire: 'whole' | 'ended' = 'whole'): Promise<Outcome> {
    await this.#driver?.stop(endTimeoutMs);
    const { calls = 0, published = 0, unfinished = callers, faults = [] } = this.#driverSaid;
    const due = wire === 'whole' ? published : this.#last.published;
    await this.#worker.stop(endTimeoutMs, String(due));
    const { heard = 0, fault = '' } = this.#workerSaid;
    const complaints = [this.#driver?.complaint, this.#worker.complaint].join('\n').trim();
    const seen = { last: this.#last, slowestMs: Math.round(this.#slowestMs) };
    return { calls, unfinished, faults, published, heard, fault, complaints, ...seen };
  }

  /** After a case that broke off. */
  #kill(): void {
    this.#driver?.kill();
    this.#worker.kill();
  }

  #take(line: SteadyLine): void {
    if (line.done) this.#driverSaid = line;
    if (line.called === undefined) return;
    const [began, ended] = line.called;
    this.#answers += 1;
    // Of the callers one may overtake another.
    this.#last = { endedMs: ended, published: Math.max(this.#last.published, line.published ?? 0) };
    this.#slowestMs = Math.max(this.#slowestMs, ended - began);
    this.#answered(began, ended);
  }
}

/** A load that ran to its own end over a wire that must cost it nothing. */
export function judgeWhole(tally: Tally, outcome: Outcome): void {
  const { calls, unfinished, faults, published, heard, fault, complaints } = outcome;
  tally.add(
    `${calls} calls, each answered once and with its own answer`,
    calls >= leastMessages && faults.length === 0 && unfinished === 0,
    `${faults.slice(0, 3).join('; ')}; ${unfinished} unfinished`,
  );
  tally.add(
    `${published} publishes, each heard once and in its order`,
    published >= leastMessages && heard === published && fault === '',
    `heard ${heard}; ${fault}`,
  );
  tally.add('no worker noticed', complaints === '', complaints.slice(-2_000));
}

/** A load whose wire ended under it: until then nothing was lost, doubled or swapped. */
export function judgeUntilItsEnd(tally: Tally, outcome: Outcome): void {
  const { calls, unfinished, published, heard, fault, last, complaints } = outcome;
  // The one that was asked may be ended first: then its caller is still told so.
  const faults = outcome.faults.filter(text => !text.includes('the worker that was asked has gone'));
  const told = outcome.faults.length - faults.length;
  tally.add(
    `${calls} calls, of which only the ${unfinished} under way at its end have no answer, and ${told} an error`,
    calls >= leastMessages && faults.length === 0 && unfinished <= callers && told <= callers,
    `${faults.slice(0, 3).join('; ')}; ${unfinished} unfinished`,
  );
  tally.add(
    `${last.published} publishes before the last call that was answered, each heard once and in its order`,
    last.published >= leastMessages && heard >= last.published && heard <= published && fault === '',
    `heard ${heard} of ${published}; ${fault}`,
  );
  const errors = complaints.match(/^grpc\.aio\._call\.AioRpcError/gm)?.length;
  tally.add('both workers noticed its end', errors === 2, complaints.slice(-2_000));
}
