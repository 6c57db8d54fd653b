// The harness's end of the two helper processes.
import { type ChildProcess, spawn } from 'node:child_process';
import { join } from 'node:path';
import type { BackendPorts, LoadOrder, LoadReply, LoadResult } from './messages.ts';
import { loadCore, onCore } from './program.ts';

function start(file: string, args: readonly string[] = []): ChildProcess {
  const [command, commandArgs] = onCore(loadCore, process.execPath, [
    join(import.meta.dirname, file),
    ...args,
  ]);
  return spawn(command, commandArgs, { stdio: ['ignore', 'inherit', 'inherit', 'ipc'] });
}

function reply<T>(child: ChildProcess, file: string): Promise<T> {
  return new Promise((resolve, reject) => {
    const onMessage = (message: unknown): void => {
      child.off('exit', onExit);
      resolve(message as T);
    };
    const onExit = (code: number | null): void => {
      child.off('message', onMessage);
      reject(new Error(`${file} ended with ${code}`));
    };
    child.once('message', onMessage);
    child.once('exit', onExit);
  });
}

export class Backend {
  readonly ports: BackendPorts;
  readonly #child: ChildProcess;

  private constructor(child: ChildProcess, ports: BackendPorts) {
    this.#child = child;
    this.ports = ports;
  }

  static async start(files: readonly string[]): Promise<Backend> {
    const child = start('backend.ts', files);
    return new Backend(child, await reply<BackendPorts>(child, 'backend.ts'));
  }

  stop(): void {
    this.#child.kill('SIGKILL');
  }
}

/** Sends a load through a system. `look` is called when it is warm, when it holds what it opened, and when it is done. */
export interface LoadDriver {
  run(order: LoadOrder, look: (state: 'warm' | 'held' | 'done') => void): Promise<LoadResult>;
}

export class Load implements LoadDriver {
  #child: ChildProcess = start('load.ts');

  async run(order: LoadOrder, look: (state: 'warm' | 'held' | 'done') => void): Promise<LoadResult> {
    try {
      return await this.#run(order, look);
    } catch (error) {
      // What it was at is not over: the next order goes to one that is at nothing.
      this.stop();
      this.#child = start('load.ts');
      throw error;
    }
  }

  stop(): void {
    this.#child.kill('SIGKILL');
  }

  async #run(order: LoadOrder, look: (state: 'warm' | 'held' | 'done') => void): Promise<LoadResult> {
    let message: LoadOrder | 'go' = order;
    for (;;) {
      const answer = reply<LoadReply>(this.#child, 'load.ts');
      this.#child.send(message);
      const state = await answer;
      if (state.state === 'failed') throw new Error(`${order.kind}: ${state.error}`);
      look(state.state);
      if (state.state === 'done') return state.result;
      message = 'go';
    }
  }
}
