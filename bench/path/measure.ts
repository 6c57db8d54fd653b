// Runs a scenario's rows: the systems side by side, in alternating order, round after round.
import type { Load } from './helper.ts';
import type { Material } from './material.ts';
import { serverName } from './material.ts';
import type { LoadOrder } from './messages.ts';
import type { Row, Scenario } from './rows.ts';
import { median, noise } from './statistics.ts';
import type { System } from './systems.ts';

export type Form = 'full' | 'short';

/** One system's medians in one row. */
export interface Measured {
  readonly name: string;
  /** In the row's unit. */
  readonly cost: number;
  readonly costs: readonly number[];
  readonly p50Ms?: number;
  readonly p99Ms?: number;
  /** The most that all its processes held together. */
  readonly residentBytes: number;
}

export interface RowResult {
  readonly scenario: string;
  readonly name: string;
  readonly title: string;
  readonly unit: string;
  readonly lockwire: Measured;
  readonly peer: Measured;
  /** Median of the rounds' ratios; a round's two measurements stand next to each other in time. */
  readonly ratio: number;
  readonly ratios: readonly number[];
  readonly noise: number;
}

export interface Run {
  readonly load: Load;
  readonly material: Material;
  readonly form: Form;
  readonly rounds: number;
}

/** The full form runs on a quiet machine, where no sample takes so long; the short one must end on any. */
const limitMs: Readonly<Record<Form, number>> = { full: 60_000, short: 3_000 };

interface Sample {
  readonly cost: number;
  readonly p50Ms?: number;
  readonly p99Ms?: number;
  readonly residentBytes: number;
}

/** `systemsOf` gives the systems of a round: the same ones, or fresh ones. */
export async function measureRow(
  scenario: Scenario,
  row: Row,
  systemsOf: () => Promise<readonly [System, System]>,
  run: Run,
): Promise<RowResult> {
  const samples: [Sample[], Sample[]] = [[], []];
  let names = ['', ''];
  for (let round = 0; round < run.rounds; round += 1) {
    const order = round % 2 === 0 ? ([0, 1] as const) : ([1, 0] as const);
    const systems = await systemsOf();
    names = systems.map(({ name }) => name);
    for (const index of order) samples[index].push(await sample(scenario, row, systems[index], run));
  }
  const [own, others] = samples;
  const ratios = own.map(({ cost }, round) => cost / (others[round]?.cost ?? Number.NaN));
  const { name, title, unit } = row;
  return {
    scenario: scenario.name,
    name,
    title,
    unit,
    lockwire: summary(names[0] ?? '', own),
    peer: summary(names[1] ?? '', others),
    ratio: median(ratios),
    ratios,
    noise: noise(ratios),
  };
}

async function sample(scenario: Scenario, row: Row, system: System, run: Run): Promise<Sample> {
  const { ca, cert, key } = run.material.pem;
  const order: LoadOrder = {
    kind: row.kind,
    port: system.port,
    amount: row.amount[run.form],
    limitMs: limitMs[run.form],
    warmUp: row.warmUp,
    ...(scenario.tls ? { tls: { ca, cert, key, serverName } } : {}),
    ...(row.concurrency === undefined ? {} : { concurrency: row.concurrency }),
  };
  const cpu: Record<string, number> = {};
  const resident: Record<string, number> = {};
  const result = await run.load.run(order, state => {
    for (const program of system.programs) {
      if (!program.alive) throw new Error(`${program.name} ended:\n${program.output}`);
    }
    cpu[state] = sum(system, program => program.cpuSeconds());
    resident[state] = sum(system, program => program.residentBytes());
  });
  const spent =
    row.kind === 'idle'
      ? (resident.held ?? Number.NaN) - (resident.warm ?? Number.NaN)
      : (cpu.done ?? Number.NaN) - (cpu.warm ?? Number.NaN);
  const { p50Ms, p99Ms } = result;
  return {
    cost: (spent / result.amount) * row.scale,
    residentBytes: Math.max(...Object.values(resident)),
    ...(p50Ms === undefined ? {} : { p50Ms }),
    ...(p99Ms === undefined ? {} : { p99Ms }),
  };
}

function sum(system: System, of: (program: System['programs'][number]) => number): number {
  return system.programs.reduce((total, program) => total + of(program), 0);
}

function summary(name: string, samples: readonly Sample[]): Measured {
  const costs = samples.map(({ cost }) => cost);
  const p50s = samples.flatMap(({ p50Ms }) => p50Ms ?? []);
  const p99s = samples.flatMap(({ p99Ms }) => p99Ms ?? []);
  return {
    name,
    cost: median(costs),
    costs,
    residentBytes: Math.max(...samples.map(({ residentBytes }) => residentBytes)),
    ...(p50s.length === 0 ? {} : { p50Ms: median(p50s) }),
    ...(p99s.length === 0 ? {} : { p99Ms: median(p99s) }),
  };
}
