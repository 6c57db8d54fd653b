// A program of a suite: bounded in time, with a bare environment, speaking lines of JSON on standard output.
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';

const readyTimeoutMs = 30_000;
const maxComplaintChars = 20_000;

/** What one case came to. */
export interface Outcome {
  readonly name: string;
  readonly ok: boolean;
  readonly detail: string;
}

/** Nothing of the environment but this: a proxy set there would be asked for loopback too. */
function environment(more: Readonly<Record<string, string>>): NodeJS.ProcessEnv {
  const { PATH, HOME, TMPDIR } = process.env;
  return { PATH, HOME, TMPDIR, PYTHONDONTWRITEBYTECODE: '1', GRPC_VERBOSITY: 'ERROR', ...more };
}

export interface Run {
  /** -1 where a signal or the limit ended it. */
  readonly code: number;
  readonly lines: readonly unknown[];
  /** The end of what it said that is no JSON, on both outputs. */
  readonly text: string;
}

/** Runs a program to its end. */
export async function runProgram(
  command: string,
  args: readonly string[],
  limitMs: number,
  env: Readonly<Record<string, string>> = {},
): Promise<Run> {
  const child = spawn(command, args, { stdio: ['ignore', 'pipe', 'pipe'], env: environment(env) });
  const lines: unknown[] = [];
  let text = '';
  const say = (more: string): void => {
    text = (text + more).slice(-maxComplaintChars);
  };
  child.stderr.setEncoding('utf8').on('data', say);
  createInterface({ input: child.stdout }).on('line', line => {
    if (line.startsWith('{')) lines.push(JSON.parse(line));
    else say(`${line}\n`);
  });
  const timer = setTimeout(() => {
    say(`ended after ${limitMs} ms\n`);
    child.kill('SIGKILL');
  }, limitMs);
  const code = await ended(child);
  clearTimeout(timer);
  return { code, lines, text: text.trim() };
}

/** A case's line, as the clients and h2spec print it. */
export function outcomeOf(line: unknown): Outcome {
  const { check, ok, detail } = line as { check?: unknown; ok?: unknown; detail?: unknown };
  if (typeof check !== 'string') throw new Error(`not a case's line: ${JSON.stringify(line)}`);
  return { name: check, ok: ok === true, detail: typeof detail === 'string' ? detail : '' };
}

/** A server on a plain and a TLS port, both `HOST:PORT`. */
export interface Server {
  readonly plain: string;
  readonly tls: string;
  close(): Promise<void>;
}

/** Starts a server that says where it is in a line, and ends when its standard input does. */
export async function startServer(command: string, args: readonly string[]): Promise<Server> {
  const child = spawn(command, args, { stdio: ['pipe', 'pipe', 'inherit'], env: environment({}) });
  child.stdin.on('error', () => {});
  const exited = ended(child);
  const close = async (): Promise<void> => {
    child.stdin.end();
    const timer = setTimeout(() => child.kill('SIGKILL'), 5_000);
    await exited;
    clearTimeout(timer);
  };
  const { promise, resolve, reject } = Promise.withResolvers<string>();
  createInterface({ input: child.stdout }).once('line', resolve);
  const timer = setTimeout(() => reject(new Error(`not ready within ${readyTimeoutMs} ms`)), readyTimeoutMs);
  void exited.then(code => reject(new Error(`exit ${code}`)));
  try {
    const { plain, tls } = JSON.parse(await promise) as { plain: string; tls: string };
    return { plain, tls, close };
  } catch (error) {
    await close();
    throw new Error(
      `${command} ${args.join(' ')}: ${error instanceof Error ? error.message : String(error)}`,
    );
  } finally {
    clearTimeout(timer);
  }
}

async function ended(child: ChildProcess): Promise<number> {
  try {
    const [code] = (await once(child, 'close')) as [number | null];
    return code ?? -1;
  } catch {
    // It could not be started.
    return -1;
  }
}
