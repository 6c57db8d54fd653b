import { AdaptiveWriter } from './adaptive-writer.ts';
import { baseWindowBytes } from './limits.ts';
import { OutputBuffer } from './output-buffer.ts';
import type { ByteStream, Carrier, StreamEvents } from './ports.ts';
import { type CloseReason, done } from './session.ts';

/**
 * A carrier as one byte stream under credit: reading pauses while a window of bytes is delivered and not given back.
 * For a carrier that bears exactly one stream; a tunnel's carrier is never paused for one of its streams.
 */
export class BufferedStream implements ByteStream {
  readonly #carrier: Carrier;
  readonly #windowBytes: number;
  readonly #output = new OutputBuffer();
  readonly #writer: AdaptiveWriter;
  #events: StreamEvents | undefined;
  #reason: CloseReason | undefined;
  #outstanding = 0;
  #paused = false;
  #taken = 0;
  #ending = false;
  #ended = false;
  #peerEnded = false;
  #closed = false;

  constructor(carrier: Carrier, windowBytes: number = baseWindowBytes) {
    this.#carrier = carrier;
    this.#windowBytes = windowBytes;
    this.#writer = new AdaptiveWriter(carrier, {
      pendingBytes: () => this.#output.byteLength,
      take: maxBytes => this.#take(maxBytes),
      written: () => this.#written(),
    });
  }

  start(events: StreamEvents): void {
    this.#events = events;
    this.#carrier.start({
      data: chunk => this.#received(chunk),
      end: () => this.#peerEnd(),
      closed: error => this.#close(error),
    });
  }

  write(chunk: Uint8Array): void {
    if (this.#closed || this.#ending) return;
    this.#output.append(chunk);
    this.#writer.wake();
  }

  end(): void {
    if (this.#closed || this.#ending) return;
    this.#ending = true;
    this.#endWhenWritten();
  }

  reset(reason: CloseReason): void {
    if (this.#closed || this.#reason) return;
    this.#reason = reason;
    this.#writer.stop();
    this.#output.clear();
    this.#carrier.destroy(true);
  }

  consume(bytes: number): void {
    this.#outstanding -= bytes;
    if (this.#paused && this.#outstanding <= this.#windowBytes / 2) {
      this.#paused = false;
      this.#carrier.resume();
    }
  }

  #received(chunk: Uint8Array): void {
    if (this.#reason) return;
    this.#outstanding += chunk.byteLength;
    if (!this.#paused && this.#outstanding >= this.#windowBytes) {
      this.#paused = true;
      this.#carrier.pause();
    }
    this.#events?.data(chunk);
  }

  #peerEnd(): void {
    if (this.#reason) return;
    this.#peerEnded = true;
    this.#events?.end();
  }

  #take(maxBytes: number): readonly Uint8Array[] {
    const before = this.#output.byteLength;
    const chunks = this.#output.take(maxBytes);
    this.#taken = before - this.#output.byteLength;
    return chunks;
  }

  #written(): void {
    const bytes = this.#taken;
    this.#taken = 0;
    this.#events?.flushed(bytes);
    this.#endWhenWritten();
  }

  #endWhenWritten(): void {
    if (!this.#ending || this.#ended || this.#closed) return;
    if (this.#output.byteLength > 0 || this.#taken > 0) return;
    this.#ended = true;
    this.#carrier.end();
  }

  #close(error: Error | undefined): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#writer.stop();
    this.#output.clear();
    const orderly = this.#ended && this.#peerEnded && error === undefined;
    const reason =
      this.#reason ?? (orderly ? done : { code: 'io', text: error?.message ?? 'connection closed' });
    this.#events?.closed(reason);
  }
}
