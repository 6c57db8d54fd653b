// Runs a row: the systems side by side, in alternating order, round after round.
import { runAutogen } from './autogen.ts';
import { runH2load } from './h2load.ts';
import type { Load } from './helper.ts';
import type { Material } from './material.ts';
import { serverName } from './material.ts';
import type { LoadOrder, LoadResult } from './messages.ts';
import { spent } from './program.ts';
import { mebibyte, type Row, type RowLoad, type Scenario } from './rows.ts';
import { median, noise } from './statistics.ts';
import type { System, SystemName } from './systems/system.ts';

export type Form = 'full' | 'short';

/** One system in one row. */
export interface Measured {
  readonly name: SystemName;
  /** The median of its rounds, in the row's unit. */
  readonly price: number;
  readonly prices: readonly number[];
  readonly p50Ms?: number;
  readonly p99Ms?: number;
  /** Where the price is a time: pieces of work, and microseconds of processor that each process took per message. */
  readonly perSecond?: number;
  readonly processes?: readonly Process[];
  /** The most that all its processes held together. */
  readonly memoryBytes: number;
}

export interface Process {
  readonly name: string;
  readonly microseconds: number;
}

/** Lockwire against one peer. */
export interface Comparison {
  readonly peer: SystemName;
  /** Of the medians. */
  readonly ratio: number;
  /** Round by round: two measurements of one round stand next to each other in time. */
  readonly ratios: readonly number[];
  /** How far apart the middle half of those lies, as a share of their median. */
  readonly noise: number;
  /** Where the price is a time: what Lockwire adds to the peer's, with the rounds' own differences and their noise. */
  readonly added?: { readonly price: number; readonly prices: readonly number[]; readonly noise: number };
}

export interface RowResult {
  readonly scenario: string;
  readonly name: string;
  readonly title: string;
  readonly unit: string;
  readonly systems: readonly Measured[];
  readonly comparisons: readonly Comparison[];
}

export interface Run {
  readonly load: Load;
  readonly material: Material;
  readonly form: Form;
  readonly rounds: number;
  /** By `performance.now()`: from then on a row has one round. */
  readonly hurryAtMs: number;
  /** Of the rows' amounts: less than 1 for a quick look. Warming up is never less. */
  readonly share: number;
}

export type Systems = ReadonlyMap<SystemName, System>;

/** The full form runs on a quiet machine, where no sample takes so long; the short one must end on any. */
const limitMs: Readonly<Record<Form, number>> = { full: 60_000, short: 1_500 };

interface Sample {
  readonly price: number;
  readonly p50Ms?: number;
  readonly p99Ms?: number;
  readonly perSecond?: number;
  readonly processes?: readonly Process[];
  readonly memoryBytes: number;
}

/** A system's accounts at one moment. */
interface Look {
  /** Of each of its programs. */
  readonly accounts: readonly ReadonlyMap<string, number>[];
  readonly memoryBytes: number;
}

/** `systemsOf` gives the systems of a round: the same ones, or fresh ones. */
export async function measureRow(
  scenario: Scenario,
  row: Row,
  systemsOf: () => Promise<Systems>,
  run: Run,
): Promise<RowResult> {
  const samples = new Map<SystemName, Sample[]>();
  for (let round = 0; round < run.rounds; round += 1) {
    if (round > 0 && performance.now() > run.hurryAtMs) break;
    const systems = [...(await systemsOf())];
    for (const [name, system] of round % 2 === 0 ? systems : systems.reverse()) {
      const taken = await sample(scenario, row, system, run).catch((error: Error) => {
        throw new Error(`${name}, round ${round + 1}: ${error.message}`);
      });
      samples.set(name, [...(samples.get(name) ?? []), taken]);
    }
  }
  const { name, title, unit } = row;
  return {
    scenario: scenario.name,
    name,
    title,
    unit,
    systems: [...samples].map(([system, taken]) => summary(system, taken)),
    comparisons: comparisons(row, samples),
  };
}

function comparisons({ price }: Row, samples: ReadonlyMap<SystemName, readonly Sample[]>): Comparison[] {
  const own = samples.get('lockwire')?.map(({ price }) => price);
  if (own === undefined) return [];
  return [...samples].flatMap(([peer, taken]) => {
    if (peer === 'lockwire') return [];
    const prices = taken.map(({ price }) => price);
    const ratios = own.map((price, round) => price / (prices[round] ?? Number.NaN));
    const more = own.map((price, round) => price - (prices[round] ?? Number.NaN));
    const added = { price: median(own) - median(prices), prices: more, noise: noise(more) };
    return {
      peer,
      ratio: median(own) / median(prices),
      ratios,
      noise: noise(ratios),
      ...(price === 'latency' ? { added } : {}),
    };
  });
}

