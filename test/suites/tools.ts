// Builds what the suites run, once for each version of its sources: h2spec, gRPC's interop programs in Go, and a
// Python with gRPC over C-core.
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, globSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { environmentPython } from '../interop/venv.ts';

const here = import.meta.dirname;
const sources = join(here, 'go');
const buildTimeoutMs = 420_000;

export interface Tools {
  readonly python: string;
  readonly h2spec: string;
  readonly interopClient: string;
  readonly interopServer: string;
}

/** Throws with what to do where something can't be had. */
export function makeTools(): Tools {
  const python = environmentPython({
    name: 'suites',
    requirements: join(here, 'requirements.txt'),
    minors: [10, 11, 12, 13, 14],
    module: 'grpc_tools.protoc',
  });
  const directory = buildGo(dirname(python));
  const built = (name: string): string => join(directory, name);
  return {
    python,
    h2spec: built('h2spec'),
    interopClient: built('client'),
    interopServer: built('interop-server'),
  };
}

/** Where the programs of `go/` stand. `fallback` is a folder with a `go` for machines without a new enough one. */
function buildGo(fallback: string): string {
  const go = findGo(fallback);
  const files = globSync('**/*', { cwd: sources, withFileTypes: true }).filter(file => file.isFile());
  const hash = createHash('sha256').update(go.version);
  for (const path of files.map(file => join(file.parentPath, file.name)).sort()) {
    hash.update(path.slice(sources.length)).update(readFileSync(path));
  }
  const directory = join(dirname(fallback), 'go-programs');
  const stamp = join(directory, '.lockwire-stamp');
  const wanted = hash.digest('hex');
  if (existsSync(stamp) && readFileSync(stamp, 'utf8') === wanted) return directory;
  rmSync(directory, { recursive: true, force: true });
  mkdirSync(directory, { recursive: true });
  process.stdout.write(
    `building h2spec and gRPC's interop programs with ${go.version} (once; about a minute)\n`,
  );
  const { status, signal, error } = spawnSync(
    go.path,
    [
      ...['build', '-mod=readonly', '-buildvcs=false', '-trimpath', '-ldflags=-s -w', '-o', `${directory}/`],
      ...['./...', 'google.golang.org/grpc/interop/client'],
    ],
    {
      cwd: sources,
      stdio: ['ignore', 'inherit', 'inherit'],
      timeout: buildTimeoutMs,
      env: { ...process.env, CGO_ENABLED: '0', GOTOOLCHAIN: 'local', GOFLAGS: '', GOWORK: 'off' },
    },
  );
  if (error) throw error;
  if (status !== 0) throw new Error(`'go build' in ${sources} failed: ${signal ?? `exit ${status}`}`);
  writeFileSync(stamp, wanted);
  return directory;
}

/** The first `go` that go.mod takes: the machine's own, else the one that pip brought. */
function findGo(fallback: string): { readonly path: string; readonly version: string } {
  const least = (/^go (\d+\.\d+)/m.exec(readFileSync(join(sources, 'go.mod'), 'utf8'))?.[1] ?? '')
    .split('.')
    .map(Number);
  const candidates = ['go', join(fallback, 'go')];
  for (const path of candidates) {
    const { stdout } = spawnSync(path, ['version'], {
      encoding: 'utf8',
      env: { ...process.env, GOTOOLCHAIN: 'local' },
    });
    const version = /go version (go(\d+)\.(\d+)\S*)/.exec(stdout ?? '');
    if (!version) continue;
    const [major, minor] = [Number(version[2]), Number(version[3])];
    if (major === least[0] && minor >= (least[1] ?? 0)) return { path, version: version[1] ?? '' };
  }
  throw new Error(`no Go ${least.join('.')} or newer; looked for ${candidates.join(' and ')}`);
}
