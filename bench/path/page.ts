// The tables, for people: on the terminal, in bench/out/, and docs/benchmarks.md from what was recorded.
import type { Measured } from './measure.ts';
import { type BenchRecord, type JudgedRow, readMicroRecord, readRecord } from './record.ts';
import { scenarios } from './scenarios.ts';
import { number } from './verdict.ts';

/** `docs/benchmarks.md`. */
export function benchmarksPage(): string {
  const record = readRecord();
  return [intro, ...(record === undefined ? [nothing] : runPage(record)), ...hotFunctions(), method].join(
    '\n',
  );
}

const intro = `# Benchmarks

<!-- Written by \`npm run generate\` from bench/recorded.json, which \`npm run bench:record\` writes. -->

The whole program as processes, beside peers that do the same work under the same load before the same backend, in
the same run. What counts is the ratio: absolute figures belong to the machine that they were taken on.
`;

const nothing =
  'No figures are recorded for this version yet: `npm run bench:record` takes them, on a quiet machine.\n';

const method = `## How it is measured

- The system under test has one core to itself; the load and the backend (a process each) share another. The systems of a
  table all run throughout, the others at rest; where memory is measured, they are started anew for each round.
- A price is processor time, user and system, of all the processes and threads of a system, from the scheduler's accounts
  (\`/proc/PID/task/*/schedstat\`), per call, message, round trip, handshake or gigabyte. Opening connections is not in it
  where the row doesn't say so. Memory is the proportional share (PSS) of all its processes.
- The same load goes through one system after the other, after a warm-up each time, in an order that turns round from round to
  round, at least seven rounds. A ratio is that of the medians. Its noise is how far apart the middle half of the rounds' own
  ratios lies, as a share of their median; over 20 % against a peer that a target names, the full run has failed.
- TLS 1.3 everywhere, P-256 certificates. Client certificates are verified, and so are the servers'. Each system negotiates what it
  ships with: Lockwire takes X25519MLKEM768 where the other end has it, haproxy and nginx what their OpenSSL has. Peers have
  one worker, no access log, their own buffers and windows, and limits of requests and of idle time out of the way.
- Lockwire runs as for its users: policy, metrics and log on, each call identified and judged.
- The backend is shaped like a gRPC server; it and the load speak HTTP/2 with frames of their own (\`bench/path/http2-frames.ts\`),
  which cost less than what is measured. \`h2load\` makes one row, for comparison.
- Calls of real AutoGen are measured by its own worker: with both workers straight at its host (\`direct\`), and with both through
  \`connect\`, \`gateway\` and \`expose\`, where each message is judged by policy. Host and workers share the load's core. There the
  price is the time of the call in the middle, and what counts is what Lockwire adds to it; its noise is that of the rounds' own
  differences. A call is two messages, and each of them passes the three processes twice: to the host, and from it.
- \`npm run bench\` is the full form: \`npm run bench -- ROW… --rounds N --systems a,b\` picks rows (or whole tables: \`relay\`, \`tunnel\`,
  \`http2\`, \`autogen\`, …) and systems. \`npm run bench:short\` takes smaller amounts of some rows in three rounds, beside haproxy and
  nginx, and fails only where a ratio is more than three times what is recorded: it finds accidents, not percents. Both write their
  table and their figures to \`bench/out/\`.
`;

/** What a run found, as Markdown. */
export function runPage(record: BenchRecord): string[] {
  const { machine, date, command, rounds, peers } = record;
  const versions = Object.entries(peers).map(([name, version]) => `${name} ${version}`);
  const facts = [
    `Taken ${date.slice(0, 10)} with \`${command}\` (${rounds} rounds): ${machine.cores} cores of ${machine.processor},`,
    `${machine.memoryGib} GiB, ${machine.system}, Node ${machine.node} (OpenSSL ${machine.openssl})${machine.pinned ? '' : ', not pinned'}.`,
    `Peers: ${versions.join(', ')}.\n`,
  ];
  const tables = scenarios.flatMap(scenario => {
    const rows = record.rows.filter(row => row.scenario === scenario.name);
    return rows.length === 0 ? [] : [`## ${scenario.title}\n`, ...scenarioTables(scenario.note, rows)];
  });
  return [...facts, ...tables];
}

