// Makes virtual environments, once for each requirements file.
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = dirname(dirname(dirname(fileURLToPath(import.meta.url))));

/** All that real AutoGen needs, pinned. */
export const autogenRequirements: string = join(root, 'test', 'interop', 'requirements.txt');

const installTimeoutMs = 300_000;

export interface PythonEnvironment {
  /** Its folder in `.venv/`. */
  readonly name: string;
  /** A pip requirements file that lists everything, pinned. */
  readonly requirements: string;
  /** The `x` of each Python 3.x that has wheels for all of it. */
  readonly minors: readonly number[];
  /** A module that must be found in it. */
  readonly module: string;
}

/** The path of the python that runs real AutoGen. */
export function autogenPython(): string {
  return environmentPython({
    name: 'autogen',
    requirements: autogenRequirements,
    // grpcio 1.70.0 has wheels for these; AutoGen needs at least 3.10.
    minors: [10, 11, 12, 13],
    module: 'autogen_ext.runtimes.grpc',
  });
}

/** The path of the environment's python; throws with what to do where it can't be had. */
export function environmentPython({ name, requirements, minors, module }: PythonEnvironment): string {
  const directory = join(root, '.venv', name);
  const stamp = join(directory, '.lockwire-stamp');
  const python = join(directory, 'bin', 'python');
  const wanted = createHash('sha256').update(readFileSync(requirements)).digest('hex');
  if (existsSync(python) && existsSync(stamp) && readFileSync(stamp, 'utf8') === wanted) return python;
  rmSync(directory, { recursive: true, force: true });
  process.stdout.write(`making .venv/${name} (once; about 30 s)\n`);
  run(findPython(minors), ['-m', 'venv', directory]);
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
  run(python, ['-c', `import ${module}`]);
  writeFileSync(stamp, wanted);
  return python;
}

function findPython(minors: readonly number[]): string {
  const candidates = ['python3', ...minors.toReversed().map(minor => `python3.${minor}`)];
  for (const name of candidates) {
    const { status, stdout } = spawnSync(name, ['-c', 'import sys; print(*sys.version_info[:2])'], {
      encoding: 'utf8',
    });
    const [major, minor] = (stdout ?? '').trim().split(' ').map(Number);
    if (status === 0 && major === 3 && minor !== undefined && minors.includes(minor)) return name;
  }
  throw new Error(
    `this needs Python 3.${minors[0]} to 3.${minors.at(-1)}; looked for ${candidates.join(', ')} on PATH`,
  );
}

function run(command: string, args: string[]): void {
  const { status, error, signal } = spawnSync(command, args, {
    stdio: ['ignore', 'inherit', 'inherit'],
    timeout: installTimeoutMs,
  });
  if (error) throw error;
  if (status !== 0) throw new Error(`'${command} ${args.join(' ')}' failed: ${signal ?? `exit ${status}`}`);
}
