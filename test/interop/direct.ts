// Real AutoGen workers straight at the gateway: TLS and a token, with no connect beside them.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { World } from '../support/e2e-world.ts';
import type { Result } from './autogen-suite.ts';
import { runCase, startHost } from './case.ts';
import { root } from './python-program.ts';
import { autogenPython } from './venv.ts';

const timeoutMs = 60_000;

async function run(args: readonly string[]): Promise<{ code: number | null; text: string }> {
  const program = spawn(autogenPython(), args, { cwd: root, timeout: timeoutMs });
  let text = '';
  for (const output of [program.stdout, program.stderr])
    output.setEncoding('utf8').on('data', (chunk: string) => {
      text += chunk;
    });
  const [code] = (await once(program, 'close')) as [number | null];
  return { code, text };
}

export function directWorkers(name: string): Promise<Result> {
  return runCase(name, async (tally, undo) => {
    const { address } = await startHost(undo);
    const world = await World.make(undo);
    const gateway = await world.gateway({
      targets: [{ name: 'rpc', dialect: 'autogen-rpc', via: 'tunnel', services: ['agents.AgentRpc'] }],
    });
    await world.expose(gateway, { target: 'rpc', to: address });
    const ca = join(world.directory, 'ca.pem');
    const work = async (groups: readonly string[]): Promise<{ code: number | null; text: string }> => {
      const token = world.file(`worker-${groups.join()}.jwt`, await world.token({ sub: 'alice', groups }));
      return run(['examples/direct.py', `localhost:${gateway.port}`, token, ca]);
    };
    const permitted = await work(['agents']);
    const whole =
      /RPC answered: hello from alice, and hello to you/.test(permitted.text) &&
      /published and heard: news from alice/.test(permitted.text);
    tally.add('an RPC and a publish, with a token', permitted.code === 0 && whole, permitted.text);
    const denied = await work([]);
    tally.add(
      'without a permit: PERMISSION_DENIED with a decision',
      denied.code !== 0 && /PERMISSION_DENIED/.test(denied.text) && /lockwire explain/.test(denied.text),
      denied.text,
    );
  });
}
