import { Http2Error } from './errors.ts';
import { ErrorCode, Flag, FrameType, frameHeaderBytes, frameName, minMaxFrameBytes } from './frames.ts';
import { HeaderBlock } from './header-block.ts';
import { checkSetting } from './settings.ts';

/**
 * Takes what a decoder finds, in order. What depends on the state of a stream, or on which end we are, is the sink's to
 * judge; it refuses by throwing an Http2Error, which ends the decoder.
 */
export interface FrameSink {
  /** A DATA frame begins; `flowBytes` is its whole payload with padding (RFC 9113 section 6.9.1). */
  dataBegin(streamId: number, flowBytes: number, endStream: boolean): void;
  /** At least one byte, in order; a view of the chunk that was pushed. */
  dataBytes(streamId: number, bytes: Uint8Array): void;
  /** The frame is over, padding too. */
  dataEnd(streamId: number, endStream: boolean): void;
  /**
   * A header block with all its CONTINUATIONs; `block` is good during the call only, and must be decoded whatever
   * becomes of the stream. `dependsOn` is -1 without priority; where it is `streamId` itself, the stream is to be
   * refused with PROTOCOL_ERROR (RFC 7540 section 5.3.1): no `streamError` says so again.
   */
  headers(streamId: number, block: Uint8Array, endStream: boolean, dependsOn: number): void;
  /** `dependsOn` is another stream, or 0. */
  priority(streamId: number, dependsOn: number): void;
  resetStream(streamId: number, errorCode: number): void;
  /** Its value was checked, as far as both ends have the same rule. A server may not send enablePush 1: the sink checks. */
  setting(id: number, value: number): void;
  settingsEnd(): void;
  settingsAck(): void;
  /** `opaque` has 8 bytes and is good during the call only. */
  ping(opaque: Uint8Array, ack: boolean): void;
  /** `debug` is cut at `maxDebugBytes` and good during the call only. */
  goaway(lastStreamId: number, errorCode: number, debug: Uint8Array): void;
  /** An increment of 0 is reported: it is the stream's fault, or on stream 0 the connection's (section 6.9). */
  windowUpdate(streamId: number, increment: number): void;
  /** Nobody may push to us: the decoder throws PROTOCOL_ERROR right after (sections 6.6 and 8.4). */
  pushPromise(streamId: number): void;
  /** A frame to be ignored (section 5.5); the sink may count them. */
  unknown(type: number, streamId: number): void;
  /** A frame that is the fault of its stream only; the decoder goes on behind it. */
  streamError(streamId: number, errorCode: number, text: string): void;
}

export interface FrameLimits {
  /** Payload of a frame: what we announce as SETTINGS_MAX_FRAME_SIZE. */
  readonly maxFrameBytes: number;
  /** HEADERS and CONTINUATIONs together, before they are decoded. */
  readonly maxHeaderBlockBytes: number;
  /** Behind one HEADERS. */
  readonly maxContinuations: number;
}

export const frameDefaults: FrameLimits = {
  maxFrameBytes: minMaxFrameBytes,
  maxHeaderBlockBytes: 65_536,
  maxContinuations: 16,
};

/** Of a GOAWAY's debug data: the rest is passed over. */
export const maxDebugBytes = 1_024;

/*
 * What the next byte belongs to.
 *
 *   header ──▶ fixed ──▶ data ────▶ skip (padding) ──▶ header
 *     │          ├─────▶ block ───▶ skip (padding) ──▶ header
 *     │          ├─────▶ debug ──▶ header
 *     │          └─────▶ header
 *     ├────────────────▶ data, block, skip
 *     └────────────────▶ header                        any ──▶ failed
 */
/** Collecting the 9 bytes of a frame's header. */
const inHeader = 0;
/** Collecting a part of fixed size, of which `#type` tells the meaning. */
const inFixed = 1;
/** Passing DATA through. */
const inData = 2;
/** In a fragment of a header block. */
const inBlock = 3;
/** In the debug data of a GOAWAY. */
const inDebug = 4;
/** Passing over padding, or a frame that nobody wants. */
const inSkip = 5;
const failed = 6;

const none = new Uint8Array(0);