export function scenarioTables(note: string | undefined, rows: readonly JudgedRow[]): string[] {
  const names = [...new Set(rows.flatMap(({ systems }) => systems.map(({ name }) => name)))];
  const bySystem = (title: string, of: (system: Measured, row: JudgedRow) => string): string[] => [
    ...table(
      [title, ...names],
      rows.map(row => [
        row.name,
        ...names.map(name => {
          const system = row.systems.find(other => other.name === name);
          return system === undefined ? '–' : of(system, row);
        }),
      ]),
    ),
    '',
  ];
  const verdicts = rows.flatMap(({ name, failure, verdicts: all }) =>
    failure === undefined
      ? all.map(({ measured, noise, must, aim, ok, text }) => [
          ...[name, measured, noise === undefined ? '–' : `${Math.round(noise * 100)} %`, must, aim],
          ok ? text : `**${text}**`,
        ])
      : [[name, '–', '–', '', '', `**${failure.split('\n')[0]}**`]],
  );
  return [
    ...(note === undefined ? [] : [`${note}\n`]),
    ...rows.map(({ name, title }) => `- \`${name}\`: ${title}`),
    '',
    ...bySystem('price', ({ price }, { unit }) => `${number(price)} ${unit}`),
    ...bySystem('p50 / p99, ms', latency),
    ...(rows.some(({ systems }) => systems.some(({ perSecond }) => perSecond !== undefined))
      ? [...bySystem('a second', rate), ...processTables(rows)]
      : []),
    ...bySystem('memory of the processes, MiB', ({ memoryBytes }) =>
      memoryBytes === 0 ? '–' : (memoryBytes / 2 ** 20).toFixed(0),
    ),
    ...(verdicts.length === 0
      ? []
      : [...table(['verdict on', 'measured', 'noise', 'must', 'aim', ''], verdicts), '']),
  ];
}

/** What each process of a system spends, by the process. */
function processTables(rows: readonly JudgedRow[]): string[] {
  const systems = rows.flatMap(({ name, systems: all }) =>
    all.map(({ processes = [] }) => ({ name, processes })),
  );
  const names = [...new Set(systems.flatMap(({ processes }) => processes.map(({ name }) => name)))];
  if (names.length === 0) return [];
  const cells = systems
    .filter(({ processes }) => processes.length > 0)
    .map(({ name, processes }) => [
      name,
      ...names.map(wanted => {
        const process = processes.find(other => other.name === wanted);
        return process === undefined ? '–' : number(process.microseconds);
      }),
    ]);
  return [...table(['processor, µs a message', ...names], cells), ''];
}

/** One hot function a row, beside a naive twin: ours and the twin's stand next to each other by name. */
function hotFunctions(): string[] {
  const record = readMicroRecord();
  if (record === undefined) return [];
  const rows = record.results.map(({ name, nsMedian, nsP99 }) => [name, time(nsMedian), time(nsP99)]);
  return ['## Hot functions\n', ...table(['', 'median', 'p99'], rows), ''];
}

function time(ns: number | undefined): string {
  if (ns === undefined) return '–';
  return ns < 1_000 ? `${number(ns)} ns` : `${number(ns / 1_000)} µs`;
}

/** Of Markdown, which reads well on a terminal too. */
function table(head: readonly string[], cells: readonly (readonly string[])[]): string[] {
  const widths = head.map((text, column) =>
    Math.max(3, text.length, ...cells.map(row => row[column]?.length ?? 0)),
  );
  const line = (row: readonly string[]): string =>
    `| ${row.map((text, column) => text.padEnd(widths[column] ?? 0)).join(' | ')} |`;
  return [line(head), `|${widths.map(width => '-'.repeat(width + 2)).join('|')}|`, ...cells.map(line)];
}

function rate({ perSecond }: Measured): string {
  return perSecond === undefined ? '–' : number(perSecond);
}

function latency({ p50Ms, p99Ms }: Measured): string {
  return p50Ms === undefined || p99Ms === undefined ? '–' : `${number(p50Ms)} / ${number(p99Ms)}`;
}
