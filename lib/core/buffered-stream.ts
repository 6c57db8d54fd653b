import { AdaptiveWriter } from './adaptive-writer.ts';
import { safeText } from './bytes.ts';
import { invariant } from './errors.ts';
import { maxWriteBytes } from './limits.ts';
import type { ByteStream, Carrier, StreamEvents } from './ports.ts';
import { processReadBudget, type ReadBudget } from './read-budget.ts';
import { type CloseReason, done } from './session.ts';
import { SlabQueue } from './slab-queue.ts';

/**
 * A carrier as one byte stream under credit: reading pauses while a window of bytes is delivered and not given back.
 * The chunk that fills the window is delivered whole, so at most one read stands beyond it.
 * For a carrier that bears exactly one stream; a tunnel's carrier is never paused for one of its streams.
 *
 * ```
 *          reset                     carrier closed
 *   live ─────────▶ resetting ─────────────────────────▶ closed
 *     └───────────────── carrier closed ────────────────────▲
 *
 *   live, our side:    open ── end ──▶ ending ── all bytes written, carrier.end ──▶ ended
 *   live, their side:  open ── the carrier's end ──▶ ended
 * ```
 */
export class BufferedStream implements ByteStream {
  readonly copiesWrites = true;
  readonly #carrier: Carrier;
  readonly #budget: ReadBudget;
  readonly #output = new SlabQueue();
  readonly #writer: AdaptiveWriter;
  #events: StreamEvents | undefined;
  #state: 'live' | 'resetting' | 'closed' = 'live';
  #ours: 'open' | 'ending' | 'ended' = 'open';
  #theirs: 'open' | 'ended' = 'open';
  #resetReason: CloseReason = done;
  /** Delivered and not given back. */
  #outstanding = 0;
  #paused = false;
  /** In flight: taken from the output, not yet written. */
  #taken = 0;

  constructor(carrier: Carrier, budget: ReadBudget = processReadBudget) {
    this.#carrier = carrier;
    this.#budget = budget;
    this.#writer = new AdaptiveWriter(carrier, {
      pendingBytes: () => this.#output.byteLength,
      take: () => this.#take(),
      written: () => this.#written(),
    });
  }

  start(events: StreamEvents): void {
    invariant(this.#events === undefined, 'a stream is started once');
    this.#events = events;
    this.#budget.join();
    this.#carrier.start({
      data: chunk => this.#received(chunk),
      end: () => this.#peerEnd(),
      closed: error => this.#close(error),
    });
  }

  write(chunk: Uint8Array): void {
    // After a reset nothing is written any more: bytes kept here would stay until the carrier closes.
    if (this.#state !== 'live' || this.#ours !== 'open') return;
    this.#output.append(chunk);
    this.#writer.wake();
  }

  end(): void {
    if (this.#state !== 'live' || this.#ours !== 'open') return;
    this.#ours = 'ending';
    this.#endWhenWritten();
  }

  reset(reason: CloseReason): void {
    if (this.#state !== 'live') return;
    this.#state = 'resetting';
    this.#resetReason = reason;
    this.#dropOutput();
    this.#carrier.destroy(true);
  }

  consume(bytes: number): void {
    if (this.#state !== 'live') return;
    if (bytes > this.#outstanding) {
      // Our own bug, but this one stream's: the others of the process live on.
      const text = `internal error: ${bytes} B given back of ${this.#outstanding} B outstanding`;
      this.reset({ code: 'internal', text });
      return;
    }
    this.#outstanding -= bytes;
    // Half a window and not the first byte: else a slow writer makes one pause and resume of each of its writes.
    if (!this.#paused || this.#outstanding > this.#budget.windowBytes / 2) return;
    this.#paused = false;
    this.#carrier.resume();
  }

  #received(chunk: Uint8Array): void {
    if (this.#state !== 'live') return;
    this.#outstanding += chunk.byteLength;
    if (!this.#paused && this.#outstanding >= this.#budget.windowBytes) {
      this.#paused = true;
      this.#carrier.pause();
    }
    this.#events?.data(chunk);
  }

  #peerEnd(): void {
    if (this.#state !== 'live') return;
    this.#theirs = 'ended';
    this.#events?.end();
  }

  #take(): readonly Uint8Array[] {
    const chunk = this.#output.take(maxWriteBytes);
    this.#taken = chunk?.byteLength ?? 0;
    return chunk === undefined ? [] : [chunk];
  }

  #written(): void {
    const bytes = this.#taken;
    this.#taken = 0;
    this.#output.release();
    this.#events?.flushed(bytes);
    this.#endWhenWritten();
  }

  #endWhenWritten(): void {
    if (this.#state !== 'live' || this.#ours !== 'ending') return;
    if (this.#output.byteLength > 0 || this.#taken > 0) return;
    this.#ours = 'ended';
    this.#carrier.end();
  }

  #dropOutput(): void {
    this.#writer.stop();
    this.#output.clear();
  }

  #close(error: Error | undefined): void {
    if (this.#state === 'closed') return;
    const reason = this.#state === 'resetting' ? this.#resetReason : this.#closeReason(error);
    this.#state = 'closed';
    this.#budget.leave();
    this.#dropOutput();
    this.#events?.closed(reason);
  }

  #closeReason(error: Error | undefined): CloseReason {
    if (error) return { code: 'io', text: safeText(error.message) };
    if (this.#ours === 'ended' && this.#theirs === 'ended') return done;
    return { code: 'io', text: 'connection closed before its end' };
  }
}
