import { fstatSync, writeSync } from 'node:fs';
import { Socket } from 'node:net';
import { systemClock } from '../core/clock.ts';
import { codeOf } from '../core/errors.ts';
import { logFlushTimeoutMs, maxLogQueueBytes } from './options.ts';

/** Where lines go, each with its newline. */
export interface LogDestination {
  write(line: string): void;
  /** Waits until all is written, or half a second; for the end of a process. */
  flush(): Promise<void>;
}

export interface LogDestinationOptions {
  /** The line that says how many were dropped. */
  readonly describeDrop: (lines: number) => string;
  readonly maxQueueBytes?: number;
}

/**
 * Lines to a file descriptor. A pipe or socket whose reader stopped must stop neither the wire nor the end of the
 * process (a thread of the pool that is stuck in a write does: its end waits for that thread). So pipes are written
 * without blocking and without a thread; what waits is bounded; further lines are dropped, and the next one that
 * fits says how many. Files and terminals are written at once.
 */
export function openLogDestination(fd: number, options: LogDestinationOptions): LogDestination {
  const kind = fstatSync(fd);
  const isStream = kind.isFIFO() || kind.isSocket();
  const sink = isStream ? streamSink(fd, options.maxQueueBytes ?? maxLogQueueBytes) : fileSink(fd);
  let dropped = 0;
  return {
    write(line) {
      if (dropped > 0 && sink.write(options.describeDrop(dropped))) dropped = 0;
      if (dropped > 0 || !sink.write(line)) dropped += 1;
    },
    flush: () => sink.flush(),
  };
}

interface Sink {
  /** False where the line found no room. */
  write(line: string): boolean;
  flush(): Promise<void>;
}

function streamSink(fd: number, maxQueueBytes: number): Sink {
  const socket = new Socket({ fd, readable: false, writable: true });
  // A reader that went away (EPIPE) takes the log with it, not the gateway.
  socket.on('error', () => {});
  return {
    write(line) {
      if (!socket.writable || socket.writableLength + line.length > maxQueueBytes) return false;
      // Goes out within this call as long as the pipe has room.
      socket.write(line);
      return true;
    },
    flush: () =>
      new Promise(resolve => {
        if (socket.writableLength === 0 || !socket.writable) return resolve();
        const timer = systemClock.after(logFlushTimeoutMs, resolve);
        const end = (): void => {
          timer.cancel();
          resolve();
        };
        socket.once('drain', end);
        socket.once('close', end);
      }),
  };
}

function fileSink(fd: number): Sink {
  return {
    write(line) {
      let bytes = Buffer.from(line);
      try {
        while (bytes.byteLength > 0) bytes = bytes.subarray(writeSync(fd, bytes));
        return true;
      } catch (error) {
        // A full disk, a terminal that is gone: the wire goes on. What was half written ends with the next newline.
        if (codeOf(error) === '') throw error;
        return false;
      }
    },
    flush: () => Promise.resolve(),
  };
}
