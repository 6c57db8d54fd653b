import { SlabQueue } from '../../core/slab-queue.ts';
import type { HeaderBlock } from '../../wire/hpack/decoder.ts';
import { rstStreamFrame, windowUpdateFrame } from '../../wire/http2/encode.ts';
import { ErrorCode, maxWindowBytes } from '../../wire/http2/frames.ts';
import type { FrameWriter, Waiting } from './frame-writer.ts';
import type { HeldShare } from './held-budget.ts';
import type { Http2Limits } from './options.ts';
import type { Outgoing } from './outgoing.ts';
import { type GrowthPool, ReceiveWindow } from './receive-window.ts';

/** How a stream ended before both its sides had: an error code of RFC 9113 section 7, and one safe line where it was not the peer's own RST_STREAM. */
export interface StreamCut {
  readonly code: number;
  readonly text: string;
}

/** Whoever a stream's events go to. `done` or `cut` is the last. */
export interface StreamHandler {
  /** A header section: request or response, then trailers. With `endStream`, `end` follows. */
  headers(block: HeaderBlock, endStream: boolean): void;
  /** A view, good during the call: to be written onward or copied. `consume` gives its credit back. With `endStream` these are the last, and `end` follows. */
  data(bytes: Uint8Array, endStream: boolean): void;
  /** The peer's side has ended. */
  end(): void;
  /** So many of the bytes given to `write` that had to wait are on their way. */
  sent(bytes: number): void;
  done(): void;
  cut(cut: StreamCut): void;
}

/** Of a stream that had to end for it. */
export const heldTooMuch = 'more is held back for slow readers than the limit allows';

/** What a stream needs of its connection. */
export interface StreamHost {
  readonly limits: Http2Limits;
  readonly writer: FrameWriter;
  readonly pool: GrowthPool;
  readonly roundTripMs: number;
  nowMs(): number;
  /** The peer broke a rule; too often, and the connection ends. */
  blame(text: string): void;
  /** It is closed; `ours` where we reset it, so that late frames may still come. */
  gone(stream: Http2Stream, ours: boolean): void;
}

/**
 * One stream of a connection (RFC 9113 section 5.1), either end. What can't go out waits in it, in order: headers,
 * bytes, trailers.
 *
 * ```
 *              we end, they end              the other one ends
 *   open ───────────────────────▶ half-closed ─────────────────▶ closed (done)
 *     └──────────── reset by either, connection lost ──────────▶ closed (cut)
 * ```
 */
export class Http2Stream implements Waiting {
  readonly id: number;
  handler: StreamHandler;
  /** Whose memory it is that waits here. */
  readonly held: HeldShare;
  readonly #host: StreamHost;
  readonly #window: ReceiveWindow;
  #sendWindow: number;
  #ours: 'open' | 'ending' | 'ended' = 'open';
  #theirs: 'open' | 'ended' = 'open';
  #closed = false;
  #stopPeer = false;
  #heads: Outgoing[] | undefined;
  #queue: SlabQueue | undefined;
  /** What the header sections that wait count in `held`. */
  #heldListBytes = 0;
  /** Behind the queue, where the stream ends with them. */
  #trailers: Outgoing | undefined;

  constructor(host: StreamHost, id: number, sendWindow: number, handler: StreamHandler, held: HeldShare) {
    this.held = held;
    this.#host = host;
    this.id = id;
    this.#sendWindow = sendWindow;
    this.handler = handler;
    this.#window = new ReceiveWindow(host.limits.streamWindowBytes);
  }

  get closed(): boolean {
    return this.#closed;
  }

  get peerEnded(): boolean {
    return this.#theirs === 'ended';
  }

  /** Whether our END_STREAM is out, or waits behind what was written. */
  get ownEnded(): boolean {
    return this.#ours !== 'open';
  }

  /** The largest header list that the peer takes. */
  get maxPeerListBytes(): number {
    return this.#host.writer.maxListBytes;
  }

  get waitingBytes(): number {
    return this.#queue?.byteLength ?? 0;
  }

  // What its owner sends.

  /**
   * A request's header section, the first of a client's stream. It never waits: the stream is idle until it is out, so
   * that it could not be reset, and a later one would close it (RFC 9113 section 5.1.1).
   */
  begin(outgoing: Outgoing, endStream: boolean): void {
    if (endStream) this.#ours = 'ended';
    this.#host.writer.headers(this.id, outgoing, endStream);
  }

