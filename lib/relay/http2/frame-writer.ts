import type { ByteStream } from '../../core/ports.ts';
import { HpackEncoder } from '../../wire/hpack/encoder.ts';
import { headersFrames, writeFrameHeader } from '../../wire/http2/encode.ts';
import { Flag, FrameType, frameHeaderBytes } from '../../wire/http2/frames.ts';
import type { Outgoing } from './outgoing.ts';

/** A stream with something that waits to be sent. */
export interface Waiting {
  /** Sends at most `maxBytes` of DATA, and what follows it. */
  advance(maxBytes: number): void;
  /** It has more, which only the connection holds up: its window, or its output. */
  readonly blockedByConnection: boolean;
}

/** DATA frames are no longer than this, so that streams take turns. */
const maxDataBytes = 16_384;
/** A DATA frame that a window cut to less is the peer's doing, and pays for nothing. */
const cutBytes = 1_024;
const nothing = new Uint8Array(0);

/**
 * The sending half of a connection. Frames go into the byte stream's own output, which has one write in flight; DATA
 * only as long as little of it is unflushed, since what is in there can't be taken back or overtaken. The rest
 * waits in its streams, whose credit then runs out.
 */
export class FrameWriter {
  readonly encoder: HpackEncoder = new HpackEncoder();
  /** Of the connection (RFC 9113 section 6.9): DATA that the peer still takes. */
  window = 65_535;
  /** The peer's SETTINGS_MAX_FRAME_SIZE and SETTINGS_MAX_HEADER_LIST_SIZE. */
  maxFrameBytes = 16_384;
  maxListBytes: number = Number.POSITIVE_INFINITY;
  readonly #stream: ByteStream;
  readonly #markBytes: number;
  readonly #waiting = new Set<Waiting>();
  /** Those of them that wait for the connection's window alone, so that a window of a byte wakes one and not all. */
  readonly #starved = new Set<Waiting>();
  /** Reused: the byte stream copies what is as small as this. */
  readonly #scratch = new Uint8Array(512);
  /** DATA frames sent so far, but those that a window cut short; and blocks. */
  usefulFrames = 0;
  headerBlocks = 0;
  #unflushed = 0;
  #pumping = false;
  #stopped = false;

  constructor(stream: ByteStream, markBytes: number) {
    this.#stream = stream;
    this.#markBytes = markBytes;
  }

  get unflushedBytes(): number {
    return this.#unflushed;
  }

  /** Whether DATA, and the headers of a response, go out at once. */
  get open(): boolean {
    return this.#unflushed < this.#markBytes;
  }

  /** DATA waits for a window that the peer does not give. */
  get starved(): boolean {
    return this.window <= 0 && this.#starved.size > 0;
  }

  /** Nothing more goes out, whoever asks. */
  stop(): void {
    this.#stopped = true;
    this.#waiting.clear();
    this.#starved.clear();
  }

  control(frame: Uint8Array): void {
    this.#write(frame);
  }

  headers(streamId: number, outgoing: Outgoing, endStream: boolean): void {
    this.headerBlocks += 1;
    const block = outgoing.encodedBy(this.encoder);
    if (block.byteLength > this.#scratch.byteLength - frameHeaderBytes) {
      this.#write(headersFrames(streamId, block, endStream, this.maxFrameBytes));
      return;
    }
    const flags = Flag.endHeaders | (endStream ? Flag.endStream : 0);
    const at = writeFrameHeader(this.#scratch, 0, block.byteLength, FrameType.headers, flags, streamId);
    this.#scratch.set(block, at);
    this.#write(this.#scratch.subarray(0, at + block.byteLength));
  }

  /** One frame; `bytes` is at most `sendableBytes` long. `cut`: a window had no room for more. `reused`: their memory is written to again. */
  data(streamId: number, bytes: Uint8Array, endStream: boolean, cut = false, reused = false): void {
    const { byteLength } = bytes;
    this.window -= byteLength;
    if (!cut || byteLength >= cutBytes) this.usefulFrames += 1;
    const flags = endStream ? Flag.endStream : 0;
    const at = writeFrameHeader(this.#scratch, 0, byteLength, FrameType.data, flags, streamId);
    if (byteLength <= this.#scratch.byteLength - at) {
      this.#scratch.set(bytes, at);
      this.#write(this.#scratch.subarray(0, at + byteLength));
    } else {
      this.#write(this.#scratch.subarray(0, at));
      // A new array and no `slice`: a Buffer's own gives a view.
      this.#write(reused && !this.#stream.copiesWrites ? new Uint8Array(bytes) : bytes);
    }
  }

  endData(streamId: number): void {
    this.data(streamId, nothing, true);
  }

  /** The largest DATA frame that may go out now. */
  get sendableBytes(): number {
    if (!this.open) return 0;
    return Math.min(this.window, this.maxFrameBytes, maxDataBytes);
  }

  /** Its turn comes when there is room. */
  wait(stream: Waiting): void {
    this.#waiting.add(stream);
  }

  forget(stream: Waiting): void {
    this.#waiting.delete(stream);
    this.#starved.delete(stream);
  }

  flushed(bytes: number): void {
    this.#unflushed -= bytes;
    this.pump();
  }

  /** Lets streams send, a frame each in turn, until none can. */
  pump(): void {
    // A frame that went out may wake another stream of the same connection.
    if (this.#pumping) return;
    this.#pumping = true;
    while (this.open && !this.#stopped) {
      const stream = this.#next();
      if (stream === undefined) break;
      stream.advance(this.sendableBytes);
      if (stream.blockedByConnection) (this.window > 0 ? this.#waiting : this.#starved).add(stream);
    }
    this.#pumping = false;
  }

  #next(): Waiting | undefined {
    const [first] = this.#waiting;
    const stream = first ?? (this.window > 0 ? this.#starved.values().next().value : undefined);
    if (stream !== undefined) this.forget(stream);
    return stream;
  }

  #write(bytes: Uint8Array): void {
    if (this.#stopped) return;
    this.#unflushed += bytes.byteLength;
    this.#stream.write(bytes);
  }
}
