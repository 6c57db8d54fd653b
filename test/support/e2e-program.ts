import { type ChildProcess, spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';

const root = dirname(dirname(dirname(fileURLToPath(import.meta.url))));
const main = join(root, 'lib', 'cli', 'main.ts');

/** What a wait for a line takes at most before the test fails with all that the program said. */
const patienceMs = 25_000;

export interface ProgramOptions {
  /** Added to a bare environment. */
  readonly env?: Readonly<Record<string, string>>;
  /** Options of node, beside `--disable-sigusr1`. */
  readonly nodeOptions?: readonly string[];
  readonly cwd?: string;
}

export interface Ended {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
}

interface Waiter {
  ready(): boolean;
  resolve(): void;
}

/** A line of the log. */
export type LogLine = Readonly<Record<string, unknown>> & { readonly msg?: string };

/** One `lockwire` process: what it prints, what it logs, how it ends. */
export class Program {
  readonly out: string[] = [];
  readonly err: string[] = [];
  readonly logs: LogLine[] = [];
  readonly ended: Promise<Ended>;
  readonly name: string;
  readonly #child: ChildProcess;
  readonly #waiters = new Set<Waiter>();
  #end: Ended | undefined;

  constructor(args: readonly string[], options: ProgramOptions = {}) {
    this.name = `lockwire ${args.slice(0, 2).join(' ')}`;
    this.#child = spawn(
      process.execPath,
      ['--disable-sigusr1', ...(options.nodeOptions ?? []), main, ...args],
      {
        cwd: options.cwd ?? root,
        env: {
          PATH: process.env.PATH ?? '',
          HOME: tmpdir(),
          NODE_COMPILE_CACHE: join(tmpdir(), 'lockwire-test-compile-cache'),
          ...options.env,
        },
        stdio: ['ignore', 'pipe', 'pipe'],
      },
    );
    this.#follow(this.#child.stdout, line => this.out.push(line));
    this.#follow(this.#child.stderr, line => {
      this.err.push(line);
      const parsed = asLog(line);
      if (parsed) this.logs.push(parsed);
    });
    this.ended = new Promise(resolve => {
      this.#child.once('close', (code, signal) => {
        this.#end = { code, signal };
        resolve(this.#end);
        this.#tell();
      });
    });
  }

  get pid(): number {
    const { pid } = this.#child;
    if (pid === undefined) throw new Error(`${this.name} was not started`);
    return pid;
  }

  get alive(): boolean {
    return this.#end === undefined;
  }

  /** All that it said so far. */
  get text(): string {
    return [...this.out, ...this.err].join('\n');
  }

  signal(signal: NodeJS.Signals): void {
    this.#child.kill(signal);
  }

  /** Kills it where it still runs; comes back when it is gone. */
  async kill(): Promise<void> {
    if (this.#end === undefined) this.#child.kill('SIGKILL');
    await this.ended;
  }

  /** The first line of standard output or error that fits, whether it came already or comes yet. */
  async line(pattern: RegExp): Promise<RegExpExecArray> {
    const find = (): RegExpExecArray | undefined => {
      for (const line of [...this.out, ...this.err]) {
        const match = pattern.exec(line);
        if (match) return match;
      }
      return undefined;
    };
    await this.until(() => find() !== undefined, `a line like ${pattern}`);
    return find() as RegExpExecArray;
  }

  /** The first log line that fits; `after` skips those that were there before. */
  async logged(fits: (line: LogLine) => boolean, what: string, after = 0): Promise<LogLine> {
    const find = (): LogLine | undefined => this.logs.slice(after).find(fits);
    await this.until(() => find() !== undefined, what);
    return find() as LogLine;
  }

  /** Looks again with each line, and rejects when the program ended or took too long without it. */
  async until(ready: () => boolean, what: string): Promise<void> {
    const failure = (why: string): Error =>
      new Error(`${this.name}: ${why} while waiting for ${what}; it said:\n${this.text}`);
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    const waiter: Waiter = { ready: () => ready() || this.#end !== undefined, resolve };
    const timer = setTimeout(() => reject(failure(`${patienceMs} ms passed`)), patienceMs);
    this.#waiters.add(waiter);
    this.#tell();
    try {
      await promise;
    } finally {
      clearTimeout(timer);
      this.#waiters.delete(waiter);
    }
    if (!ready()) throw failure(`it ended with ${JSON.stringify(this.#end)}`);
  }

  /** Resident memory, as the kernel counts it. */
  residentBytes(): number {
    const status = readFileSync(`/proc/${this.pid}/status`, 'utf8');
    return Number(/^VmRSS:\s+(\d+) kB$/m.exec(status)?.[1]) * 1024;
  }

  #follow(stream: ChildProcess['stdout'], take: (line: string) => void): void {
    if (!stream) return;
    createInterface({ input: stream }).on('line', line => {
      take(line);
      this.#tell();
    });
  }

  #tell(): void {
    for (const waiter of [...this.#waiters]) {
      if (!waiter.ready()) continue;
      this.#waiters.delete(waiter);
      waiter.resolve();
    }
  }
}

function asLog(line: string): LogLine | undefined {
  if (!line.startsWith('{')) return undefined;
  try {
    return JSON.parse(line) as LogLine;
  } catch {
    return undefined;
  }
}

/** Runs a command to its end. */
export async function run(
  args: readonly string[],
  options: ProgramOptions = {},
): Promise<{ code: number | null; out: string; err: string }> {
  const program = new Program(args, options);
  const { code } = await program.ended;
  return { code, out: program.out.join('\n'), err: program.err.join('\n') };
}
