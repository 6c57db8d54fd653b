import pino from 'pino';
import { maxLogQueueBytes } from './options.ts';

/** Where lines go, each with its newline. */
export interface LogDestination {
  write(line: string): void;
  /** Writes what waits, at once: for the last words of a process. */
  flush(): void;
}

/**
 * Lines to a file descriptor, off the main thread: a log that nobody reads must not stop the wire. What waits is
 * bounded; lines beyond it are dropped, and the next line that fits says how many.
 */
export function openLogDestination(fd: number, maxQueueBytes: number = maxLogQueueBytes): LogDestination {
  const stream = pino.destination({ fd, sync: false, minLength: 0, maxLength: maxQueueBytes });
  let dropped = 0;
  stream.on('drop', () => {
    dropped += 1;
  });
  // A reader that went away (EPIPE) takes the log with it, not the gateway.
  stream.on('error', () => {});
  return {
    write(line) {
      if (dropped > 0) {
        const notice = `{"level":"warn","time":${Date.now()},"dropped":${dropped},"msg":"log lines were dropped"}\n`;
        const before = dropped;
        dropped = 0;
        stream.write(notice);
        // The notice itself found no room: nothing changed but the count.
        if (dropped > 0) dropped = before;
      }
      stream.write(line);
    },
    flush() {
      try {
        stream.flushSync();
      } catch {
        // Closed or broken: there is nobody to tell.
      }
    },
  };
}
