import { LockwireError } from '../../core/errors.ts';
import { decodeBody } from './decode-body.ts';
import type { ControlFrame } from './frames.ts';
import { maxCredentialBodyBytes, maxDataBytes, maxStreamId } from './limits.ts';
import { dataNumber, type Message, messageByNumber } from './messages.ts';
import { readVarint, type VarintEnd, varintBad, varintShort } from './varint.ts';

/** Takes what a decoder finds, in order. */
export interface FrameSink {
  /** A part of a data frame's payload: a view of the bytes that were pushed. */
  data(stream: number, chunk: Uint8Array): void;
  frame(stream: number, frame: ControlFrame): void;
}

/**
 * How far a stream of sequenced frames was read: all the state that outlives a connection. The payload of a data frame
 * is handed on as it comes, so a frame that was cut may have been delivered in part; it is sent again whole.
 */
export interface ReadPosition {
  /** Encoded bytes of the sequenced frames that were read whole. */
  readonly received: number;
  /** Of the data frame that comes next: what was delivered of its payload already. */
  readonly partial?: { readonly stream: number; readonly bytes: number; readonly of: number };
}

/** Length (3), stream (6), tag (2), body length (3). */
const maxHeaderBytes = 14;
/** Tag and length of an empty body. */
const minFrameBytes = 2;
const maxFrameBytes = Math.max(maxDataBytes, maxCredentialBodyBytes) + maxHeaderBytes;

/** `header`: collecting one; `data`: payload passes through; `body`: collecting a control frame's body; `failed`: for good. */
type State =
  | { readonly in: 'header' }
  | { readonly in: 'data'; readonly stream: number }
  | { readonly in: 'body'; readonly stream: number; readonly message: Message; readonly body: Uint8Array }
  | { readonly in: 'failed' };

const header: State = { in: 'header' };

/**
 * Bytes to frames, however the bytes are cut. Payload is handed on as it comes and never collected; a control frame's
 * body is, within its own limit. Throws LockwireError `protocol` at the first malformed byte and for good.
 */
export class FrameDecoder {
  readonly #sink: FrameSink;
  #state: State = header;
  /** The start of a header that a chunk cut. */
  readonly #cut = new Uint8Array(maxHeaderBytes);
  #cutBytes = 0;
  /** Payload or body bytes still to come. */
  #left = 0;
  /** Encoded size of the frame that is being read, and whether it counts. */
  #frameBytes = 0;
  #sequenced = false;
  /** Payload bytes of the data frame that is being read. */
  #payloadBytes = 0;
  /** Of these, what an earlier connection delivered and this one passes over. */
  #passOver = 0;
  #partial: ReadPosition['partial'];
  #stopped = false;
  #received = 0;
  readonly #at: VarintEnd = { next: 0 };

  constructor(sink: FrameSink) {
    this.#sink = sink;
  }

  /** Encoded bytes of the sequenced frames that were read whole: what Ack and Resume speak of. */
  get received(): number {
    return this.#received;
  }

  /** Where a decoder of the next connection goes on. */
  get position(): ReadPosition {
    const received = this.#received;
    // The cut frame has not begun again, or did not get beyond what was delivered before.
    if (this.#partial) return { received, partial: this.#partial };
    const state = this.#state;
    const bytes = state.in === 'data' ? this.#payloadBytes - this.#left : 0;
    if (state.in !== 'data' || bytes === 0) return { received };
    return { received, partial: { stream: state.stream, bytes, of: this.#payloadBytes } };
  }

  /** Takes up the sequenced frames where an earlier connection left them. */
  resumeFrom({ received, partial }: ReadPosition): void {
    this.#received = received;
    this.#partial = partial;
  }

  /** Whether the last byte pushed was the last of a frame. */
  get atBoundary(): boolean {
    return this.#state === header && this.#cutBytes === 0;
  }

  /** Reads no more of the chunk that is being pushed, nor of later ones: for a sink that ended the session. */
  stop(): void {
    this.#stopped = true;
  }

  push(chunk: Uint8Array): void {
    try {
      let at = 0;
      while (at < chunk.byteLength && !this.#stopped) at = this.#step(chunk, at);
    } catch (error) {
      this.#state = { in: 'failed' };
      throw error;
    }
  }

  #step(chunk: Uint8Array, at: number): number {
    const state = this.#state;
    switch (state.in) {
      case 'header':
        return this.#cutBytes > 0 ? this.#joinHeader(chunk, at) : this.#readHeader(chunk, at);
      case 'data':
        return this.#passData(state.stream, chunk, at);
      case 'body':
        return this.#collectBody(state, chunk, at);
      case 'failed':
        throw new LockwireError('protocol', 'bytes after a malformed frame');
    }
  }

  #readHeader(chunk: Uint8Array, at: number): number {
    const limit = Math.min(chunk.byteLength, at + maxHeaderBytes);
    const end = this.#parse(chunk, at, limit);
    if (end !== varintShort) return end;
    this.#keepCut(chunk.subarray(at, limit), 0);
    return limit;
  }

  /** A header that an earlier chunk began: filled up from this one, parsed, and what it did not need given back. */
  #joinHeader(chunk: Uint8Array, at: number): number {
    const had = this.#cutBytes;
    const take = Math.min(maxHeaderBytes - had, chunk.byteLength - at);
    this.#cut.set(chunk.subarray(at, at + take), had);
    // Before it is parsed: a frame without a body is handed on from there, at a boundary.
    this.#cutBytes = 0;
    const end = this.#parse(this.#cut, 0, had + take);
    if (end === varintShort) {
      this.#keepCut(this.#cut.subarray(0, had + take), had);
      return at + take;
    }
    return at + end - had;
  }

  /** `bytes` begin a header that is not all there; the first `had` of them are kept already. */
  #keepCut(bytes: Uint8Array, had: number): void {
    if (bytes.byteLength === maxHeaderBytes) throw malformed(`a header of more than ${maxHeaderBytes} bytes`);
    this.#cut.set(bytes.subarray(had), had);
    this.#cutBytes = bytes.byteLength;
  }

