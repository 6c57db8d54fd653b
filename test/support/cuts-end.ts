import type { CloseReason } from '../../lib/core/session.ts';
import type { TunnelStream } from '../../lib/tunnel/stream.ts';

/** What an end has on its way at most, as a relay under credit. */
export const sourceWindow = 65_536;

/** The byte at an offset of a stream's direction: whatever is lost, doubled or swapped shows. */
const byteAt = (stream: number, byOpener: boolean, offset: number): number =>
  (offset * 31 + stream * 7 + (byOpener ? 101 : 0) + (offset >> 8) * 13) & 0xff;

/** One end of one stream: writes what is expected, compares what comes. */
export class SimEnd {
  readonly stream: TunnelStream;
  readonly #opener: boolean;
  wanted = 0;
  written = 0;
  flushed = 0;
  read = 0;
  consumed = 0;
  stalled = false;
  ending = false;
  peerEnded = false;
  closed: CloseReason | undefined;
  /** Kept, not thrown: a throw out of a callback ends the session, and that would be all that is seen. */
  fault: string | undefined;

  constructor(stream: TunnelStream, opener: boolean) {
    this.stream = stream;
    this.#opener = opener;
    stream.start({
      data: chunk => {
        this.#expect(!this.closed && !this.peerEnded, 'data after the end');
        for (const byte of chunk) {
          this.#expect(byte === byteAt(stream.id, !opener, this.read), `byte ${this.read} is another`);
          this.read += 1;
        }
        this.#consume();
      },
      end: () => {
        this.#expect(!this.closed && !this.peerEnded, 'a second end');
        this.peerEnded = true;
      },
      flushed: bytes => {
        this.#expect(!this.closed, 'flushed after closed');
        this.flushed += bytes;
        this.#expect(this.flushed <= this.written, 'flushed more than was written');
        this.#write();
      },
      closed: reason => {
        this.#expect(!this.closed, 'closed twice');
        this.closed = reason;
      },
    });
  }

  #expect(holds: boolean, what: string): void {
    if (!holds) this.fault ??= `stream ${this.stream.id}: ${what}`;
  }

  write(bytes: number): void {
    if (this.ending || this.closed) return;
    this.wanted += bytes;
    this.#write();
  }

  end(): void {
    if (this.ending || this.closed) return;
    this.ending = true;
    this.#write();
  }

  stall(stalled: boolean): void {
    this.stalled = stalled;
    this.#consume();
  }

  #consume(): void {
    const bytes = this.read - this.consumed;
    if (this.stalled || this.closed || bytes === 0) return;
    this.consumed += bytes;
    this.stream.consume(bytes);
  }

  /** As a relay under credit: no more than a window of its source is on its way. */
  #write(): void {
    while (this.written < this.wanted && this.written - this.flushed < sourceWindow && !this.closed) {
      const bytes = Math.min(
        this.wanted - this.written,
        sourceWindow - (this.written - this.flushed),
        20_000,
      );
      const chunk = Buffer.alloc(bytes);
      for (let i = 0; i < bytes; i += 1) chunk[i] = byteAt(this.stream.id, this.#opener, this.written + i);
      this.written += bytes;
      this.stream.write(chunk);
    }
    if (this.ending && this.written === this.wanted && !this.closed) this.stream.end();
  }
}
