// One file a hot function, beside a naive twin. Usage: node bench/micro/run.ts [--json FILE] [--smoke] [name ...]
import { readdirSync, writeFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { run } from 'mitata';

const { values, positionals } = parseArgs({
  options: { json: { type: 'string' }, smoke: { type: 'boolean', default: false } },
  allowPositionals: true,
});

const files = readdirSync(import.meta.dirname)
  .filter(name => name.endsWith('.bench.ts'))
  .filter(name => positionals.length === 0 || positionals.some(wanted => name.startsWith(wanted)));
for (const file of files) await import(`./${file}`);

const { benchmarks } = await run({
  format: values.json || values.smoke ? 'quiet' : 'mitata',
  throw: true,
  ...(values.smoke && { min_cpu_time: 1 }),
});

const results = benchmarks.flatMap(({ alias, runs }) =>
  runs.map(({ name, stats }) => ({
    name: name || alias,
    nsMedian: stats?.p50,
    nsP99: stats?.p99,
    samples: stats?.samples.length,
  })),
);
if (results.length === 0) throw new Error('no benchmark ran');
if (values.json)
  writeFileSync(values.json, `${JSON.stringify({ node: process.version, results }, null, 2)}\n`);
if (values.smoke) process.stdout.write(`${results.length} benchmarks ran\n`);
// Benchmarks of sockets leave them open.
process.exit(0);
