// The path benchmark: `npm run bench` (full), `npm run bench:short`, `npm run bench:record`.
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { autogenPython } from '../../test/interop/venv.ts';
import { envoyBinary } from './envoy-package.ts';
import { Backend, Load } from './helper.ts';
import { makeMaterial } from './material.ts';
import { type Form, measureRow, type Run, type Systems } from './measure.ts';
import { runPage, scenarioTables } from './page.ts';
import { missingPeers, peerVersions } from './peers.ts';
import { hasAccounts, Program } from './program.ts';
import { type BenchRecord, type JudgedRow, machineFacts, readRecord, recordedPath } from './record.ts';
import type { Row, Scenario } from './rows.ts';
import { isShort, scenarios } from './scenarios.ts';
import { type System, type SystemName, systemNames } from './systems/system.ts';
import { judge } from './verdict.ts';

const { values, positionals } = parseArgs({
  options: {
    short: { type: 'boolean', default: false },
    record: { type: 'boolean', default: false },
    rounds: { type: 'string' },
    systems: { type: 'string' },
    amounts: { type: 'string', default: '1' },
  },
  allowPositionals: true,
});
const form: Form = values.short ? 'short' : 'full';
const rounds = Number(values.rounds ?? (form === 'full' ? 7 : 3));
const share = Number(values.amounts);
/** The short form ends in minutes even where somebody else has the machine. */
const hurryAtMs = form === 'short' ? 150_000 : Number.POSITIVE_INFINITY;
/** The short form has the peers that every machine of Debian or Ubuntu installs in seconds. */
const shortSystems: readonly SystemName[] = ['lockwire', 'haproxy', 'nginx'];

function give(line: string): void {
  process.stdout.write(`${line}\n`);
}

function refuse(text: string): never {
  process.stderr.write(`bench: ${text}\n`);
  process.exit(1);
}

function wantedSystems(): readonly SystemName[] {
  if (values.systems === undefined) return form === 'short' ? shortSystems : systemNames;
  const names = values.systems.split(',');
  const strange = names.find(name => !systemNames.some(known => known === name));
  if (strange !== undefined) refuse(`--systems "${strange}": there are ${systemNames.join(', ')}`);
  return systemNames.filter(name => names.includes(name));
}

/** The scenarios with the rows and systems that were asked for, by the name of a row or of a whole scenario. */
function plan(systems: readonly SystemName[]): Scenario[] {
  const known = new Set(scenarios.flatMap(({ name, rows }) => [name, ...rows.map(row => row.name)]));
  const strange = positionals.find(name => !known.has(name));
  if (strange !== undefined) refuse(`"${strange}" is no row; there are ${[...known].join(', ')}`);
  return scenarios
    .map(scenario => ({
      ...scenario,
      systems: Object.fromEntries(
        Object.entries(scenario.systems).filter(([name]) => systems.some(wanted => wanted === name)),
      ),
      rows: scenario.rows.filter(
        row =>
          (positionals.length === 0 ||
            positionals.includes(row.name) ||
            positionals.includes(scenario.name)) &&
          (form === 'full' || isShort(row)),
      ),
    }))
    .filter(scenario => scenario.rows.length > 0 && Object.keys(scenario.systems).length > 0);
}

async function startSystems(scenario: Scenario, run: Run, backend: Backend): Promise<Systems> {
  await Program.stopAll();
  const systems = new Map<SystemName, System>();
  const around = { material: run.material, backend: backend.ports };
  for (const name of systemNames) {
    const system = await scenario.systems[name]?.(around);
    if (system !== undefined) systems.set(name, system);
  }
  return systems;
}

async function measure(scenario: Scenario, run: Run, backend: Backend): Promise<JudgedRow[]> {
  give(`\n${scenario.title}`);
  let made: Promise<Systems> | undefined;
  const systemsOf = (): Promise<Systems> => {
    if (scenario.fresh) return startSystems(scenario, run, backend);
    made ??= startSystems(scenario, run, backend);
    return made;
  };
  try {
    const rows: JudgedRow[] = [];
    for (const row of scenario.rows) {
      const judged = await measureOne(scenario, row, systemsOf, run);
      // A system that failed may have been left with anything.
      if (judged.failure !== undefined) made = undefined;
      rows.push(judged);
    }
    for (const line of scenarioTables(scenario.note, rows)) give(line);
    return rows;
  } finally {
    await Program.stopAll();
  }
}

