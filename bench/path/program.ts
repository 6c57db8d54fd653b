// A process under test, pinned to a core of its own where the machine has two; its accounts come from /proc.
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';

const readyPatienceMs = 30_000;
/** USER_HZ: the unit of /proc/PID/stat. */
const ticksPerSecond = Number(spawnSync('getconf', ['CLK_TCK'], { encoding: 'utf8' }).stdout) || 100;

export const pinned: boolean =
  availableParallelism() >= 2 && spawnSync('taskset', ['--version']).status === 0;

/** The proxies have core 0 to themselves; load and backend share core 1. */
export const proxyCore = 0;
export const loadCore = 1;

export function onCore(core: number, command: string, args: readonly string[]): [string, string[]] {
  return pinned ? ['taskset', ['-c', String(core), command, ...args]] : [command, [...args]];
}

export interface ProgramOptions {
  /** The proxies' where absent. */
  readonly core?: number;
  /** In place of this process's own. */
  readonly env?: NodeJS.ProcessEnv;
  /** It is spoken to, and ends by itself when this process does. */
  readonly listens?: boolean;
}

export class Program {
  /** All that were started, so that none outlives the harness. */
  static readonly #started: Program[] = [];
  readonly name: string;
  readonly #child: ChildProcess;
  #output = '';
  #onOutput: () => void = () => {};

  constructor(
    name: string,
    command: string,
    args: readonly string[],
    cwd: string,
    { core = proxyCore, env, listens = false }: ProgramOptions = {},
  ) {
    this.name = name;
    const [pinnedCommand, pinnedArgs] = onCore(core, command, args);
    const stdio = [listens ? 'pipe' : 'ignore', 'pipe', 'pipe'] as const;
    this.#child = spawn(pinnedCommand, pinnedArgs, { cwd, stdio: [...stdio], ...(env && { env }) });
    // One that is gone before it has read: what waits for its answer hears of it.
    this.#child.stdin?.on('error', () => {});
    for (const stream of [this.#child.stdout, this.#child.stderr]) {
      stream?.on('data', (data: Buffer) => {
        // Enough to find a ready line or a reason in.
        this.#output = (this.#output + data.toString()).slice(-64 * 1024);
        this.#onOutput();
      });
    }
    this.#child.on('error', error => {
      this.#output += error.message;
      this.#onOutput();
    });
    this.#child.on('exit', () => this.#onOutput());
    Program.#started.push(this);
  }

  static async stopAll(): Promise<void> {
    for (const program of Program.#started.splice(0)) await program.stop();
  }

  /** At once, where there is no time to wait for them. */
  static killAll(): void {
    for (const program of Program.#started.splice(0)) program.#child.kill('SIGKILL');
  }

  /** Waits for a line; throws with the output where the program ends or is too slow. */
  ready(pattern: RegExp, patienceMs: number = readyPatienceMs): Promise<RegExpExecArray> {
    return new Promise((resolve, reject) => {
      const finish = (match: RegExpExecArray | null, why: string): void => {
        clearTimeout(timer);
        this.#onOutput = () => {};
        if (match) resolve(match);
        else reject(new Error(`${this.name} ${why}:\n${this.#output}`));
      };
      const timer = setTimeout(() => finish(null, `is not ready after ${patienceMs} ms`), patienceMs);
      this.#onOutput = () => {
        const match = pattern.exec(this.#output);
        if (match) finish(match, '');
        else if (!this.alive) finish(null, 'ended');
      };
      this.#onOutput();
    });
  }

  /** A line to one that listens. */
  tell(line: string): void {
    this.#child.stdin?.write(`${line}\n`);
  }

  get alive(): boolean {
    return this.#child.exitCode === null && this.#child.signalCode === null && this.#child.pid !== undefined;
  }

  get output(): string {
    return this.#output;
  }

  /** Processor seconds of each thread of the process and its children so far, by a name of the thread. */
  accounts(): Map<string, number> {
    return new Map(this.#family().flatMap(pid => accountsOf(pid)));
  }

  memoryBytes(): number {
    return this.#family().reduce((total, pid) => total + memoryBytesOf(pid), 0);
  }

  /** The process and what it started. */
  #family(): number[] {
    const family = this.#child.pid === undefined ? [] : [this.#child.pid];
    for (const pid of family) {
      for (const thread of readdirSync(`/proc/${pid}/task`)) {
        const children = read(`/proc/${pid}/task/${thread}/children`) ?? '';
        family.push(...children.split(' ').filter(Boolean).map(Number));
      }
    }
    return family;
  }

  async stop(): Promise<void> {
    if (!this.alive) return;
    const ended = new Promise(resolve => this.#child.once('exit', resolve));
    this.#child.kill('SIGKILL');
    await ended;
  }
}

function read(path: string): string | undefined {
  try {
    return readFileSync(path, 'latin1');
  } catch {
    // A thread that has just ended, or a kernel without this account.
    return undefined;
  }
}

/** To the nanosecond where the scheduler keeps accounts of each thread, else of the process, in ticks. */
function accountsOf(pid: number): [string, number][] {
  const threads = readdirSync(`/proc/${pid}/task`).map((thread): [string, number] => [
    `${pid}/${thread}`,
    Number(read(`/proc/${pid}/task/${thread}/schedstat`)?.split(' ')[0] ?? 0) / 1e9,
  ]);
  if (threads.some(([, seconds]) => seconds > 0)) return threads;
  // The name in brackets may have spaces: fields are counted from behind it. utime and stime are 14 and 15.
  const stat = readFileSync(`/proc/${pid}/stat`, 'latin1');
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return [[String(pid), (Number(fields[11]) + Number(fields[12])) / ticksPerSecond]];
}

/** What was spent between two looks. A thread that ended in between takes nothing back of what the others spent. */
export function spent(before: ReadonlyMap<string, number>, after: ReadonlyMap<string, number>): number {
  let seconds = 0;
  for (const [thread, now] of after) seconds += now - (before.get(thread) ?? 0);
  return seconds;
}

/** The proportional share of memory (PSS) where the kernel says it, else what is resident. */
function memoryBytesOf(pid: number): number {
  const share = /^Pss:\s+(\d+) kB/m.exec(read(`/proc/${pid}/smaps_rollup`) ?? '');
  const resident = share ?? /^VmRSS:\s+(\d+) kB/m.exec(readFileSync(`/proc/${pid}/status`, 'latin1'));
  return Number(resident?.[1] ?? 0) * 1024;
}

/** Whether this machine has accounts of processes at all. */
export function hasAccounts(): boolean {
  try {
    return readdirSync('/proc/self/task').length > 0;
  } catch {
    return false;
  }
}
