// A flood of publishes whose subscriber takes nothing: AutoGen's host would keep all of it; the gateway slows the publisher.
import { mebibyte } from '../support/e2e-memory.ts';
import { World } from '../support/e2e-world.ts';
import type { Result } from './autogen-suite.ts';
import { runCase, startHost, type Undo } from './case.ts';
import { type Line, PythonProgram } from './python-program.ts';
import { autogenPython } from './venv.ts';

const script = 'test/interop/flood.py';
const sampleMs = 100;
const bareSeconds = 4;
const mostGrowthBytes = 8 * mebibyte;
/** A frozen subscriber is let go after 30 s: then the flood goes on. */
const letGoAfterS = 34;
/** Of what comes after that, nothing waits any more: it is work, and not what is held. */
const frozenMs = 29_000;

/** A line of flood.py. */
interface FloodLine extends Line {
  readonly phase?: 'warm' | 'frozen';
  /** Messages a second that the publisher was let send, at the end of the phase. */
  readonly rate?: number;
  readonly published?: number;
}

/** What became of a flood. */
interface Flood {
  readonly rates: Readonly<Record<'warm' | 'frozen', number>>;
  readonly published: number;
  /** Of the publisher beside it. */
  readonly beside: FloodLine;
}

async function flood(
  undo: Undo,
  addresses: readonly string[],
  seconds: number,
  ended: (phase: 'warm' | 'frozen') => void = () => {},
): Promise<Flood> {
  const rates = { warm: 0, frozen: 0 };
  let published = 0;
  let beside: FloodLine = {};
  const args = [...addresses, String(seconds)];
  const program = new PythonProgram(autogenPython(), script, args, (line: FloodLine) => {
    if (line.check) beside = line;
    if (line.phase === undefined) return;
    rates[line.phase] = line.rate ?? 0;
    published = line.published ?? published;
    ended(line.phase);
  });
  undo.teardown(() => program.kill());
  await program.ready;
  const code = await program.exited;
  if (code !== 0) throw new Error(`exit ${code}: ${program.complaint}`);
  return { rates, published, beside };
}

function summary({ rates, published }: Flood, seconds: number): string {
  const { warm, frozen } = rates;
  return `${warm.toFixed(0)} a second before, ${frozen.toFixed(0)} at the end of ${seconds} s, ${published} in all`;
}

export function floodFrozen(name: string, seconds: number): Promise<Result> {
  return runCase(name, async (tally, undo) => {
    const bare = await startHost(undo);
    const host = await startHost(undo);
    const world = await World.make(undo);
    const gateway = await world.gateway();
    await world.expose(gateway, { target: 'rpc', to: host.address });
    const addresses: string[] = [];
    for (const sub of ['flooder', 'listener', 'frozen']) {
      const token = await world.token({ sub, groups: ['agents'] });
      addresses.push((await world.connect(gateway, { target: 'rpc', token })).address);
    }

    let before = 0;
    let most = 0;
    let sinceMs = Number.POSITIVE_INFINITY;
    const timer = setInterval(() => {
      if (performance.now() - sinceMs < frozenMs) most = Math.max(most, gateway.program.residentBytes());
    }, sampleMs);
    undo.teardown(() => clearInterval(timer));
    let bareBefore = 0;
    let bareGrowth = 0;
    const [without, through] = await Promise.all([
      flood(undo, [bare.address, bare.address, bare.address], bareSeconds, phase => {
        if (phase === 'warm') bareBefore = bare.residentBytes();
        else bareGrowth = bare.residentBytes() - bareBefore;
      }),
      flood(undo, addresses, seconds, phase => {
        if (phase === 'frozen') return clearInterval(timer);
        before = gateway.program.residentBytes();
        sinceMs = performance.now();
      }),
    ]);

    const { warm, frozen } = through.rates;
    tally.add(
      `without Lockwire nobody slows the publisher: ${summary(without, bareSeconds)}`,
      without.rates.frozen > without.rates.warm / 4,
    );
    tally.add(
      `and AutoGen’s host keeps it all: its memory grows by ${(bareGrowth / mebibyte).toFixed(1)} MiB`,
      bareGrowth > mostGrowthBytes,
    );
    tally.add(
      `the gateway’s memory grows by ${((most - before) / mebibyte).toFixed(1)} MiB in ${Math.min(seconds, frozenMs / 1_000)} s of flood`,
      before > 0 && most > 0 && most - before <= mostGrowthBytes,
    );
    if (seconds < letGoAfterS)
      tally.add(`the publisher is stopped: ${summary(through, seconds)}`, warm > 0 && frozen < warm / 20);
    else
      tally.add(
        `the frozen one is let go, and the publisher goes on: ${summary(through, seconds)}`,
        frozen > warm / 4,
      );
    const { ok, detail } = through.beside;
    tally.add(`another publisher’s, and calls, meanwhile: ${detail}`, ok === true);
  });
}
