// A Python program of test/interop/ that speaks JSON lines on stdout, bounded in time and ended with this process.
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';

const here = dirname(fileURLToPath(import.meta.url));
export const root: string = dirname(dirname(here));

/** What a program says in a line. */
export interface Line {
  readonly ready?: boolean;
  readonly address?: string;
  readonly check?: string;
  readonly ok?: boolean;
  readonly detail?: string;
  readonly done?: boolean;
}

const readyTimeoutMs = 60_000;
const stopTimeoutMs = 10_000;
const maxStderrChars = 20_000;

/** Nothing of the environment but this: a proxy set there would be asked for loopback too. */
function environment(more: Readonly<Record<string, string>>): NodeJS.ProcessEnv {
  const { PATH, HOME, TMPDIR } = process.env;
  const own = { PYTHONUNBUFFERED: '1', PYTHONDONTWRITEBYTECODE: '1', GRPC_VERBOSITY: 'ERROR' };
  return { PATH, HOME, TMPDIR, ...own, ...more };
}

export class PythonProgram {
  readonly name: string;
  /** The `ready` line. */
  readonly ready: Promise<Line>;
  /** After its output is read to the end: the exit code, or -1 where a signal ended it. */
  readonly exited: Promise<number>;
  readonly #child: ChildProcess;
  #stderr = '';

  /** `script` is a path from the project's root. */
  constructor(
    python: string,
    script: string,
    args: readonly string[],
    heard: (line: Line) => void = () => {},
    env: Readonly<Record<string, string>> = {},
  ) {
    this.name = `${script} ${args.join(' ')}`;
    const child = spawn(python, [join(root, script), ...args], {
      stdio: ['pipe', 'pipe', 'pipe'],
      env: environment(env),
    });
    this.#child = child;
    child.stderr.setEncoding('utf8');
    child.stderr.on('data', (text: string) => {
      this.#stderr = (this.#stderr + text).slice(-maxStderrChars);
    });
    // A program that is gone before it read our EOF.
    child.stdin.on('error', () => {});
    this.exited = once(child, 'close').then(([code]) => (code as number | null) ?? -1);
    const { promise, resolve, reject } = Promise.withResolvers<Line>();
    this.ready = promise;
    promise.catch(() => {});
    const timer = setTimeout(
      () => reject(this.#failure(`not ready within ${readyTimeoutMs} ms`)),
      readyTimeoutMs,
    );
    createInterface({ input: child.stdout }).on('line', text => {
      const line = parse(text);
      if (line?.ready) {
        clearTimeout(timer);
        resolve(line);
      } else if (line) heard(line);
      else process.stdout.write(`  ${text}\n`);
    });
    child.once('error', error => reject(this.#failure(error.message)));
    void this.exited.then(code => {
      clearTimeout(timer);
      reject(this.#failure(`exit ${code}`));
    });
  }

  /** What it wrote to stderr, the end of it. */
  get complaint(): string {
    return this.#stderr.trim();
  }

  /** Closes its stdin after a last word, which ends it; kills it where that does not. */
  async stop(withinMs: number = stopTimeoutMs, lastWord = ''): Promise<void> {
    this.#child.stdin?.end(lastWord);
    const timer = setTimeout(() => this.#child.kill('SIGKILL'), withinMs);
    await this.exited;
    clearTimeout(timer);
  }

  kill(): void {
    this.#child.kill('SIGKILL');
  }

  /** Resident memory, as the kernel counts it. */
  residentBytes(): number {
    const status = readFileSync(`/proc/${this.#child.pid}/status`, 'utf8');
    return Number(/^VmRSS:\s+(\d+) kB$/m.exec(status)?.[1]) * 1024;
  }

  #failure(what: string): Error {
    return new Error(`${this.name}: ${what}${this.complaint ? `\n${this.complaint}` : ''}`);
  }
}

function parse(text: string): Line | undefined {
  if (!text.startsWith('{')) return undefined;
  try {
    return JSON.parse(text) as Line;
  } catch {
    return undefined;
  }
}
