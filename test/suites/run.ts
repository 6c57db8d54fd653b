// Other people's suites against Lockwire: h2spec, and gRPC's interop cases in Go and C-core.
// Usage: npm run test:suites [-- WORD… --only=SECTION]: only groups whose name has each WORD; of h2spec only that
// section, with its frames printed (and without the count).
import {
  type Implementation,
  type InteropTarget,
  implementations,
  interopCases,
  runInteropClient,
} from './grpc.ts';
import { type H2specTarget, h2specCases, runH2spec } from './h2spec.ts';
import type { Outcome } from './program.ts';
import { Stage } from './stage.ts';
import type { Wire } from './wire.ts';

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

/** Where a client of a group goes. */
type Way = (stage: Stage, server: Implementation) => Promise<InteropTarget>;

/** Each client against each server. */
function interop(name: string, way: Way): Group[] {
  return implementations.flatMap(client =>
    implementations.map(server => ({
      name: `gRPC ${name}: ${client} client, ${server} server`,
      cases: interopCases.length,
      run: async (stage: Stage) => await runInteropClient(stage.tools, client, await way(stage, server)),
    })),
  );
}

function h2spec(name: string, way: (wire: Wire) => H2specTarget): Group {
  return {
    name: `h2spec ${name}`,
    cases: h2specCases,
    // What passes does not wait, so patience costs nothing.
    run: async stage =>
      await runH2spec(stage.tools.h2spec, { ...way(await stage.wire()), patienceMs: 5_000 }, only),
  };
}

/**
 * These look at what comes of a request after it was refused. The answer is complete by then and the rest is not wanted,
 * so it is ignored (RFC 9113 section 8.1), where h2spec waits for an error.
 */
const looksAtTheRest = new Set(
  ['5.1/8', '5.1/9', '6.9.1/3', '8.1/1', '8.1.2.1/3', '8.1.2.6/1', '8.1.2.6/2'].map(
    section => `http2/${section}`,
  ),
);

/** Each request is refused, on a connection that must be no worse for it. */
const h2specAsNobody: Group = {
  name: 'h2spec straight, as nobody',
  cases: h2specCases - looksAtTheRest.size,
  run: async stage => {
    const wire = await stage.wire();
    const outcomes = await runH2spec(stage.tools.h2spec, wire.straightH2spec('none'), only);
    return outcomes.filter(({ name }) => !looksAtTheRest.has(name.split(' ', 1)[0] ?? ''));
  },
};

/** `node:http2` by itself has known faults: were none found, h2spec would not be looking. */
const h2specFindsFaults: Group = {
  name: 'h2spec without Lockwire finds faults in node:http2',
  cases: 1,
  run: async stage => {
    const { plain } = await stage.server('h2spec');
    const outcomes = await runH2spec(stage.tools.h2spec, { ...at(plain), patienceMs: 300 });
    const bad = outcomes.filter(({ ok }) => !ok).length;
    const name = `${outcomes.length} cases, ${bad} of them not passed`;
    const ok = outcomes.length === h2specCases && bad > 0;
    return [{ name, ok, detail: `expected ${h2specCases}, and at least 1` }];
  },
};

function at(address: string): H2specTarget {
  const [host = '', port] = address.split(':');
  return { host, port: Number(port) };
}

const groups: readonly Group[] = [
  // Without Lockwire: the cases run, and what fails below fails for no other reason.
  h2specFindsFaults,
  ...interop('without Lockwire', async (stage, server) => ({ address: (await stage.server(server)).plain })),
  h2spec('straight', wire => wire.straightH2spec('certificate')),
  h2specAsNobody,
  h2spec('through connect', wire => at(wire.tunnel('h2spec'))),
  ...interop('straight', async (stage, server) => (await stage.wire()).straight(server)),
  ...interop('through connect', async (stage, server) => ({ address: (await stage.wire()).tunnel(server) })),
];

/** 1 + 14 × 4 without Lockwire, h2spec's 146 + 139 + 146, 14 × 8 with it: a list that lost an entry must not pass. */
const casesInAll = 600;

class Tally {
  #passed = 0;
  #failed = 0;

  fail(what: string, error: unknown): void {
    this.#failed += 1;
    const why = error instanceof Error ? error.message : String(error);
    process.stdout.write(`  FAILED ${what}: ${why}\n`);
  }

  async run(group: Group, stage: Stage): Promise<void> {
    const { name, cases } = group;
    const startedMs = performance.now();
    try {
      const outcomes = await group.run(stage);
      const bad = outcomes.filter(({ ok }) => !ok);
      const good = outcomes.length - bad.length;
      const seconds = ((performance.now() - startedMs) / 1000).toFixed(1);
      process.stdout.write(
        `${good === cases ? 'ok    ' : 'FAILED'} ${name}: ${good} of ${cases}, ${seconds} s\n`,
      );
      this.#passed += good;
      for (const { name, detail } of bad) this.fail(name, detail);
      if (outcomes.length !== cases && only.length === 0)
        this.fail(name, `${outcomes.length} cases ran, ${cases} are due`);
    } catch (error) {
      this.fail(name, error);
    }
  }

  /** Gives the exit code. */
  close(): number {
    if (this.#passed + this.#failed === 0) this.fail('all', 'no case ran');
    process.stdout.write(`${this.#passed} passed, ${this.#failed} failed\n`);
    return this.#failed > 0 ? 1 : 0;
  }
}

async function main(): Promise<number> {
  const words = process.argv.slice(2).filter(word => !word.startsWith('--'));
  const chosen = groups.filter(({ name }) => words.every(word => name.includes(word)));
  const tally = new Tally();
  const due = chosen.reduce((sum, { cases }) => sum + cases, 0);
  if (words.length === 0 && due !== casesInAll) tally.fail('all', `${due} cases, ${casesInAll} are due`);
  try {
    const stage = await Stage.make();
    try {
      for (const group of chosen) await tally.run(group, stage);
    } finally {
      await stage.close();
    }
  } catch (error) {
    tally.fail('the programs', error);
  }
  return tally.close();
}

process.exitCode = await main();
