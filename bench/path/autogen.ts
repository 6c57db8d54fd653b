// Real AutoGen: its host, a worker that is called, and a worker that calls and measures, each a process on the load's core.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { autogenPython, autogenRequirements } from '../../test/interop/venv.ts';
import type { Material } from './material.ts';
import type { LoadResult } from './messages.ts';
import { loadCore, Program } from './program.ts';

/** As `LoadOrder`, for calls of AutoGen's. */
export interface AutogenOrder {
  /** Calls in flight. */
  readonly depth: number;
  /** Of the payload, as AutoGen encodes it. */
  readonly messageBytes: number;
  readonly amount: number;
  readonly warmUp: number;
  readonly limitMs: number;
}

const patienceMs = 120_000;
/** A call is its request and its response. */
const messagesPerCall = 2;

/** Starts a host of its own; gives its port. */
export async function startHost(material: Material): Promise<number> {
  const [, port] = await start(material, 'host').ready(/ready on \S+:(\d+)/);
  return Number(port);
}

/** Starts both workers at an address of loopback. */
export async function startWorkers(material: Material, port: number): Promise<AutogenCaller> {
  const address = `127.0.0.1:${port}`;
  await start(material, 'worker', address).ready(/^ready$/m);
  const caller = start(material, 'caller', address);
  await caller.ready(/^ready$/m);
  return new AutogenCaller(caller);
}

/** The worker that calls, when it is told to. */
export class AutogenCaller {
  readonly #program: Program;
  #orders = 0;

  constructor(program: Program) {
    this.#program = program;
  }

  async run(order: AutogenOrder, look: (state: 'warm' | 'done') => void): Promise<LoadResult> {
    this.#orders += 1;
    const number = this.#orders;
    this.#program.tell(JSON.stringify({ ...order, number }));
    await this.#answer('warm', number);
    look('warm');
    this.#program.tell('go');
    const said = await this.#answer('done', number);
    look('done');
    const result = JSON.parse(said) as LoadResult;
    return { ...result, messages: result.amount * messagesPerCall };
  }

  async #answer(state: 'warm' | 'done', number: number): Promise<string> {
    const pattern = new RegExp(`^(${state}|failed) ${number}(?: (.*))?\n`, 'm');
    const [, said, more = ''] = await this.#program.ready(pattern, patienceMs);
    if (said !== state) throw new Error(`the caller failed: ${more}`);
    return more;
  }
}

/** Sends a load through whatever the workers of a system stand behind. */
export async function runAutogen(
  order: AutogenOrder,
  caller: AutogenCaller | undefined,
  look: (state: 'warm' | 'done') => void,
): Promise<LoadResult> {
  if (caller === undefined) throw new Error('the system has no workers of AutoGen');
  return caller.run(order, look);
}

/** As the requirements pin it. */
export function autogenVersion(): string {
  return /^autogen-core==(\S+)/m.exec(readFileSync(autogenRequirements, 'utf8'))?.[1] ?? 'unknown';
}

function start(material: Material, role: 'host' | 'worker' | 'caller', ...args: string[]): Program {
  // Nothing of the environment but this: a proxy set there would be asked for loopback too.
  const { PATH, HOME, TMPDIR } = process.env;
  const env = {
    ...{ PATH, HOME, TMPDIR },
    ...{ PYTHONUNBUFFERED: '1', PYTHONDONTWRITEBYTECODE: '1', GRPC_VERBOSITY: 'ERROR' },
  };
  return new Program(
    `AutoGen's ${role}`,
    autogenPython(),
    [join(import.meta.dirname, 'autogen.py'), role, ...args],
    material.folder,
    { core: loadCore, env, listens: true },
  );
}
