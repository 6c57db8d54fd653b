import { invariant } from '../core/errors.ts';
import type { ByteStream, StreamEvents } from '../core/ports.ts';
import type { CloseReason } from '../core/session.ts';

/** Sees what comes before the stream has its reader. */
export interface Doorkeeper {
  data(chunk: Uint8Array): void;
  end(): void;
  closed(): void;
}

/**
 * A stream whose first bytes are looked at before its reader gets them, and which may be answered on the spot. What it
 * holds is not given back, so it is bounded by the stream's own window.
 */
export class HeldStream implements ByteStream {
  readonly #stream: ByteStream;
  readonly #keeper: Doorkeeper;
  #held: Uint8Array[] = [];
  #ended = false;
  #closed: CloseReason | undefined;
  #events: StreamEvents | undefined;
  /** Bytes of ours that are not yet flushed: the reader is told of its own only. */
  #saidBytes = 0;
  /** What may still be read of a client that is turned away; undefined while it is not. */
  #droppable: number | undefined;

  constructor(stream: ByteStream, keeper: Doorkeeper) {
    this.#stream = stream;
    this.#keeper = keeper;
    stream.start({
      data: chunk => this.#data(chunk),
      end: () => this.#end(),
      flushed: bytes => this.#flushed(bytes),
      closed: reason => this.#close(reason),
    });
  }

  start(events: StreamEvents): void {
    invariant(!this.#events, 'a stream is started once');
    this.#events = events;
    const held = this.#held;
    this.#held = [];
    // The reader may reset the stream in each call; then its close is the last that it hears.
    for (const chunk of held) if (!this.#closed) events.data(chunk);
    if (this.#ended && !this.#closed) events.end();
    if (this.#closed) events.closed(this.#closed);
  }

  write(chunk: Uint8Array): void {
    this.#stream.write(chunk);
  }

  end(): void {
    this.#stream.end();
  }

  reset(reason: CloseReason): void {
    this.#stream.reset(reason);
  }

  consume(bytes: number): void {
    this.#stream.consume(bytes);
  }

  /** An answer of our own, before the reader's first write. */
  say(text: string): void {
    const bytes = Buffer.from(text, 'latin1');
    this.#saidBytes += bytes.byteLength;
    this.#stream.write(bytes);
  }

  /** The first so many of the bytes held are ours, not the reader's. */
  take(bytes: number): void {
    // It may have gone while what it asked for was being fetched.
    if (this.#closed) return;
    let left = bytes;
    while (left > 0) {
      const [first] = this.#held;
      invariant(first, `${left} B more are taken than are held`);
      const taken = Math.min(left, first.byteLength);
      if (taken === first.byteLength) this.#held.shift();
      else this.#held[0] = first.subarray(taken);
      left -= taken;
    }
    this.#stream.consume(bytes);
  }

  /**
   * Answers and half-closes. Goes on reading for so many bytes: a client stuck in its own writing, or reset at once,
   * would not get to the answer.
   */
  turnAway(answer: string, maxDroppedBytes: number): void {
    this.#droppable = maxDroppedBytes;
    for (const chunk of this.#held) this.#drop(chunk);
    this.#held = [];
    this.say(answer);
    this.#stream.end();
  }

  #data(chunk: Uint8Array): void {
    if (this.#events) return this.#events.data(chunk);
    if (this.#droppable !== undefined) return this.#drop(chunk);
    this.#held.push(chunk);
    this.#keeper.data(chunk);
  }

  #drop(chunk: Uint8Array): void {
    if (this.#droppable === undefined || this.#droppable < chunk.byteLength) return;
    this.#droppable -= chunk.byteLength;
    this.#stream.consume(chunk.byteLength);
  }

  #end(): void {
    if (this.#events) return this.#events.end();
    this.#ended = true;
    this.#keeper.end();
  }

  #flushed(bytes: number): void {
    const said = Math.min(bytes, this.#saidBytes);
    this.#saidBytes -= said;
    if (bytes > said) this.#events?.flushed(bytes - said);
  }

  #close(reason: CloseReason): void {
    this.#closed = reason;
    this.#held = [];
    this.#events?.closed(reason);
    this.#keeper.closed();
  }
}
