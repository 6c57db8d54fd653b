import type { CallEvents, CallField, CallStream } from '../../lib/core/ports.ts';

/** What one end does with what the other one does; each event comes in a turn of its own. */
class End implements CallStream {
  other!: End;
  events: CallEvents | undefined;
  /** What this end may still send. */
  window: number;
  peakQueued = 0;
  readonly #queue: Uint8Array[] = [];
  #queued = 0;
  #ending: readonly CallField[] | true | undefined;
  #early: (() => void)[] = [];
  ended = false;
  gone = false;

  constructor(window: number) {
    this.window = window;
  }

  get queuedBytes(): number {
    return this.#queued;
  }

  start(events: CallEvents): void {
    this.events = events;
    const early = this.#early;
    this.#early = [];
    for (const event of early) queueMicrotask(event);
  }

  sendHeaders(fields: readonly CallField[], endStream: boolean): void {
    if (this.gone || this.ended) return;
    this.other.#tell(e => e.headers(fields, endStream));
    if (endStream) this.#end();
  }

  write(bytes: Uint8Array): number {
    if (this.gone || this.ended) return 0;
    const room = this.#queued > 0 ? 0 : Math.max(0, Math.min(bytes.byteLength, this.window));
    if (room > 0) this.#send(bytes.subarray(0, room));
    if (room < bytes.byteLength) {
      this.#queue.push(Uint8Array.from(bytes.subarray(room)));
      this.#queued += bytes.byteLength - room;
      this.peakQueued = Math.max(this.peakQueued, this.#queued);
    }
    return room;
  }

  end(trailers?: readonly CallField[]): void {
    if (this.gone || this.ended || this.#ending) return;
    this.#ending = trailers ?? true;
    this.#flush();
  }

  consume(bytes: number): void {
    if (this.gone) return;
    this.other.window += bytes;
    queueMicrotask(() => this.other.#flush());
  }

  reset(code: number): void {
    if (this.gone) return;
    this.gone = true;
    this.other.#tell(e => e.closed({ code, text: '' }));
    this.other.gone = true;
  }

  /** As if the connection were lost: both ends hear of it. */
  cut(text: string): void {
    if (this.gone) return;
    for (const end of [this, this.other]) {
      end.gone = true;
      end.#tell(e => e.closed({ code: 2, text }));
    }
  }

  #send(bytes: Uint8Array): void {
    this.window -= bytes.byteLength;
    const copy = Uint8Array.from(bytes);
    this.other.#tell(e => {
      e.data(copy);
      // A view is good during the call only.
      copy.fill(0xee);
    });
  }

  #flush(): void {
    if (this.gone || this.ended) return;
    while (this.#queue.length > 0 && this.window > 0) {
      const [first] = this.#queue;
      if (!first) break;
      const part = first.subarray(0, Math.min(first.byteLength, this.window));
      if (part.byteLength === first.byteLength) this.#queue.shift();
      else this.#queue[0] = first.subarray(part.byteLength);
      this.#queued -= part.byteLength;
      this.#send(part);
      this.#tell(e => e.sent(part.byteLength));
    }
    if (this.#queue.length > 0 || this.#ending === undefined) return;
    const trailers = this.#ending;
    if (trailers !== true) this.other.#tell(e => e.headers(trailers, true));
    this.#end();
  }

  #end(): void {
    this.ended = true;
    this.other.#tell(e => e.end());
    if (!this.other.ended) return;
    for (const end of [this, this.other]) end.#tell(e => e.closed(undefined));
  }

  #tell(event: (events: CallEvents) => void): void {
    const run = (): void => {
      if (this.events) event(this.events);
    };
    if (this.events) queueMicrotask(run);
    else this.#early.push(run);
  }
}

export type StreamEnd = End;

/** Two ends of one HTTP/2 stream, in memory: what each may send is what the other one gave it. */
export function streamPair(windowBytes = 65_536): readonly [StreamEnd, StreamEnd] {
  const one = new End(windowBytes);
  const two = new End(windowBytes);
  one.other = two;
  two.other = one;
  return [one, two];
}

/** Everything that was set going by now has happened. */
export async function settled(): Promise<void> {
  for (let turn = 0; turn < 5; turn += 1) await new Promise<void>(resolve => setImmediate(resolve));
}
