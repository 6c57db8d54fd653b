// Real AutoGen against what carries it. Usage: npm run test:interop [-- WORD… --cuts=N]: only cases whose name has each
// WORD; each leg is cut N times in each way, the host is killed and cut off --kills=N times,
// a flood runs --flood=N seconds.
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { silentLog } from '../../lib/core/ports.ts';
import { startAutogenHost } from '../../lib/demo/autogen-host.ts';
import { attackAlice } from './attacks.ts';
import { type Result, runAutogenSuite } from './autogen-suite.ts';
import { cutAlone, cutThroughLockwire } from './cuts.ts';
import { directWorkers } from './direct.ts';
import { drainUnderLoad } from './drains.ts';
import { floodFrozen } from './flood.ts';
import { cutHost, killExpose, killHost, killHostAlone } from './heal.ts';
import { killConnect } from './kills.ts';
import { PythonProgram } from './python-program.ts';
import { reloadUnderLoad } from './reloads.ts';
import { sendSizes } from './sizes.ts';
import { autogenPython } from './venv.ts';
import { startWire } from './wire.ts';

/** Something that runs while a suite does. */
interface Running {
  readonly address: string;
  close(): Promise<unknown>;
}

/** A case starts what it needs under `directory`, which is removed after it, and runs the suite. */
type Case = (name: string, directory: string) => Promise<Result>;

async function autogenHost(address: string): Promise<Running> {
  const program = new PythonProgram(autogenPython(), 'test/interop/host.py', [address]);
  const line = await program.ready;
  return { address: line.address ?? address, close: () => program.stop() };
}

function ourHost(address: string): Promise<Running> {
  return startAutogenHost({ address, log: silentLog });
}

/** Both workers straight at the host. */
async function direct(name: string, started: Promise<Running>): Promise<Result> {
  const host = await started;
  try {
    return await runAutogenSuite({ name, addressA: host.address, addressB: host.address });
  } finally {
    await host.close();
  }
}

/** Each worker through a connect of its own, then gateway and expose: four processes. */
async function wired(
  name: string,
  started: Promise<Running>,
  directory: string,
  listen: (worker: string) => string,
): Promise<Result> {
  const host = await started;
  try {
    const wire = await startWire(directory, host.address);
    try {
      const [addressA, addressB] = [await wire.connect(listen('a')), await wire.connect(listen('b'))];
      return await runAutogenSuite({ name, addressA, addressB });
    } finally {
      await wire.close();
    }
  } finally {
    await host.close();
  }
}

/** The same through a CONNECT proxy of each connect: workers are given the target's name, and `grpc_proxy`. */
async function proxied(name: string, started: Promise<Running>, directory: string): Promise<Result> {
  const host = await started;
  try {
    const wire = await startWire(directory, host.address);
    try {
      const [a, b] = [await wire.proxy('127.0.0.1:0'), await wire.proxy('127.0.0.1:0')];
      return await runAutogenSuite({
        name,
        addressA: 'autogen:50051',
        addressB: 'autogen:50051',
        envA: { grpc_proxy: `http://${a}` },
        envB: { grpc_proxy: `http://${b}` },
      });
    } finally {
      await wire.close();
    }
  } finally {
    await host.close();
  }
}

/** The number that a flag gives. */
function times(flag: string, usual: number): number {
  const said = process.argv.find(word => word.startsWith(`--${flag}=`));
  return Number(said?.slice(flag.length + 3) ?? usual);
}

const cuts = times('cuts', 10);
const kills = times('kills', 4);
const floodSeconds = times('flood', 5);

const cases: Readonly<Record<string, Case>> = {
  "AutoGen's host over TCP": name => direct(name, autogenHost('127.0.0.1:0')),
  "AutoGen's host over a unix socket": (name, dir) =>
    direct(name, autogenHost(`unix:${join(dir, 'host.sock')}`)),
  'our host over TCP': name => direct(name, ourHost('127.0.0.1:0')),
  'our host over a unix socket': (name, dir) => direct(name, ourHost(`unix:${join(dir, 'host.sock')}`)),
  "AutoGen's host through Lockwire over TCP": (name, dir) =>
    wired(name, autogenHost('127.0.0.1:0'), dir, () => '127.0.0.1:0'),
  "AutoGen's host through Lockwire over unix sockets": (name, dir) =>
    wired(
      name,
      autogenHost(`unix:${join(dir, 'host.sock')}`),
      dir,
      worker => `unix:${join(dir, `${worker}.sock`)}`,
    ),
  "AutoGen's host through Lockwire by grpc_proxy": (name, dir) =>
    proxied(name, autogenHost('127.0.0.1:0'), dir),
  'our host through Lockwire over TCP': (name, dir) =>
    wired(name, ourHost('127.0.0.1:0'), dir, () => '127.0.0.1:0'),
  'workers straight at the gateway': name => directWorkers(name),
  'attacks without and through Lockwire': name => attackAlice(name),
  "kill -9 of AutoGen's host through Lockwire": name => killHost(name, kills),
  "kill -9 of AutoGen's host without Lockwire": name => killHostAlone(name),
  'kill -9 of expose': name => killExpose(name, Math.min(kills, 3)),
  "cuts of AutoGen's host alone": name => cutHost(name, kills),
  '3, 5 and 20 MiB': name => sendSizes(name),
  'a flood with a frozen subscriber': name => floodFrozen(name, floodSeconds),
  'cuts through Lockwire': name => cutThroughLockwire(name, cuts),
  'kill -9 of connect': name => killConnect(name),
  'ten reloads': name => reloadUnderLoad(name),
  'five drains': name => drainUnderLoad(name),
  'cuts without Lockwire': name => cutAlone(name),
};

const words = process.argv.slice(2).filter(word => !word.startsWith('--'));
const chosen = Object.entries(cases).filter(([name]) => words.every(word => name.includes(word)));
let passed = 0;
let failed = 0;
try {
  autogenPython();
} catch (error) {
  process.stdout.write(`${error instanceof Error ? error.message : String(error)}\n`);
  failed += 1;
}
if (failed === 0) {
  for (const [name, run] of chosen) {
    const directory = await mkdtemp(join(tmpdir(), 'lockwire-'));
    try {
      const result = await run(name, directory);
      passed += result.passed;
      failed += result.failed;
    } catch (error) {
      failed += 1;
      process.stdout.write(`FAILED ${name}: ${error instanceof Error ? error.message : String(error)}\n`);
    } finally {
      await rm(directory, { recursive: true, force: true });
    }
  }
}
if (passed === 0 && failed === 0) {
  process.stdout.write('no case ran\n');
  failed = 1;
}
process.stdout.write(`${passed} passed, ${failed} failed\n`);
process.exitCode = failed > 0 ? 1 : 0;
