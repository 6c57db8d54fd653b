// What AutoGen's host lets one worker do to another: each attack first on the bare host, where it must succeed, then
// through Lockwire, where it must fail while both parties' honest work goes on.
import { World } from '../support/e2e-world.ts';
import type { Result } from './autogen-suite.ts';
import { runCase, startHost } from './case.ts';
import { type Line, PythonProgram } from './python-program.ts';
import { autogenPython } from './venv.ts';

const timeoutMs = 120_000;
/** Those of attacks.py. */
const attacks = 14;

/** Messages too; of the topic sources, one is Alice's. */
const messagePolicy = `
@id("agents")
permit (
  principal in Lockwire::Group::"corp/agents",
  action in [Lockwire::Action::"connect", Lockwire::Action::"call", Lockwire::Action::"message"],
  resource
);
@id("hosts")
permit (principal in Lockwire::Group::"corp/hosts", action == Lockwire::Action::"expose", resource);
@id("alice-only")
forbid (principal, action == Lockwire::Action::"message", resource)
when { context has topicSource && context.topicSource == "alice-only" }
unless { principal == Lockwire::User::"corp|alice" };
`;

/** A line of attacks.py. */
interface AttackLine extends Line {
  readonly succeeded?: boolean;
  /** What of the honest work failed. */
  readonly honest?: string;
}

async function attack(mode: 'bare' | 'wired', addresses: readonly string[]): Promise<AttackLine[]> {
  const lines: AttackLine[] = [];
  const args = [mode, ...addresses];
  const program = new PythonProgram(autogenPython(), 'test/interop/attacks.py', args, line =>
    lines.push(line),
  );
  program.ready.catch(() => {});
  const timer = setTimeout(() => program.kill(), timeoutMs);
  const code = await program.exited;
  clearTimeout(timer);
  if (code !== 0) throw new Error(`exit ${code}: ${program.complaint}`);
  return lines.filter(({ check }) => check !== undefined);
}

export function attackAlice(name: string): Promise<Result> {
  return runCase(name, async (tally, undo) => {
    const bare = await startHost(undo);
    const host = await startHost(undo);
    const world = await World.make(undo);
    const gateway = await world.gateway({ policy: messagePolicy });
    await world.expose(gateway, { target: 'rpc', to: host.address });
    const connect = async (sub: string): Promise<string> => {
      const token = await world.token({ sub, groups: ['agents'] });
      return (await world.connect(gateway, { target: 'rpc', token })).address;
    };
    const addresses = [await connect('alice'), await connect('bob'), await connect('alice')];
    const [without, through] = await Promise.all([
      attack('bare', [bare.address, bare.address, bare.address]),
      attack('wired', addresses),
    ]);

    for (const { check = '', ok = false, succeeded = false, honest = '', detail } of without)
      tally.add(`without Lockwire: ${check}`, ok && succeeded && honest === '', `${honest}; ${detail}`);
    for (const { check = '', ok = false, succeeded = true, honest = '', detail } of through)
      tally.add(
        `through Lockwire, never: ${check}`,
        ok && !succeeded && honest === '',
        `${succeeded ? 'it succeeds' : 'it fails'}; ${honest}; ${detail}`,
      );
    const made = [without.length, through.length];
    tally.add(
      `${attacks} attacks were made, twice`,
      made.every(count => count === attacks),
      `${made}`,
    );
  });
}
