import { invariant } from '../../core/errors.ts';
import {
  Flag,
  FrameType,
  frameHeaderBytes,
  maxMaxFrameBytes,
  maxStreamId,
  maxWindowBytes,
} from './frames.ts';

/** Frames to bytes. What our own side cannot have meant (an increment of 0, say) is an internal error. */

/** Longest text of a GOAWAY that we send; what is longer is cut. */
export const maxGoawayTextBytes = 256;

/** Writes the 9 bytes at `at`; the payload of `length` bytes follows them. Returns the offset behind. */
export function writeFrameHeader(
  out: Uint8Array,
  at: number,
  length: number,
  type: number,
  flags: number,
  streamId: number,
): number {
  out[at] = length >>> 16;
  out[at + 1] = length >>> 8;
  out[at + 2] = length;
  out[at + 3] = type;
  out[at + 4] = flags;
  return writeUint32(out, at + 5, streamId);
}

/** `pairs` of setting and value, in order (RFC 9113 section 6.5.1). */
export function settingsFrame(pairs: readonly (readonly [id: number, value: number])[]): Uint8Array {
  const { out, at } = frame(pairs.length * 6, FrameType.settings, 0, 0);
  let next = at;
  for (const [id, value] of pairs) {
    invariant(value >= 0 && value <= 0xffffffff, `setting ${id} of ${value}`);
    out[next] = id >>> 8;
    out[next + 1] = id;
    next = writeUint32(out, next + 2, value);
  }
  return out;
}

/** Section 6.5.3. */
export function settingsAck(): Uint8Array {
  return frame(0, FrameType.settings, Flag.ack, 0).out;
}

/** `opaque` has 8 bytes (section 6.7). */
export function pingFrame(opaque: Uint8Array, ack: boolean): Uint8Array {
  invariant(opaque.byteLength === 8, `PING of ${opaque.byteLength} bytes`);
  const { out, at } = frame(8, FrameType.ping, ack ? Flag.ack : 0, 0);
  out.set(opaque, at);
  return out;
}

export function rstStreamFrame(streamId: number, errorCode: number): Uint8Array {
  invariant(streamId > 0, 'RST_STREAM on stream 0');
  const { out, at } = frame(4, FrameType.rstStream, 0, streamId);
  writeUint32(out, at, errorCode);
  return out;
}

/** Stream 0 is the connection (section 6.9). */
export function windowUpdateFrame(streamId: number, increment: number): Uint8Array {
  invariant(increment > 0 && increment <= maxWindowBytes, `WINDOW_UPDATE by ${increment}`);
  const { out, at } = frame(4, FrameType.windowUpdate, 0, streamId);
  writeUint32(out, at, increment);
  return out;
}

/** The text is for the peer's person (section 6.8); what passes `maxGoawayTextBytes` is cut. */
export function goawayFrame(lastStreamId: number, errorCode: number, debugText: string): Uint8Array {
  const text = Buffer.from(debugText, 'utf8').subarray(0, maxGoawayTextBytes);
  const { out, at } = frame(8 + text.byteLength, FrameType.goaway, 0, 0);
  const next = writeUint32(out, writeUint32(out, at, lastStreamId), errorCode);
  out.set(text, next);
  return out;
}

/** A HEADERS and the CONTINUATIONs that the block needs (sections 6.2 and 6.10), back to back in one buffer. */
export function headersFrames(
  streamId: number,
  block: Uint8Array,
  endStream: boolean,
  maxFrameBytes: number,
): Uint8Array {
  invariant(streamId > 0 && streamId <= maxStreamId, `HEADERS on stream ${streamId}`);
  invariant(maxFrameBytes > 0 && maxFrameBytes <= maxMaxFrameBytes, `frames of ${maxFrameBytes} bytes`);
  const frames = Math.max(1, Math.ceil(block.byteLength / maxFrameBytes));
  const out = new Uint8Array(frames * frameHeaderBytes + block.byteLength);
  let type: number = FrameType.headers;
  let flags: number = endStream ? Flag.endStream : 0;
  let at = 0;
  for (let left = frames, from = 0; left > 0; left -= 1, from += maxFrameBytes) {
    const part = frames === 1 ? block : block.subarray(from, from + maxFrameBytes);
    if (left === 1) flags |= Flag.endHeaders;
    at = writeFrameHeader(out, at, part.byteLength, type, flags, streamId);
    out.set(part, at);
    at += part.byteLength;
    type = FrameType.continuation;
    flags = 0;
  }
  return out;
}

/** A fresh frame with its header; the payload begins at `at`. */
function frame(
  length: number,
  type: number,
  flags: number,
  streamId: number,
): { readonly out: Uint8Array; readonly at: number } {
  invariant(streamId >= 0 && streamId <= maxStreamId, `stream ${streamId}`);
  const out = new Uint8Array(frameHeaderBytes + length);
  return { out, at: writeFrameHeader(out, 0, length, type, flags, streamId) };
}

function writeUint32(out: Uint8Array, at: number, value: number): number {
  out[at] = value >>> 24;
  out[at + 1] = value >>> 16;
  out[at + 2] = value >>> 8;
  out[at + 3] = value;
  return at + 4;
}
