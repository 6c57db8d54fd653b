import type { Log } from '../core/ports.ts';

/** What a long-running command does when it is told to end. */
export interface Stoppable {
  /** Takes nothing new, and ends when its streams have. */
  drain(): Promise<void>;
  /** Ends at once, also while it drains. */
  stop(): Promise<void>;
}

/**
 * Starts something that may wait long for its gateway. Undefined where a signal came before it was ready: then nothing
 * runs and the program ends well.
 */
export async function startUnlessSignalled<T>(
  start: (givenUp: AbortSignal) => Promise<T>,
): Promise<T | undefined> {
  const controller = new AbortController();
  const onSignal = (): void => controller.abort();
  // Timers of ours don't hold the process: this does, while it waits between two dials.
  const alive = setInterval(() => {}, 60_000);
  process.on('SIGTERM', onSignal).on('SIGINT', onSignal);
  try {
    return await start(controller.signal);
  } catch (error) {
    if (controller.signal.aborted) return undefined;
    throw error;
  } finally {
    clearInterval(alive);
    process.off('SIGTERM', onSignal).off('SIGINT', onSignal);
  }
}

/** Runs until a signal: the first SIGTERM or SIGINT drains, the second ends at once. Gives the exit code. */
export function untilSignalled(running: Stoppable, log: Log): Promise<number> {
  return new Promise(resolve => {
    let signals = 0;
    // The listeners of a process that drains may be gone, and timers don't hold it: this does.
    const alive = setInterval(() => {}, 60_000);
    const finish = (code: number): void => {
      clearInterval(alive);
      resolve(code);
    };
    const fail = (error: unknown): void => {
      log.error({ error }, 'could not end cleanly');
      finish(1);
    };
    const onSignal = (signal: NodeJS.Signals): void => {
      signals += 1;
      if (signals > 2) return;
      log.info({ signal }, signals === 1 ? 'draining; once more to end at once' : 'ending at once');
      const ending = signals === 1 ? running.drain() : running.stop();
      ending.then(() => finish(0), fail);
    };
    process.on('SIGTERM', onSignal);
    process.on('SIGINT', onSignal);
    process.on('SIGHUP', () => log.warn({}, 'SIGHUP: this build cannot reload; restart it instead'));
  });
}
