// build/lockwire as a user gets it: an empty environment, an empty folder, no Node on PATH.
import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const binary = join(root, 'build', 'lockwire');
const { version } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as { version: string };
const folder = mkdtempSync(join(tmpdir(), 'lockwire-smoke-'));
const patienceMs = 60_000;

interface Outcome {
  readonly code: number | null;
  readonly output: string;
  readonly milliseconds: number;
}

/** A process of the binary, all that it printed, and its end. */
class Run {
  readonly child: ChildProcess;
  readonly ended: Promise<Outcome>;
  output = '';
  readonly #waiting = new Set<() => void>();

  constructor(args: string[]) {
    const started = performance.now();
    this.child = spawn(binary, args, { cwd: folder, env: {}, stdio: ['ignore', 'pipe', 'pipe'] });
    const add = (chunk: Buffer): void => {
      this.output += chunk.toString();
      for (const look of [...this.#waiting]) look();
    };
    this.child.stdout?.on('data', add);
    this.child.stderr?.on('data', add);
    this.ended = new Promise((resolve, reject) => {
      this.child.on('error', reject);
      this.child.on('close', code => {
        resolve({ code, output: this.output, milliseconds: performance.now() - started });
        for (const look of [...this.#waiting]) look();
      });
    });
  }

  /** Resolves with the match once it was printed. */
  until(pattern: RegExp): Promise<RegExpExecArray> {
    return new Promise((resolve, reject) => {
      const look = (): void => {
        const match = pattern.exec(this.output);
        if (!match && this.child.exitCode === null) return;
        this.#waiting.delete(look);
        clearTimeout(timer);
        if (match) resolve(match);
        else reject(new Error(`ended with ${this.child.exitCode} before ${pattern}:\n${this.output}`));
      };
      const timer = setTimeout(() => {
        this.#waiting.delete(look);
        reject(new Error(`no ${pattern} within ${patienceMs} ms:\n${this.output}`));
      }, patienceMs);
      this.#waiting.add(look);
      look();
    });
  }
}

async function expectExit(args: string[], wanted: RegExp): Promise<Outcome> {
  const run = new Run(args);
  const timer = setTimeout(() => run.child.kill('SIGKILL'), patienceMs);
  const outcome = await run.ended;
  clearTimeout(timer);
  if (outcome.code !== 0 || !wanted.test(outcome.output)) {
    throw new Error(
      `lockwire ${args.join(' ')}: exit ${outcome.code}, wanted 0 and ${wanted}:\n${outcome.output}`,
    );
  }
  say(`lockwire ${args.join(' ')}`, outcome.milliseconds);
  return outcome;
}

function say(what: string, milliseconds: number): void {
  process.stdout.write(`smoke: ok ${what}: ${milliseconds.toFixed(0)} ms\n`);
}

async function useIt(up: Run): Promise<void> {
  const started = performance.now();
  const [, address = ''] = await up.until(/^ {2}connect +(\S+)/m);
  say('up is ready', performance.now() - started);
  await expectExit(['try', address, '--rpcs', '20', '--publishes', '20'], /every byte arrived/);
  await expectExit(['check', join('made', 'gateway.json'), '--development'], /gateway\.json: ok/);
  await expectExit(['sessions', '--socket', join('made', 'admin.sock')], /"role": "expose"/);
  // On this signal Node opens its debugger, which could read every key.
  up.child.kill('SIGUSR1');
  await expectExit(['try', address, '--rpcs', '1', '--publishes', '1'], /every byte arrived/);
  if (/debugger/i.test(up.output)) throw new Error(`SIGUSR1 opened the debugger:\n${up.output}`);
  say('SIGUSR1 opens no debugger', 0);
  const ending = performance.now();
  up.child.kill('SIGTERM');
  const { code } = await up.ended;
  if (code !== 0) throw new Error(`SIGTERM: exit ${code}:\n${up.output}`);
  say('SIGTERM ends it with 0', performance.now() - ending);
}

let up: Run | undefined;
try {
  const escaped = version.replaceAll('.', '\\.');
  await expectExit(['--version'], new RegExp(`^lockwire ${escaped} \\(Node 26\\.`));
  await expectExit(['--help'], /lockwire up /);
  up = new Run(['up', '--listen', '127.0.0.1:0', '--gateway', '127.0.0.1:0', '--directory', 'made']);
  await useIt(up);
  const starts = [];
  for (let round = 0; round < 3; round += 1) starts.push((await new Run(['--version']).ended).milliseconds);
  const megabytes = (statSync(binary).size / 1e6).toFixed(0);
  process.stdout.write(`smoke: ${megabytes} MB, starts in ${Math.min(...starts).toFixed(0)} ms\n`);
} catch (error) {
  process.stderr.write(`smoke: ${error instanceof Error ? error.message : String(error)}\n`);
  process.exitCode = 1;
} finally {
  up?.child.kill('SIGKILL');
  rmSync(folder, { recursive: true, force: true });
}