/**
 * Bytes behind the preface to frames, however they are cut. DATA is handed on as it comes; a header block is collected
 * where it doesn't come in one piece. All of its state is numbers: a frame makes no object but the views that are handed on.
 */
export class FrameDecoder {
  readonly #sink: FrameSink;
  readonly #maxFrameBytes: number;
  readonly #block: HeaderBlock;
  /** The start of a header or of a fixed part that a chunk cut. */
  readonly #cut: Uint8Array = new Uint8Array(frameHeaderBytes);
  #cutBytes = 0;
  #part: number = inHeader;
  /** Size of the header or fixed part that is being collected. */
  #need: number = frameHeaderBytes;
  #type = 0;
  #flags = 0;
  #streamId = 0;
  /** Payload bytes still to come, without the padding; in `skip` all of them. */
  #left = 0;
  #padding = 0;
  /** The stream whose header block is open: only its CONTINUATION may follow. 0: none. */
  #blockStreamId = 0;
  #blockEndsStream = false;
  #blockDependsOn = -1;
  #lastStreamId = 0;
  #errorCode = 0;
  #debug: Uint8Array = none;
  #debugBytes = 0;

  constructor(sink: FrameSink, limits: FrameLimits = frameDefaults) {
    this.#sink = sink;
    this.#maxFrameBytes = limits.maxFrameBytes;
    this.#block = new HeaderBlock(limits.maxHeaderBlockBytes, limits.maxContinuations);
  }

  /** Whether the connection may end here: no frame and no header block is open. */
  get atBoundary(): boolean {
    return this.#part === inHeader && this.#cutBytes === 0 && this.#blockStreamId === 0;
  }

  /** Whether it is a DATA frame that is open: that may take its time, its window bounds it. */
  get inData(): boolean {
    return this.#part !== inHeader && this.#part !== failed && this.#type === FrameType.data;
  }

  /** Throws Http2Error, for the connection and for good. The sink may not call it. */
  push(chunk: Uint8Array): void {
    try {
      const end = chunk.byteLength;
      let at = 0;
      while (at < end) at = this.#step(chunk, at, end);
    } catch (error) {
      this.#part = failed;
      throw error;
    }
  }

