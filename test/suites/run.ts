// Other people's suites against Lockwire: h2spec, and gRPC's interop cases in Go and C-core.
// Usage: npm run test:suites [-- WORD… --only=SECTION]: only groups whose name has each WORD; of h2spec only that
// section, with its frames printed (and without the count).
import { implementations, interopCases, runInteropClient } from './grpc.ts';
import { h2specCases, runH2spec } from './h2spec.ts';
import type { Outcome } from './program.ts';
import { Stage } from './stage.ts';

/** Some cases of a suite, over one way. */
interface Group {
  readonly name: string;
  /** How many there are: fewer or more is a failure. */
  readonly cases: number;
  run(stage: Stage): Promise<Outcome[]>;
}

const only = process.argv
  .filter(word => word.startsWith('--only='))
  .map(word => word.slice('--only='.length));

const portOf = (address: string): number => Number(address.split(':').at(-1));

/** Without Lockwire: shows that the cases run, and that nothing below fails for another reason. */
const bareInterop: Group[] = implementations.flatMap(client =>
  implementations.map(server => ({
    name: `gRPC without Lockwire: ${client} client, ${server} server`,
    cases: interopCases.length,
    run: async stage =>
      await runInteropClient(stage.tools, client, { address: (await stage.server(server)).plain }),
  })),
);

const tunnelInterop: Group[] = implementations.flatMap(client =>
  implementations.map(server => ({
    name: `gRPC through the tunnel: ${client} client, ${server} server`,
    cases: interopCases.length,
    run: async stage =>
      await runInteropClient(stage.tools, client, { address: (await stage.wire()).tunnel[server] }),
  })),
);

/** `node:http2` by itself has known faults: were none found, h2spec would not be looking. */
const bareH2spec: Group = {
  name: 'h2spec without Lockwire finds faults in node:http2',
  cases: 1,
  run: async stage => {
    const { plain } = await stage.server('h2spec');
    const outcomes = await runH2spec(stage.tools.h2spec, {
      host: '127.0.0.1',
      port: portOf(plain),
      patienceMs: 300,
    });
    const bad = outcomes.filter(({ ok }) => !ok).length;
    const name = `${outcomes.length} cases, ${bad} of them not passed`;
    return [{ name, ok: outcomes.length === h2specCases && bad > 0, detail: 'expected 146, and at least 1' }];
  },
};

const groups: readonly Group[] = [bareH2spec, ...bareInterop, ...tunnelInterop];

async function main(): Promise<number> {
  const words = process.argv.slice(2).filter(word => !word.startsWith('--'));
  const chosen = groups.filter(({ name }) => words.every(word => name.includes(word)));
  let passed = 0;
  let failed = 0;
  const fail = (line: string): void => {
    failed += 1;
    process.stdout.write(`  FAILED ${line}\n`);
  };
  const stage = await Stage.make();
  try {
    for (const group of chosen) {
      const started = performance.now();
      try {
        const outcomes = await group.run(stage);
        const bad = outcomes.filter(({ ok }) => !ok);
        passed += outcomes.length - bad.length;
        const seconds = ((performance.now() - started) / 1000).toFixed(1);
        process.stdout.write(
          `${bad.length === 0 ? 'ok    ' : 'FAILED'} ${group.name}: ${outcomes.length - bad.length} of ${group.cases}, ${seconds} s\n`,
        );
        for (const { name, detail } of bad) fail(`${name}: ${detail}`);
        if (outcomes.length !== group.cases && only.length === 0)
          fail(`${group.name}: ${outcomes.length} cases ran, ${group.cases} are due`);
      } catch (error) {
        fail(`${group.name}: ${error instanceof Error ? error.message : String(error)}`);
      }
    }
  } finally {
    await stage.close();
  }
  if (passed === 0 && failed === 0) fail(`no group has ${words.join(' and ')} in its name`);
  process.stdout.write(`${passed} passed, ${failed} failed\n`);
  return failed > 0 ? 1 : 0;
}

process.exitCode = await main();
