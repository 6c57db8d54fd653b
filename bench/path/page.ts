// The tables, for people: on the terminal, and docs/benchmarks.md from what was recorded.
import type { Measured } from './measure.ts';
import { type BenchRecord, type JudgedRow, readMicroRecord, readRecord } from './record.ts';
import { scenarios } from './rows.ts';

/** `docs/benchmarks.md`. */
export function benchmarksPage(): string {
  const record = readRecord();
  return [intro, ...(record === undefined ? [nothing] : recorded(record)), ...hotFunctions(), method].join(
    '\n',
  );
}

const intro = `# Benchmarks

<!-- Written by \`npm run generate\` from bench/recorded.json, which \`npm run bench:record\` writes. -->

The whole program as processes, beside a peer that does the same work under the same load before the same backend, in
the same run. What counts is the ratio: absolute figures belong to the machine that they were taken on.
`;

const nothing =
  'No figures are recorded for this version yet: `npm run bench:record` takes them (haproxy is needed).\n';

const method = `## How it is measured

- The proxies have one core to themselves; the load and the backend (a process each) share another.
- Prices are processor time, user and system, of all the processes and threads of a system, from \`/proc\`, per round trip,
  gigabyte or handshake. Memory is resident memory.
- Each round measures both systems after a warm-up, in an order that alternates from round to round. A row's ratio is the
  median of its rounds' ratios; its noise is how far apart the middle half of them lies. Over 20 % a full run is void.
- TLS 1.3 everywhere, P-256 certificates, client certificates verified. Each side negotiates what it ships with: Lockwire
  takes X25519MLKEM768 where the other end has it, haproxy what its OpenSSL has.
- \`npm run bench:short\` takes smaller amounts in three rounds and fails only where a ratio is more than three times
  what is recorded: it finds accidents, not percents. \`npm run bench\` is the full form; \`--rows NAME,…\` picks rows.
`;

function recorded(record: BenchRecord): string[] {
  const { machine, date, command, rounds } = record;
  const facts = [
    `Taken ${date.slice(0, 10)} with \`${command}\` (${rounds} rounds): ${machine.cores} cores of ${machine.processor},`,
    `${machine.memoryGib} GiB, ${machine.system}, Node ${machine.node} (OpenSSL ${machine.openssl}), haproxy ${machine.haproxy}${machine.pinned ? '' : ', not pinned'}.\n`,
  ];
  const tables = scenarios.flatMap(({ name, title }) => {
    const rows = record.rows.filter(({ scenario }) => scenario === name);
    return rows.length === 0 ? [] : [`## ${title}\n`, ...table(rows), ''];
  });
  return [...facts, ...tables];
}

/** One hot function a row, beside a naive twin: ours and the twin's stand next to each other by name. */
function hotFunctions(): string[] {
  const record = readMicroRecord();
  if (record === undefined) return [];
  const rows = record.results.map(
    ({ name, nsMedian, nsP99 }) => `| ${name} | ${time(nsMedian)} | ${time(nsP99)} |`,
  );
  return ['## Hot functions\n', '| | median | p99 |', '|---|---|---|', ...rows, ''];
}

function time(ns: number | undefined): string {
  if (ns === undefined) return '–';
  return ns < 1_000 ? `${figure(ns)} ns` : `${figure(ns / 1_000)} µs`;
}

/** A Markdown table, which reads well on a terminal too. */
export function table(rows: readonly JudgedRow[]): string[] {
  const peer = rows[0]?.peer.name ?? '';
  const cells = rows.map(row => [
    row.title,
    `${figure(row.lockwire.cost)} ${row.unit}`,
    `${figure(row.peer.cost)} ${row.unit}`,
    figure(row.ratio),
    `${Math.round(row.noise * 100)} %`,
    latency(row.lockwire),
    latency(row.peer),
    `${memory(row.lockwire)} / ${memory(row.peer)}`,
    row.must,
    row.aim,
    `${row.verdict.ok ? '' : '**'}${row.verdict.text}${row.verdict.ok ? '' : '**'}`,
  ]);
  const head = [
    ...['', 'lockwire', peer, 'ratio', 'noise'],
    ...['p50 / p99, ms', 'peer: p50 / p99, ms', 'MiB', 'must', 'aim', ''],
  ];
  const widths = head.map((text, column) =>
    Math.max(3, text.length, ...cells.map(row => row[column]?.length ?? 0)),
  );
  const line = (row: readonly string[]): string =>
    `| ${row.map((text, column) => text.padEnd(widths[column] ?? 0)).join(' | ')} |`;
  return [line(head), `|${widths.map(width => '-'.repeat(width + 2)).join('|')}|`, ...cells.map(line)];
}

function latency({ p50Ms, p99Ms }: Measured): string {
  return p50Ms === undefined || p99Ms === undefined ? '–' : `${figure(p50Ms)} / ${figure(p99Ms)}`;
}

function memory({ residentBytes }: Measured): string {
  return (residentBytes / 2 ** 20).toFixed(0);
}

function figure(value: number): string {
  if (!Number.isFinite(value)) return '–';
  return Math.abs(value) >= 100 ? value.toFixed(0) : value.toPrecision(2);
}