/** A row that can't be measured has failed; the others go on. */
async function measureOne(
  scenario: Scenario,
  row: Row,
  systemsOf: () => Promise<Systems>,
  run: Run,
): Promise<JudgedRow> {
  const started = performance.now();
  try {
    const result = await measureRow(scenario, row, systemsOf, run);
    const before = recorded?.rows.find(({ name }) => name === row.name);
    return { ...result, verdicts: judge(row, result, form, before) };
  } catch (error) {
    const failure = error instanceof Error ? error.message : String(error);
    give(`  ${row.name}: ${failure}`);
    const { name, title, unit } = row;
    return {
      scenario: scenario.name,
      name,
      title,
      unit,
      systems: [],
      comparisons: [],
      verdicts: [],
      failure,
    };
  } finally {
    give(`  ${row.name}: ${((performance.now() - started) / 1000).toFixed(1)} s`);
  }
}

async function main(planned: readonly Scenario[]): Promise<JudgedRow[]> {
  if (planned.some(({ systems }) => systems.envoy !== undefined)) await envoyBinary();
  if (planned.some(({ systems }) => systems.direct !== undefined)) autogenPython();
  const material = await makeMaterial();
  const load = new Load();
  let backend: Backend | undefined;
  // The load and the backend end with this process; the systems would not.
  for (const signal of ['SIGINT', 'SIGTERM'] as const) {
    process.once(signal, () => {
      Program.killAll();
      material.remove();
      process.exit(1);
    });
  }
  try {
    backend = await Backend.start([material.ca, material.server.cert, material.server.key]);
    const run: Run = { load, material, form, rounds, share, hurryAtMs };
    const rows: JudgedRow[] = [];
    for (const scenario of planned) {
      rows.push(...(await measure(scenario, run, backend)));
      // What was measured outlives whatever happens to the rest.
      write(rows);
    }
    return rows;
  } finally {
    load.stop();
    backend?.stop();
    material.remove();
  }
}

function recordOf(rows: readonly JudgedRow[]): BenchRecord {
  return { command, date, form, rounds, machine: machineFacts(), peers, rows };
}

/** The table for people, the figures for machines. */
function write(rows: readonly JudgedRow[]): void {
  const folder = join(import.meta.dirname, '..', 'out');
  mkdirSync(folder, { recursive: true });
  const record = recordOf(rows);
  writeFileSync(join(folder, `${form}.json`), `${JSON.stringify(record, null, 2)}\n`);
  writeFileSync(join(folder, `${form}.md`), `# Benchmark, ${form} form\n\n${runPage(record).join('\n')}`);
}

if (!Number.isInteger(rounds) || rounds < 1) refuse(`--rounds "${values.rounds}": expected a whole number`);
if (!(share > 0 && share <= 1))
  refuse(`--amounts "${values.amounts}": expected a share of the rows' amounts, up to 1`);
const part = form === 'short' || positionals.length > 0 || values.systems !== undefined || share !== 1;
if (values.record && part) {
  refuse('--record takes the full form of all rows and systems, whole');
}
if (!hasAccounts()) refuse("needs Linux: the processes' accounts come from /proc");
const planned = plan(wantedSystems());
if (planned.length === 0) refuse('no row is left to measure');
const tools = [
  ...new Set(planned.flatMap(({ systems }) => Object.keys(systems) as SystemName[])),
  ...(planned.some(({ rows }) => rows.some(({ load }) => load.by === 'h2load')) ? (['h2load'] as const) : []),
];
const missing = missingPeers(tools);
if (missing.length > 0) refuse(missing.join('\nbench: '));

const recorded = readRecord();
const date = new Date().toISOString();
const command = values.record ? 'npm run bench:record' : `npm run bench${form === 'short' ? ':short' : ''}`;
const peers = peerVersions(tools);
const rows = await main(planned);
if (values.record) writeFileSync(recordedPath, `${JSON.stringify(recordOf(rows), null, 2)}\n`);
const wrong = rows.flatMap(({ name, failure, verdicts }) => [
  ...(failure === undefined ? [] : [`${name}: ${failure.split('\n')[0]}`]),
  ...verdicts.filter(({ ok }) => !ok).map(({ measured, text }) => `${name}: ${measured}, ${text}`),
]);
for (const line of wrong) give(`FAILED ${line}`);
give(
  `\n${rows.length} rows, ${wrong.length} failures; bench/out/${form}.md and ${form}.json have the figures`,
);
process.exitCode = wrong.length === 0 ? 0 : 1;