  /** A header section: before any bytes, and the last word where `endStream`. */
  sendHeaders(outgoing: Outgoing, endStream: boolean): void {
    if (this.#closed || this.#ours !== 'open') return;
    if (this.#idle && this.#host.writer.open) {
      if (endStream) this.#ours = 'ended';
      this.#host.writer.headers(this.id, outgoing, endStream);
      if (endStream) this.#closeIfEnded();
      return;
    }
    if (!this.#holdList(outgoing)) return;
    this.#heads ??= [];
    this.#heads.push(outgoing);
    if (endStream) this.#ours = 'ending';
    this.#host.writer.wait(this);
  }

  /** Returns how many of the bytes went out at once; `sent` tells of the others. With `endStream` they are the last. */
  write(bytes: Uint8Array, endStream = false): number {
    if (this.#closed || this.#ours !== 'open') return 0;
    if (endStream) this.#ours = 'ending';
    let at = 0;
    while (this.#idle) {
      const room = Math.min(bytes.byteLength - at, this.#sendWindow, this.#host.writer.sendableBytes);
      if (room <= 0) break;
      const last = at + room === bytes.byteLength;
      this.#emit(last && at === 0 ? bytes : bytes.subarray(at, at + room), last && endStream, !last);
      at += room;
      if (last) return at;
    }
    this.#hold(at === 0 ? bytes : bytes.subarray(at));
    return at;
  }

  /** Ends our side behind what was written, with trailers or without. */
  end(trailers?: Outgoing): void {
    if (this.#closed || this.#ours !== 'open') return;
    const now = this.#idle && (trailers === undefined || this.#host.writer.open);
    if (!now && trailers !== undefined && !this.#holdList(trailers)) return;
    this.#ours = 'ending';
    this.#trailers = trailers;
    if (now) this.#emitEnd();
    else this.#host.writer.wait(this);
  }

  /** Our side ends, or has ended, and the rest of theirs is not wanted (RFC 9113 section 8.1). */
  stopPeer(): void {
    this.#stopPeer = true;
    this.#closeIfEnded();
  }

  /** Gives credit back for bytes that went onward; `waited` where not at once. */
  consume(bytes: number, waited = false): void {
    if (this.#closed || this.#theirs === 'ended' || bytes === 0) return;
    if (!this.#window.consume(bytes, waited)) return;
    const { limits, pool, roundTripMs, writer } = this.#host;
    const increment = this.#window.announce(limits, pool, this.#host.nowMs(), roundTripMs);
    writer.control(windowUpdateFrame(this.id, increment));
  }

  /** Ends both sides at once. The handler is told too, where `text` says why. */
  reset(code: number, text?: string): void {
    if (this.#closed) return;
    this.#host.writer.control(rstStreamFrame(this.id, code));
    this.#close(true);
    if (text !== undefined) this.handler.cut({ code, text });
  }

  /** The peer made us reset it (CVE-2025-8671). */
  blame(text: string): void {
    this.#host.blame(text);
  }

  // What its connection tells it.

  receiveHeaders(block: HeaderBlock, endStream: boolean): void {
    this.handler.headers(block, endStream);
    if (endStream) this.receiveEnd();
  }

  /** False where the peer went beyond the window. */
  receiveFlow(bytes: number): boolean {
    return this.#window.receive(bytes);
  }

  receiveEnd(): void {
    if (this.#closed) return;
    this.#theirs = 'ended';
    this.#window.release(this.#host.pool);
    this.handler.end();
    this.#closeIfEnded();
  }

  receiveReset(code: number): void {
    this.#close(false);
    this.handler.cut({ code, text: '' });
  }

  /** The connection is gone under it, or never took it. */
  abandon(cut: StreamCut): void {
    if (this.#closed) return;
    this.#close(false);
    this.handler.cut(cut);
  }

  /** False where the window would exceed 2^31 - 1 (RFC 9113 section 6.9.1). May be negative after SETTINGS. */
  widen(bytes: number): boolean {
    this.#sendWindow += bytes;
    if (this.#sendWindow > maxWindowBytes) return false;
    if (!this.#idle || this.#ours === 'ending') this.#host.writer.wait(this);
    return true;
  }

  // Its turn to send.

  get blockedByConnection(): boolean {
    if (this.#closed) return false;
    return this.#heads !== undefined || (this.#queue !== undefined && this.#sendWindow > 0);
  }

  advance(maxBytes: number): void {
    if (this.#closed) return;
    if (this.#heads !== undefined) this.#advanceHeads(this.#heads);
    else this.#advanceBytes(maxBytes);
    if (this.#isClosed() || this.#ours !== 'ending' || !this.#idle) return;
    this.#emitEnd();
  }

  #advanceHeads(heads: readonly Outgoing[]): void {
    this.#heads = undefined;
    for (const { listBytes } of heads) this.#giveList(listBytes);
    const last = heads.length - 1;
    for (const [at, outgoing] of heads.entries()) {
      const ends = at === last && this.#endsWithHeads;
      if (ends) this.#ours = 'ended';
      this.#host.writer.headers(this.id, outgoing, ends);
    }
    this.#closeIfEnded();
  }

  #advanceBytes(maxBytes: number): void {
    const queue = this.#queue;
    if (queue === undefined) return;
    const bytes = Math.min(queue.byteLength, maxBytes, this.#sendWindow);
    if (bytes <= 0) return;
    const last = bytes === queue.byteLength && this.#ours === 'ending' && this.#trailers === undefined;
    let left = bytes;
    while (left > 0) {
      const piece = queue.take(left);
      if (piece === undefined) break;
      left -= piece.byteLength;
      this.#emit(piece, last && left === 0, queue.byteLength > 0, true);
    }
    queue.release();
    this.held.give(bytes);
    if (queue.byteLength === 0) this.#queue = undefined;
    this.handler.sent(bytes);
  }

  /** Nothing waits but, it may be, the end. */
  get #idle(): boolean {
    return this.#queue === undefined && this.#heads === undefined;
  }

  get #endsWithHeads(): boolean {
    return this.#ours === 'ending' && this.#queue === undefined && this.#trailers === undefined;
  }

  /** `cut`: more was there to be sent. */
  #emit(bytes: Uint8Array, ends: boolean, cut: boolean, reused = false): void {
    this.#sendWindow -= bytes.byteLength;
    this.#host.writer.data(this.id, bytes, ends, cut, reused);
    if (!ends) return;
    this.#ours = 'ended';
    this.#closeIfEnded();
  }

  /** A method, since types don't see that a call may have closed it. */
  #isClosed(): boolean {
    return this.#closed;
  }

  #emitEnd(): void {
    this.#ours = 'ended';
    this.#giveList(this.#heldListBytes);
    if (this.#trailers) this.#host.writer.headers(this.id, this.#trailers, true);
    else this.#host.writer.endData(this.id);
    this.#closeIfEnded();
  }

  #hold(bytes: Uint8Array): void {
    if (!this.held.take(bytes.byteLength)) return this.reset(ErrorCode.enhanceYourCalm, heldTooMuch);
    this.#queue ??= new SlabQueue();
    this.#queue.append(bytes);
    this.#host.writer.wait(this);
  }

  /** A header section that waits: up to 64 KiB that no window bounds. False where the stream was ended for it. */
  #holdList({ listBytes }: Outgoing): boolean {
    if (this.held.take(listBytes)) {
      this.#heldListBytes += listBytes;
      return true;
    }
    this.reset(ErrorCode.enhanceYourCalm, heldTooMuch);
    return false;
  }

  #giveList(bytes: number): void {
    this.#heldListBytes -= bytes;
    this.held.give(bytes);
  }

  #closeIfEnded(): void {
    if (this.#closed || this.#ours !== 'ended') return;
    if (this.#theirs !== 'ended') {
      if (!this.#stopPeer) return;
      this.#host.writer.control(rstStreamFrame(this.id, ErrorCode.noError));
    }
    this.#close(this.#theirs !== 'ended');
    this.handler.done();
  }

  #close(ours: boolean): void {
    this.#closed = true;
    this.#window.release(this.#host.pool);
    this.held.give(this.waitingBytes);
    this.#giveList(this.#heldListBytes);
    this.#queue?.clear();
    this.#queue = undefined;
    this.#heads = undefined;
    this.#trailers = undefined;
    this.#host.writer.forget(this);
    this.#host.gone(this, ours);
  }
}
