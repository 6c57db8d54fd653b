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

export class Program {
  /** All that were started, so that none outlives the harness. */
  static readonly #started: Program[] = [];
  readonly name: string;
  readonly #child: ChildProcess;
  #output = '';
  #onOutput: () => void = () => {};

  constructor(name: string, command: string, args: readonly string[], cwd: string) {
    this.name = name;
    const [pinnedCommand, pinnedArgs] = onCore(proxyCore, command, args);
    this.#child = spawn(pinnedCommand, pinnedArgs, { cwd, stdio: ['ignore', 'pipe', 'pipe'] });
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

  /** Waits for a line; throws with the output where the program ends or is too slow. */
  ready(pattern: RegExp): Promise<RegExpExecArray> {
    return new Promise((resolve, reject) => {
      const finish = (match: RegExpExecArray | null, why: string): void => {
        clearTimeout(timer);
        this.#onOutput = () => {};
        if (match) resolve(match);
        else reject(new Error(`${this.name} ${why}:\n${this.#output}`));
      };
      const timer = setTimeout(
        () => finish(null, `is not ready after ${readyPatienceMs} ms`),
        readyPatienceMs,
      );
      this.#onOutput = () => {
        const match = pattern.exec(this.#output);
        if (match) finish(match, '');
        else if (!this.alive) finish(null, 'ended');
      };
      this.#onOutput();
    });
  }

  get alive(): boolean {
    return this.#child.exitCode === null && this.#child.signalCode === null && this.#child.pid !== undefined;
  }

  get output(): string {
    return this.#output;
  }

  /** User and system time of all its threads so far. */
  cpuSeconds(): number {
    // The name in brackets may have spaces: fields are counted from behind it. utime and stime are 14 and 15.
    const stat = readFileSync(`/proc/${this.#child.pid}/stat`, 'latin1');
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    return (Number(fields[11]) + Number(fields[12])) / ticksPerSecond;
  }

  residentBytes(): number {
    const status = readFileSync(`/proc/${this.#child.pid}/status`, 'latin1');
    return Number(/^VmRSS:\s+(\d+) kB/m.exec(status)?.[1] ?? 0) * 1024;
  }

  async stop(): Promise<void> {
    if (!this.alive) return;
    const ended = new Promise(resolve => this.#child.once('exit', resolve));
    this.#child.kill('SIGKILL');
    await ended;
  }
}

/** Whether this machine has accounts of processes at all. */
export function hasAccounts(): boolean {
  try {
    return readdirSync('/proc/self/task').length > 0;
  } catch {
    return false;
  }
}
