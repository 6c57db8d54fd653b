import { messageOf } from '../core/errors.ts';
import type { Log } from '../core/ports.ts';

/** What a long-running command does when it is told to end. */
export interface Stoppable {
  /** Takes nothing new, and ends when its streams have. */
  drain(): Promise<void>;
  /** Ends at once, also while it drains. */
  stop(): Promise<void>;
  /** Resolves where it must not go on: it drains, and that is a failure. */
  readonly failed?: Promise<Error>;
  /** Reads its files anew; what is wrong with them is logged, and then nothing changes. */
  reload?(cause: string): void;
}

/** A long-running command. */
interface Run<Running extends Stoppable> {
  /** May wait long, for a gateway that is not there yet; `givenUp` is aborted where a signal comes meanwhile. */
  readonly start: (givenUp: AbortSignal) => Promise<Running>;
  /** Says that it is ready. */
  readonly ready: (running: Running) => void;
  readonly log: Log;
  /** A line for the person who pressed Ctrl-C, where the log is not for them. */
  readonly tell?: (line: string) => void;
}

/** A drain that takes longer is worth a line. */
const quickDrainMs = 500;

/**
 * Runs from start until a signal has ended it: the first SIGTERM or SIGINT drains, the second ends at once. Gives the
 * exit code. Signals are listened to from the beginning: one that comes the moment the ready line is read counts.
 */
export async function runUntilSignalled<Running extends Stoppable>(run: Run<Running>): Promise<number> {
  const { start, ready, log, tell } = run;
  const givenUp = new AbortController();
  const { promise: exit, resolve: finish } = Promise.withResolvers<number>();
  let running: Running | undefined;
  let signals = 0;
  let code = 0;
  const end = (how: 'drain' | 'stop'): void => {
    running?.[how]().then(
      () => finish(code),
      (error: unknown) => {
        log.error({ error: messageOf(error) }, 'could not end cleanly');
        finish(1);
      },
    );
  };
  const onSignal = (signal: NodeJS.Signals): void => {
    signals += 1;
    givenUp.abort();
    if (running === undefined || signals > 2) return;
    log.info({ signal }, signals === 1 ? 'draining; once more to end at once' : 'ending at once');
    if (signals === 1 && tell)
      setTimeout(tell, quickDrainMs, 'ends when its last stream has; once more ends at once').unref();
    end(signals === 1 ? 'drain' : 'stop');
  };
  // Timers of ours don't hold the process, and the listeners of one that drains may be gone: this does.
  const alive = setInterval(() => {}, 60_000);
  process.on('SIGTERM', onSignal).on('SIGINT', onSignal);
  process.on('SIGHUP', () => running?.reload?.('SIGHUP'));
  try {
    running = await start(givenUp.signal);
    void running.failed?.then(error => {
      log.error({ error: error.message }, 'must not go on; draining');
      code = 1;
      end('drain');
    });
    if (givenUp.signal.aborted) end('stop');
    else ready(running);
    return await exit;
  } catch (error) {
    if (givenUp.signal.aborted) return 0;
    throw error;
  } finally {
    clearInterval(alive);
  }
}