  #step(chunk: Uint8Array, at: number, end: number): number {
    switch (this.#part) {
      case inHeader:
      case inFixed:
        return this.#collect(chunk, at, end);
      case inData:
        return this.#passData(chunk, at, end);
      case inBlock:
        return this.#readBlock(chunk, at, end);
      case inDebug:
        return this.#readDebug(chunk, at, end);
      case inSkip:
        return this.#skip(at, end);
      default:
        throw new Http2Error(ErrorCode.protocolError, 'bytes behind a connection error');
    }
  }

  #collect(chunk: Uint8Array, at: number, end: number): number {
    const need = this.#need;
    const had = this.#cutBytes;
    if (had === 0 && end - at >= need) {
      this.#take(chunk, at);
      return at + need;
    }
    const taken = Math.min(need - had, end - at);
    this.#cut.set(chunk.subarray(at, at + taken), had);
    if (had + taken < need) {
      this.#cutBytes = had + taken;
      return at + taken;
    }
    this.#cutBytes = 0;
    this.#take(this.#cut, 0);
    return at + taken;
  }

  #take(source: Uint8Array, at: number): void {
    if (this.#part === inHeader) this.#begin(source, at);
    else this.#takeFixed(source, at);
  }

  /** RFC 9113 section 4.1; the reserved bit is ignored. */
  #begin(source: Uint8Array, at: number): void {
    const length =
      ((source[at] as number) << 16) | ((source[at + 1] as number) << 8) | (source[at + 2] as number);
    const type = source[at + 3] as number;
    const streamId = readUint31(source, at + 5);
    this.#type = type;
    this.#flags = source[at + 4] as number;
    this.#streamId = streamId;
    // Section 4.2 lets a DATA or PRIORITY frame off as the stream's fault; nobody who errs by mistake sends one.
    if (length > this.#maxFrameBytes) throw tooLong(type, length, this.#maxFrameBytes);
    // Section 6.10, and 5.5 for frames that nobody knows.
    if (this.#blockStreamId !== 0 && (type !== FrameType.continuation || streamId !== this.#blockStreamId)) {
      throw interleaved(type, streamId, this.#blockStreamId);
    }
    if (type === FrameType.data) this.#beginData(length);
    else if (type === FrameType.headers) this.#beginHeaders(length);
    else if (type === FrameType.windowUpdate) this.#expectExactly(length, 4);
    else this.#beginOther(length);
  }

  #beginOther(length: number): void {
    switch (this.#type) {
      case FrameType.priority:
        this.#onStream();
        // Section 6.3: the stream's error.
        if (length === 5) this.#expect(5);
        else this.#refusePriority(length);
        return;
      case FrameType.rstStream:
        this.#onStream();
        this.#expectExactly(length, 4);
        return;
      case FrameType.settings:
        this.#onConnection();
        this.#beginSettings(length);
        return;
      case FrameType.pushPromise:
        this.#onStream();
        this.#sink.pushPromise(this.#streamId);
        throw new Http2Error(
          ErrorCode.protocolError,
          `PUSH_PROMISE on stream ${this.#streamId}, push is off`,
        );
      case FrameType.ping:
        this.#onConnection();
        this.#expectExactly(length, 8);
        return;
      case FrameType.goaway:
        this.#onConnection();
        if (length < 8) throw wrongSize(this.#type, length, 'at least 8');
        this.#left = length - 8;
        this.#expect(8);
        return;
      case FrameType.continuation:
        this.#beginContinuation(length);
        return;
      default:
        this.#beginSkip(length);
        this.#sink.unknown(this.#type, this.#streamId);
    }
  }

  /** Most frames have a stream of their own (sections 6.1 to 6.4, 6.6). */
  #onStream(): void {
    if (this.#streamId !== 0) return;
    throw new Http2Error(ErrorCode.protocolError, `${frameName(this.#type)} on stream 0`);
  }

  /** SETTINGS, PING and GOAWAY are the connection's (sections 6.5, 6.7, 6.8). */
  #onConnection(): void {
    if (this.#streamId === 0) return;
    throw new Http2Error(
      ErrorCode.protocolError,
      `${frameName(this.#type)} on stream ${this.#streamId}, expected 0`,
    );
  }

  #expect(bytes: number): void {
    this.#part = inFixed;
    this.#need = bytes;
  }

  /** Sections 6.4, 6.7 and 6.9: another size is the connection's error, even on a stream. */
  #expectExactly(length: number, bytes: number): void {
    if (length !== bytes) throw wrongSize(this.#type, length, `${bytes}`);
    this.#expect(bytes);
  }

  #beginData(length: number): void {
    this.#onStream();
    const padded = (this.#flags & Flag.padded) !== 0;
    // Section 4.2: too small to hold its Pad Length.
    if (padded && length === 0) throw wrongSize(this.#type, length, 'at least 1');
    this.#left = length;
    this.#padding = 0;
    this.#sink.dataBegin(this.#streamId, length, (this.#flags & Flag.endStream) !== 0);
    if (padded) this.#expect(1);
    else if (length > 0) this.#part = inData;
    else this.#endData();
  }

  #beginHeaders(length: number): void {
    this.#onStream();
    const flags = this.#flags;
    const prefix = ((flags & Flag.padded) !== 0 ? 1 : 0) + ((flags & Flag.priority) !== 0 ? 5 : 0);
    // Section 4.2: too small to hold its Pad Length and priority.
    if (length < prefix) throw wrongSize(this.#type, length, `at least ${prefix}`);
    this.#blockStreamId = this.#streamId;
    this.#blockEndsStream = (flags & Flag.endStream) !== 0;
    this.#blockDependsOn = -1;
    this.#left = length - prefix;
    this.#padding = 0;
    if (prefix > 0) this.#expect(prefix);
    else this.#beginBlock();
  }

  #beginContinuation(length: number): void {
    if (this.#blockStreamId === 0) {
      throw new Http2Error(
        ErrorCode.protocolError,
        `CONTINUATION on stream ${this.#streamId}, no header block is open`,
      );
    }
    this.#block.countContinuation();
    this.#left = length;
    this.#padding = 0;
    this.#beginBlock();
  }

  #beginSettings(length: number): void {
    // Section 6.5: both sizes are the connection's error.
    if ((this.#flags & Flag.ack) !== 0) {
      if (length !== 0) throw wrongSize(this.#type, length, '0 with ACK');
      this.#endFrame();
      this.#sink.settingsAck();
      return;
    }
    if (length % 6 !== 0) throw wrongSize(this.#type, length, 'a multiple of 6');
    this.#left = length;
    if (length > 0) this.#expect(6);
    else this.#endSettings();
  }

  #refusePriority(length: number): void {
    this.#beginSkip(length);
    const text = `PRIORITY of ${length} bytes, expected 5`;
    this.#sink.streamError(this.#streamId, ErrorCode.frameSizeError, text);
  }

  #takeFixed(source: Uint8Array, at: number): void {
    switch (this.#type) {
      case FrameType.windowUpdate:
        this.#endFrame();
        this.#sink.windowUpdate(this.#streamId, readUint31(source, at));
        return;
      case FrameType.data:
        this.#left -= 1;
        this.#takePadLength(source[at] as number);
        if (this.#left > 0) this.#part = inData;
        else this.#endPart();
        return;
      case FrameType.headers:
        this.#takeHeadersPrefix(source, at);
        return;
      case FrameType.priority:
        this.#takePriority(readUint31(source, at));
        return;
      case FrameType.rstStream:
        this.#endFrame();
        this.#sink.resetStream(this.#streamId, readUint32(source, at));
        return;
      case FrameType.settings:
        this.#takeSetting(source, at);
        return;
      case FrameType.ping:
        this.#endFrame();
        this.#sink.ping(source.subarray(at, at + 8), (this.#flags & Flag.ack) !== 0);
        return;
      case FrameType.goaway:
        this.#lastStreamId = readUint31(source, at);
        this.#errorCode = readUint32(source, at + 4);
        this.#debugBytes = 0;
        if (this.#left > 0) this.#part = inDebug;
        else this.#endGoaway(none);
    }
  }

  /** Sections 6.1 and 6.2: what is left behind the Pad Length must hold the padding. */
  #takePadLength(padding: number): void {
    if (padding > this.#left) {
      const text = `${frameName(this.#type)} with ${padding} bytes of padding, ${this.#left} are left`;
      throw new Http2Error(ErrorCode.protocolError, text);
    }
    this.#left -= padding;
    this.#padding = padding;
  }

  #takeHeadersPrefix(source: Uint8Array, start: number): void {
    let at = start;
    if ((this.#flags & Flag.padded) !== 0) {
      this.#takePadLength(source[at] as number);
      at += 1;
    }
    if ((this.#flags & Flag.priority) !== 0) this.#blockDependsOn = readUint31(source, at);
    this.#beginBlock();
  }

  #takePriority(dependsOn: number): void {
    this.#endFrame();
    if (dependsOn !== this.#streamId) {
      this.#sink.priority(this.#streamId, dependsOn);
      return;
    }
    // RFC 7540 section 5.3.1; RFC 9113 has no use for it any more, and no other meaning.
    this.#sink.streamError(this.#streamId, ErrorCode.protocolError, `stream ${dependsOn} depends on itself`);
  }

  #takeSetting(source: Uint8Array, at: number): void {
    const id = ((source[at] as number) << 8) | (source[at + 1] as number);
    const value = readUint32(source, at + 2);
    checkSetting(id, value);
    this.#left -= 6;
    this.#sink.setting(id, value);
    if (this.#left === 0) this.#endSettings();
  }

  #endSettings(): void {
    this.#endFrame();
    this.#sink.settingsEnd();
  }

  #passData(chunk: Uint8Array, at: number, end: number): number {
    const next = Math.min(end, at + this.#left);
    this.#left -= next - at;
    this.#sink.dataBytes(this.#streamId, chunk.subarray(at, next));
    if (this.#left === 0) this.#endPart();
    return next;
  }

  #beginBlock(): void {
    this.#block.expect(this.#left);
    this.#part = inBlock;
    if (this.#left === 0) this.#endBlockPart();
  }

  #readBlock(chunk: Uint8Array, at: number, end: number): number {
    const next = Math.min(end, at + this.#left);
    const part = chunk.subarray(at, next);
    this.#left -= next - at;
    // In one piece, it is handed on as it stands.
    if (this.#left === 0 && (this.#flags & Flag.endHeaders) !== 0 && this.#block.empty) {
      this.#block.reset();
      this.#endBlock(part);
      return next;
    }
    this.#block.add(part);
    if (this.#left === 0) this.#endBlockPart();
    return next;
  }

  #endBlockPart(): void {
    if ((this.#flags & Flag.endHeaders) !== 0) this.#endBlock(this.#block.take());
    else this.#endPart();
  }

  #endBlock(block: Uint8Array): void {
    const streamId = this.#blockStreamId;
    this.#blockStreamId = 0;
    this.#endPart();
    this.#sink.headers(streamId, block, this.#blockEndsStream, this.#blockDependsOn);
  }

  #readDebug(chunk: Uint8Array, at: number, end: number): number {
    const next = Math.min(end, at + this.#left);
    this.#left -= next - at;
    if (this.#left === 0 && this.#debugBytes === 0) {
      this.#endGoaway(chunk.subarray(at, Math.min(next, at + maxDebugBytes)));
      return next;
    }
    if (this.#debugBytes === 0) this.#debug = new Uint8Array(maxDebugBytes);
    const part = chunk.subarray(at, Math.min(next, at + maxDebugBytes - this.#debugBytes));
    this.#debug.set(part, this.#debugBytes);
    this.#debugBytes += part.byteLength;
    if (this.#left === 0) this.#endGoaway(this.#debug.subarray(0, this.#debugBytes));
    return next;
  }

  #endGoaway(debug: Uint8Array): void {
    this.#debug = none;
    this.#endFrame();
    this.#sink.goaway(this.#lastStreamId, this.#errorCode, debug);
  }

  /** The payload is over: now its padding, or the end of the frame. */
  #endPart(): void {
    if (this.#padding > 0) this.#beginSkip(this.#padding);
    else if (this.#type === FrameType.data) this.#endData();
    else this.#endFrame();
  }

  #beginSkip(bytes: number): void {
    this.#left = bytes;
    this.#part = inSkip;
    if (bytes === 0) this.#endFrame();
  }

  #skip(at: number, end: number): number {
    const next = Math.min(end, at + this.#left);
    this.#left -= next - at;
    if (this.#left > 0) return next;
    if (this.#type === FrameType.data) this.#endData();
    else this.#endFrame();
    return next;
  }

  #endData(): void {
    this.#endFrame();
    this.#sink.dataEnd(this.#streamId, (this.#flags & Flag.endStream) !== 0);
  }

  /** Before the sink is told, which may look at `atBoundary`. */
  #endFrame(): void {
    this.#part = inHeader;
    this.#need = frameHeaderBytes;
  }
}

function readUint31(source: Uint8Array, at: number): number {
  return (
    (((source[at] as number) & 0x7f) << 24) |
    ((source[at + 1] as number) << 16) |
    ((source[at + 2] as number) << 8) |
    (source[at + 3] as number)
  );
}

function readUint32(source: Uint8Array, at: number): number {
  return (
    (source[at] as number) * 0x1000000 +
    (((source[at + 1] as number) << 16) | ((source[at + 2] as number) << 8) | (source[at + 3] as number))
  );
}

function tooLong(type: number, length: number, limit: number): Http2Error {
  return new Http2Error(ErrorCode.frameSizeError, `${frameName(type)} of ${length} bytes, limit ${limit}`);
}

function wrongSize(type: number, length: number, expected: string): Http2Error {
  return new Http2Error(
    ErrorCode.frameSizeError,
    `${frameName(type)} of ${length} bytes, expected ${expected}`,
  );
}

function interleaved(type: number, streamId: number, blockStreamId: number): Http2Error {
  return new Http2Error(
    ErrorCode.protocolError,
    `${frameName(type)} on stream ${streamId} inside the header block of stream ${blockStreamId}`,
  );
}
