// The path benchmark: `npm run bench` (full), `npm run bench:short`, `npm run bench:record`.
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { Backend, Load } from './helper.ts';
import { makeMaterial } from './material.ts';
import { type Form, measureRow, type Run } from './measure.ts';
import { table } from './page.ts';
import { hasAccounts, Program } from './program.ts';
import {
  type BenchRecord,
  haproxyVersion,
  type JudgedRow,
  machineFacts,
  readRecord,
  recordedPath,
} from './record.ts';
import { type Row, type Scenario, scenarios } from './rows.ts';
import type { System } from './systems.ts';
import { judge } from './verdict.ts';

const { values } = parseArgs({
  options: {
    short: { type: 'boolean', default: false },
    record: { type: 'boolean', default: false },
    rows: { type: 'string' },
    rounds: { type: 'string' },
  },
});
const form: Form = values.short ? 'short' : 'full';
const rounds = Number(values.rounds ?? (form === 'full' ? 7 : 3));
const wanted = values.rows?.split(',');

function give(line: string): void {
  process.stdout.write(`${line}\n`);
}

function refuse(text: string): never {
  process.stderr.write(`bench: ${text}\n`);
  process.exit(1);
}

/** All rows of a scenario, or those asked for. */
async function measure(scenario: Scenario, run: Run, backend: Backend): Promise<JudgedRow[]> {
  const rows = scenario.rows.filter(({ name }) => wanted === undefined || wanted.includes(name));
  if (rows.length === 0) return [];
  give(`\n${scenario.title}`);
  const make = async (): Promise<readonly [System, System]> => {
    await Program.stopAll();
    return scenario.make({ material: run.material, backend: backend.ports });
  };
  let made: Promise<readonly [System, System]> | undefined;
  const systemsOf = (): Promise<readonly [System, System]> => {
    if (scenario.fresh) return make();
    made ??= make();
    return made;
  };
  try {
    const judged: JudgedRow[] = [];
    for (const row of rows) judged.push(await measureOne(scenario, row, systemsOf, run));
    for (const line of table(judged)) give(line);
    return judged;
  } finally {
    await Program.stopAll();
  }
}

async function measureOne(
  scenario: Scenario,
  row: Row,
  systemsOf: () => Promise<readonly [System, System]>,
  run: Run,
): Promise<JudgedRow> {
  const started = performance.now();
  const result = await measureRow(scenario, row, systemsOf, run);
  const before = recorded?.rows.find(({ name }) => name === row.name);
  const limit = (ratio: number | undefined, atMost: number | undefined): string =>
    atMost === undefined ? (ratio === undefined ? '' : `≤ ${ratio.toFixed(2)}`) : `≤ ${atMost} ${row.unit}`;
  give(`  ${row.name}: ${((performance.now() - started) / 1000).toFixed(1)} s`);
  return {
    ...result,
    must: limit(row.must, row.mustAtMost),
    aim: limit(row.aim, row.aimAtMost),
    verdict: judge(row, result, run.form, before),
  };
}

async function main(): Promise<JudgedRow[]> {
  const material = await makeMaterial();
  const load = new Load();
  let backend: Backend | undefined;
  try {
    backend = await Backend.start([material.ca, material.server.cert, material.server.key]);
    const run: Run = { load, material, form, rounds };
    const rows: JudgedRow[] = [];
    for (const scenario of scenarios) rows.push(...(await measure(scenario, run, backend)));
    return rows;
  } finally {
    load.stop();
    backend?.stop();
    material.remove();
  }
}

function write(path: string, record: BenchRecord): void {
  mkdirSync(join(path, '..'), { recursive: true });
  writeFileSync(path, `${JSON.stringify(record, null, 2)}\n`);
}

if (!Number.isInteger(rounds) || rounds < 1) refuse(`--rounds "${values.rounds}": expected a whole number`);
if (values.record && (form === 'short' || wanted)) refuse('--record takes the full form of all rows');
if (!hasAccounts()) refuse("needs Linux: the processes' accounts come from /proc");
if (haproxyVersion() === undefined) refuse("haproxy is not installed: 'apt-get install haproxy'");
const recorded = readRecord();
const date = new Date().toISOString();
const rows = await main();
if (rows.length === 0) refuse(`--rows "${values.rows}": no such row`);
const command = values.record ? 'npm run bench:record' : `npm run bench${form === 'short' ? ':short' : ''}`;
const record: BenchRecord = { command, date, form, rounds, machine: machineFacts(), rows };
write(join(import.meta.dirname, '..', '..', 'build', 'bench.json'), record);
if (values.record) write(recordedPath, record);
const wrong = rows.filter(({ verdict }) => !verdict.ok);
for (const { name, verdict } of wrong) give(`FAILED ${name}: ${verdict.text}`);
give(`\n${rows.length} rows, ${wrong.length} failed; build/bench.json has the figures`);
process.exitCode = wrong.length === 0 ? 0 : 1;
