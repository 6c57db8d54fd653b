import { deferFromBytes, maxWriteBytes } from './limits.ts';
import type { Carrier } from './ports.ts';

/** Where an adaptive writer takes its bytes from. */
export interface WriteSource {
  /** Bytes ready to be written; 0 exactly where there are none. */
  pendingBytes(): number;
  /** Takes about `maxBytes` at most, in order; empty where none are ready. */
  take(maxBytes: number): readonly Uint8Array[];
  /** What the last `take` gave has left this process. */
  written(): void;
}

/**
 * One write in flight, and its size chosen by the load. Idle and little to say: the write goes out at the end of the
 * current task, with all that the task produced. Idle and 12 KiB or more: at the next immediate, with all that this
 * round of reads produced. A write in flight: in its callback. Measured at depth 32: 4.5 µs a message, 7.6 with a
 * write each.
 *
 * ```
 *          wake              settle, immediate
 *   idle ───────▶ scheduled ───────────────────▶ writing ──┐ done, more ready
 *     ▲                                            │   ▲───┘
 *     └────────────────── done, none ready ────────┘         stop: from any, for good
 * ```
 */
export class AdaptiveWriter {
  readonly #carrier: Carrier;
  readonly #source: WriteSource;
  #state: 'idle' | 'scheduled' | 'writing' | 'stopped' = 'idle';
  /** Inside `carrier.write`, and whether it was done before it came back. */
  #calling = false;
  #doneWhileCalling = false;

  constructor(carrier: Carrier, source: WriteSource) {
    this.#carrier = carrier;
    this.#source = source;
  }

  /** True where nothing is in flight or scheduled. */
  get idle(): boolean {
    return this.#state === 'idle';
  }

  /** The source has bytes. Cheap to call for each of them. */
  wake(): void {
    if (this.#state !== 'idle') return;
    this.#state = 'scheduled';
    queueMicrotask(this.#settle);
  }

  /** Writes no more, and `written` is not called again; the source's bytes are its owner's to drop. */
  stop(): void {
    this.#state = 'stopped';
  }

  readonly #settle = (): void => {
    if (this.#state !== 'scheduled') return;
    if (this.#source.pendingBytes() >= deferFromBytes) setImmediate(this.#flush);
    else this.#flush();
  };

  readonly #flush = (): void => {
    // A loop and not a call from `#done`: a carrier that is done at once would overflow the stack.
    while (this.#state !== 'stopped' && this.#writeOnce()) this.#source.written();
  };

  /** True where the write was done before the carrier came back from it. */
  #writeOnce(): boolean {
    const chunks = this.#source.take(maxWriteBytes);
    if (chunks.length === 0) {
      this.#state = 'idle';
      return false;
    }
    this.#state = 'writing';
    this.#doneWhileCalling = false;
    this.#calling = true;
    this.#carrier.write(chunks, this.#done);
    this.#calling = false;
    return this.#doneWhileCalling && !this.#stopped();
  }

  readonly #done = (): void => {
    if (this.#state !== 'writing') return;
    if (this.#calling) {
      this.#doneWhileCalling = true;
      return;
    }
    // `written` may wake us: the state still says `writing`, so no second write is started.
    this.#source.written();
    this.#flush();
  };

  /** A carrier may fail inside `write` and its owner stop us there; a method, since types don't see that. */
  #stopped(): boolean {
    return this.#state === 'stopped';
  }
}
