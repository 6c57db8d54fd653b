import { type FSWatcher, statSync, watch } from 'node:fs';
import { dirname } from 'node:path';
import type { Clock, Timer } from '../core/clock.ts';

/** After an event, how long nothing more must happen before the files are looked at; but no longer than the second. */
const settleMs = 200;
const maxSettleMs = 2_000;
/** How often they are looked at without an event: network file systems send none. */
export const pollMs = 60_000;
/** Directories that are watched; the files of others are found by looking. */
const maxWatchedDirectories = 64;

export interface FileWatch {
  /** Other files from now on; what they hold now is what counts as unchanged. */
  watch(files: readonly string[]): void;
  close(): void;
}

/**
 * Calls back when any of the files is another than before, by its inode, size or time of change. Their directories are
 * watched, not they themselves: a file that is replaced (rename, a link that is turned, as Kubernetes does) is another.
 */
export function watchFiles(files: readonly string[], clock: Clock, onChange: () => void): FileWatch {
  return new Watching(files, clock, onChange);
}

class Watching implements FileWatch {
  readonly #clock: Clock;
  readonly #onChange: () => void;
  readonly #watchers = new Map<string, FSWatcher>();
  #files: readonly string[] = [];
  #seen = '';
  #settling: Timer | undefined;
  #firstEventMs: number | undefined;
  #polling: Timer | undefined;
  #closed = false;

  constructor(files: readonly string[], clock: Clock, onChange: () => void) {
    this.#clock = clock;
    this.#onChange = onChange;
    this.watch(files);
    this.#pollLater();
  }

  watch(files: readonly string[]): void {
    this.#files = files;
    const wanted = new Set([...new Set(files.map(dirname))].slice(0, maxWatchedDirectories));
    for (const [directory, watcher] of this.#watchers) {
      if (wanted.has(directory)) continue;
      watcher.close();
      this.#watchers.delete(directory);
    }
    for (const directory of wanted) if (!this.#watchers.has(directory)) this.#watchDirectory(directory);
    this.#seen = this.#look();
  }

  close(): void {
    this.#closed = true;
    this.#settling?.cancel();
    this.#polling?.cancel();
    for (const watcher of this.#watchers.values()) watcher.close();
    this.#watchers.clear();
  }

  #watchDirectory(directory: string): void {
    try {
      const watcher = watch(directory, { persistent: false }, () => this.#event());
      // The directory may go; looking once a minute remains.
      watcher.on('error', () => {
        watcher.close();
        this.#watchers.delete(directory);
      });
      this.#watchers.set(directory, watcher);
    } catch {
      // It can't be watched (gone, or the system's watches are used up): looking remains.
    }
  }

  /** A file is seldom written in one go, and a certificate seldom without its key. */
  #event(): void {
    if (this.#closed) return;
    const nowMs = this.#clock.monotonic();
    this.#firstEventMs ??= nowMs;
    const leftMs = Math.max(0, this.#firstEventMs + maxSettleMs - nowMs);
    this.#settling?.cancel();
    this.#settling = this.#clock.after(Math.min(settleMs, leftMs), () => {
      this.#firstEventMs = undefined;
      this.#compare();
    });
  }

  #pollLater(): void {
    this.#polling = this.#clock.after(pollMs, () => {
      this.#compare();
      this.#pollLater();
    });
  }

  #compare(): void {
    if (this.#closed) return;
    const found = this.#look();
    if (found === this.#seen) return;
    this.#seen = found;
    this.#onChange();
  }

  #look(): string {
    return this.#files.map(stamp).join('\n');
  }
}

function stamp(path: string): string {
  const found = statSync(path, { bigint: true, throwIfNoEntry: false });
  if (found === undefined) return '-';
  // The time of change too: mode and owner of a key matter.
  return `${found.dev}:${found.ino}:${found.size}:${found.mtimeNs}:${found.ctimeNs}`;
}
