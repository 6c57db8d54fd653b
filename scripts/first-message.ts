// From `git clone` to the first message through the wire, as a newcomer has it. Over 90 s is a failure.
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { delimiter, dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const limitSeconds = 90;
/** A hang is a failure too, not a wait. */
const patienceMs = 300_000;
const root = dirname(dirname(fileURLToPath(import.meta.url)));
const folder = mkdtempSync(join(tmpdir(), 'lockwire-clone-'));
const clone = join(folder, 'lockwire');
const started = performance.now();

/** The newcomer's: without what npm sets for this script, and so with the machine's own Node. */
function freshEnvironment(): NodeJS.ProcessEnv {
  const kept = Object.entries(process.env).filter(([name]) => !/^(npm_|INIT_CWD$|NODE$)/i.test(name));
  const path = (process.env.PATH ?? '').split(delimiter).filter(part => !part.includes('node_modules'));
  return { ...Object.fromEntries(kept), PATH: path.join(delimiter) };
}

const env = freshEnvironment();

function run(command: string, args: string[], cwd: string): void {
  const { status, error, stdout, stderr } = spawnSync(command, args, { cwd, env, encoding: 'utf8' });
  if (error || status !== 0) {
    throw new Error(
      `'${command} ${args.join(' ')}': ${error?.message ?? `exit ${status}`}\n${stdout}${stderr}`,
    );
  }
}

/** Starts `npm start` and gives the address that a worker is to be given. */
function ready(child: ChildProcess): Promise<{ address: string; output: string }> {
  return new Promise((resolve, reject) => {
    let output = '';
    const timer = setTimeout(
      () => reject(new Error(`not ready after ${patienceMs} ms:\n${output}`)),
      patienceMs,
    );
    const add = (data: Buffer): void => {
      output += data.toString();
      const address = /^ {2}connect +(\S+)/m.exec(output)?.[1];
      if (address === undefined) return;
      clearTimeout(timer);
      resolve({ address, output });
    };
    child.stdout?.on('data', add);
    child.stderr?.on('data', add);
    child.on('close', code => reject(new Error(`npm start ended with ${code}:\n${output}`)));
  });
}

async function stop(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.pid === undefined) return;
  const ended = new Promise(resolve => child.once('close', resolve));
  // npm, its shell and lockwire are one group.
  process.kill(-child.pid, 'SIGTERM');
  await ended;
}

let up: ChildProcess | undefined;
try {
  run('git', ['clone', '--quiet', root, clone], folder);
  const free = ['--listen', '127.0.0.1:0', '--gateway', '127.0.0.1:0'];
  up = spawn('npm', ['start', '--', ...free], {
    cwd: clone,
    env,
    detached: true,
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const { address, output } = await ready(up);
  run('npm', ['run', '--silent', 'lockwire', '--', 'try', address, '--rpcs', '1', '--publishes', '1'], clone);
  const total = (performance.now() - started) / 1000;
  const downloads = Number(/installing dependencies.*: done in ([\d.]+) s/.exec(output)?.[1] ?? Number.NaN);
  process.stdout.write(
    `from git clone to the first message through the wire: ${total.toFixed(1)} s, ` +
      `of it ${downloads.toFixed(1)} s to download and unpack packages\n`,
  );
  if (!(total <= limitSeconds)) throw new Error(`over the limit of ${limitSeconds} s`);
} catch (error) {
  process.stderr.write(`first message: ${error instanceof Error ? error.message : String(error)}\n`);
  process.exitCode = 1;
} finally {
  if (up) await stop(up);
  rmSync(folder, { recursive: true, force: true });
}