async function sample(scenario: Scenario, row: Row, system: System, run: Run): Promise<Sample> {
  const looks = new Map<string, Look>();
  const look = (state: 'warm' | 'held' | 'done'): void => {
    for (const program of system.programs) {
      if (!program.alive) throw new Error(`${program.name} ended:\n${program.output}`);
    }
    looks.set(state, {
      accounts: system.programs.map(program => program.accounts()),
      memoryBytes: system.programs.reduce((total, program) => total + program.memoryBytes(), 0),
    });
  };
  const result = await send(scenario, row.load, system, run, look);
  const [warm, held, done] = [looks.get('warm'), looks.get('held'), looks.get('done')];
  if (warm === undefined || done === undefined) throw new Error('the load did not say when it counts');
  const seconds = done.accounts.map((after, index) => spent(warm.accounts[index] ?? new Map(), after));
  const { amount, messages = amount, milliseconds, p50Ms, p99Ms } = result;
  const prices: Readonly<Record<Row['price'], number>> = {
    processor: seconds.reduce((total, one) => total + one, 0) / amount,
    memory: ((held?.memoryBytes ?? Number.NaN) - warm.memoryBytes) / amount,
    latency: p50Ms ?? Number.NaN,
  };
  const processes = system.programs.map(({ name }, index) => ({
    name,
    microseconds: ((seconds[index] ?? Number.NaN) / messages) * 1e6,
  }));
  return {
    price: prices[row.price] * row.scale,
    memoryBytes: Math.max(...[...looks.values()].map(({ memoryBytes }) => memoryBytes)),
    ...(row.price === 'latency' ? { perSecond: amount / (milliseconds / 1_000), processes } : {}),
    ...(p50Ms === undefined ? {} : { p50Ms }),
    ...(p99Ms === undefined ? {} : { p99Ms }),
  };
}

/** Whoever makes the load: another kind of it is another case here. */
function send(
  { entry }: Scenario,
  load: RowLoad,
  { port, caller }: System,
  { load: own, material, form, share }: Run,
  look: (state: 'warm' | 'held' | 'done') => void,
): Promise<LoadResult> {
  if (load.by === 'h2load') return runH2load(load, port, material, look);
  if (load.by === 'autogen') {
    const { depth, messageBytes, amount, warmUp } = load;
    const order = {
      depth,
      messageBytes,
      warmUp,
      amount: portion(amount.full, share),
      limitMs: limitMs[form],
    };
    return runAutogen(order, caller, look);
  }
  const { by: _, amount, warmUp, tokens, identities = 1, ...shape } = load;
  const whole = form === 'short' ? (amount.short ?? amount.full) : amount.full;
  const wanted = portion(whole, share);
  const { ca } = material.pem;
  const order: LoadOrder = {
    ...shape,
    port,
    amount: wanted,
    warmUp: Math.min(warmUp, whole),
    limitMs: limitMs[form],
    ...(entry === 'plain'
      ? {}
      : {
          tls: {
            ca,
            serverName,
            ...(entry === 'tls' ? {} : { clients: material.pem.clients.slice(0, identities) }),
          },
        }),
    ...(tokens === undefined ? {} : { tokens: material.tokens.all.slice(0, tokens) }),
  };
  return own.run(order, look);
}

/** Whole, and in such steps that bulk is whole messages. */
function portion(amount: number, share: number): number {
  if (share === 1) return amount;
  const step = amount % mebibyte === 0 ? mebibyte : 1;
  return Math.max(step, Math.round((amount * share) / step) * step);
}

function summary(name: SystemName, samples: readonly Sample[]): Measured {
  const prices = samples.map(({ price }) => price);
  const p50s = samples.flatMap(({ p50Ms }) => p50Ms ?? []);
  const p99s = samples.flatMap(({ p99Ms }) => p99Ms ?? []);
  const rates = samples.flatMap(({ perSecond }) => perSecond ?? []);
  return {
    name,
    price: median(prices),
    prices,
    memoryBytes: Math.max(...samples.map(({ memoryBytes }) => memoryBytes)),
    ...(p50s.length === 0 ? {} : { p50Ms: median(p50s) }),
    ...(p99s.length === 0 ? {} : { p99Ms: median(p99s) }),
    ...(rates.length === 0 ? {} : { perSecond: median(rates), processes: processesOf(samples) }),
  };
}

function processesOf(samples: readonly Sample[]): Process[] {
  const [first] = samples;
  return (first?.processes ?? []).map(({ name }, index) => ({
    name,
    microseconds: median(samples.flatMap(({ processes }) => processes?.[index]?.microseconds ?? [])),
  }));
}
