// Makes the virtual environment with real AutoGen, once for each requirements file.
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const here = dirname(fileURLToPath(import.meta.url));
const root = dirname(dirname(here));
const requirements = join(here, 'requirements.txt');
const directory = join(root, '.venv', 'autogen');
const stamp = join(directory, '.lockwire-stamp');

/** grpcio 1.70.0 has wheels for these; AutoGen needs at least 3.10. */
const minors = [10, 11, 12, 13];
const candidates = ['python3', ...minors.toReversed().map(minor => `python3.${minor}`)];

const installTimeoutMs = 300_000;

/** The path of the environment's python; throws with what to do where it can't be had. */
export function autogenPython(): string {
  const python = join(directory, 'bin', 'python');
  const wanted = createHash('sha256').update(readFileSync(requirements)).digest('hex');
  if (existsSync(python) && existsSync(stamp) && readFileSync(stamp, 'utf8') === wanted) return python;
  rmSync(directory, { recursive: true, force: true });
  process.stdout.write('interop: making .venv/autogen (once; about 30 s)\n');
  run(findPython(), ['-m', 'venv', directory]);
  run(python, [
    '-m',
    'pip',
    'install',
    '--quiet',
    '--disable-pip-version-check',
    '--no-deps',
    '-r',
    requirements,
  ]);
  run(python, ['-c', 'import autogen_ext.runtimes.grpc']);
  writeFileSync(stamp, wanted);
  return python;
}

function findPython(): string {
  for (const name of candidates) {
    const { status, stdout } = spawnSync(name, ['-c', 'import sys; print(*sys.version_info[:2])'], {
      encoding: 'utf8',
    });
    const [major, minor] = (stdout ?? '').trim().split(' ').map(Number);
    if (status === 0 && major === 3 && minor !== undefined && minors.includes(minor)) return name;
  }
  throw new Error(`the interop tests need Python 3.10 to 3.13; looked for ${candidates.join(', ')} on PATH`);
}

function run(command: string, args: string[]): void {
  const { status, error, signal } = spawnSync(command, args, {
    stdio: ['ignore', 'inherit', 'inherit'],
    timeout: installTimeoutMs,
  });
  if (error) throw error;
  if (status !== 0) throw new Error(`'${command} ${args.join(' ')}' failed: ${signal ?? `exit ${status}`}`);
}