  /** Parses one header in `source[at..end)`; where it ends, or `varintShort` where it is cut. */
  #parse(source: Uint8Array, at: number, end: number): number {
    const length = this.#number(source, at, end);
    if (length === varintShort) return varintShort;
    if (length > maxFrameBytes) throw malformed(`frame of ${length} bytes, limit ${maxFrameBytes}`);
    if (length < minFrameBytes) throw malformed(`frame of ${length} bytes, at least ${minFrameBytes}`);
    const start = this.#at.next;
    this.#frameBytes = start - at + length;
    const next = this.#parseFrame(source, start, Math.min(end, start + length), length);
    if (next === varintShort) {
      if (start + length <= end) throw malformed(`a frame of ${length} bytes ends in its header`);
      return varintShort;
    }
    return next;
  }

  /** Stream, tag and body's length of a frame of `length` bytes. */
  #parseFrame(source: Uint8Array, start: number, end: number, length: number): number {
    let next = start;
    let stream = 0;
    if (next >= end) return varintShort;
    if (source[next] === 0x08) {
      stream = this.#number(source, next + 1, end);
      if (stream === varintShort) return varintShort;
      if (stream === 0 || stream > maxStreamId) throw malformed(`stream ${stream}, limit ${maxStreamId}`);
      next = this.#at.next;
    }
    const tag = this.#number(source, next, end);
    if (tag === varintShort) return varintShort;
    const bytes = this.#number(source, this.#at.next, end);
    if (bytes === varintShort) return varintShort;
    next = this.#at.next;
    if (next - start + bytes !== length) throw malformed(`length ${length} and body ${bytes} disagree`);
    this.#begin(stream, tag, bytes);
    return next;
  }

  #number(source: Uint8Array, at: number, end: number): number {
    const value = readVarint(source, at, end, this.#at);
    if (value === varintBad) throw malformed('a malformed varint');
    return value;
  }

  #begin(stream: number, tag: number, bytes: number): void {
    this.#left = bytes;
    if (tag === dataNumber * 8 + 2) {
      if (stream === 0) throw malformed('data on stream 0');
      if (bytes === 0 || bytes > maxDataBytes)
        throw malformed(`data of ${bytes} bytes, limit ${maxDataBytes}`);
      this.#beginData(stream, bytes);
      return;
    }
    const message = tag % 8 === 2 ? messageByNumber(Math.floor(tag / 8)) : undefined;
    if (message === undefined) throw malformed(`tag ${tag}`);
    if ((stream === 0) !== (message.on === 'session')) throw malformed(`${message.type} on stream ${stream}`);
    if (bytes > message.maxBytes)
      throw malformed(`${message.type} of ${bytes} bytes, limit ${message.maxBytes}`);
    if (message.sequenced && this.#partial) throw malformed(`${message.type} where a cut data frame is due`);
    this.#sequenced = message.sequenced;
    this.#state = { in: 'body', stream, message, body: new Uint8Array(bytes) };
    if (bytes === 0) this.#finishBody(this.#state);
  }

  #beginData(stream: number, bytes: number): void {
    const partial = this.#partial;
    if (partial && (partial.stream !== stream || partial.of !== bytes)) {
      throw malformed(`data of ${bytes} bytes on stream ${stream} where a cut frame is due`);
    }
    this.#passOver = partial?.bytes ?? 0;
    this.#payloadBytes = bytes;
    this.#sequenced = true;
    this.#state = { in: 'data', stream };
  }

  #passData(stream: number, chunk: Uint8Array, at: number): number {
    if (this.#passOver > 0) return this.#passOverData(chunk, at);
    const end = Math.min(chunk.byteLength, at + this.#left);
    this.#left -= end - at;
    // Before the sink, which may look at what was received.
    if (this.#left === 0) this.#finish();
    this.#sink.data(stream, chunk.subarray(at, end));
    return end;
  }

  /** A part of a cut frame's payload that was delivered before the cut: always less than all of it. */
  #passOverData(chunk: Uint8Array, at: number): number {
    const bytes = Math.min(chunk.byteLength - at, this.#passOver);
    this.#passOver -= bytes;
    this.#left -= bytes;
    if (this.#passOver === 0) this.#partial = undefined;
    return at + bytes;
  }

  #collectBody(state: Extract<State, { in: 'body' }>, chunk: Uint8Array, at: number): number {
    const end = Math.min(chunk.byteLength, at + this.#left);
    state.body.set(chunk.subarray(at, end), state.body.byteLength - this.#left);
    this.#left -= end - at;
    if (this.#left === 0) this.#finishBody(state);
    return end;
  }

  #finishBody(state: Extract<State, { in: 'body' }>): void {
    const frame = decodeBody(state.message, state.body);
    this.#finish();
    this.#sink.frame(state.stream, frame);
  }

  #finish(): void {
    this.#state = header;
    if (this.#sequenced) this.#received += this.#frameBytes;
  }
}

function malformed(why: string): LockwireError {
  return new LockwireError('protocol', `malformed frame: ${why}`);
}
