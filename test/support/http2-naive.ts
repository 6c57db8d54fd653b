import { type FrameLimits, frameDefaults, maxDebugBytes } from '../../lib/wire/http2/decode.ts';
import { EventLog } from './http2-frames.ts';

interface Frame {
  readonly type: number;
  readonly flags: number;
  readonly stream: number;
  readonly payload: Buffer;
}

/** What the naive decoder throws: `code: why` in a few words of its own. */
class Refused extends Error {
  readonly errorCode: number;
  constructor(errorCode: number) {
    super(`error ${errorCode}`);
    this.errorCode = errorCode;
  }
}

export interface NaiveResult {
  readonly events: readonly string[];
  /** The connection error's code, or -1. */
  readonly errorCode: number;
  /** Bytes of the frames that were read whole. */
  readonly consumed: number;
}

/**
 * A decoder as one would write it from RFC 9113 without a thought for speed: the whole input in one buffer, one frame
 * as one object. What only concerns a frame's beginning is looked at before the frame is all there, as a peer
 * whose frame is refused need not send the rest.
 */
export function decodeNaively(input: Uint8Array, limits: FrameLimits = frameDefaults): NaiveResult {
  const bytes = Buffer.from(input);
  const reader = new NaiveReader(limits);
  let at = 0;
  try {
    while (bytes.length - at >= 9) {
      const length = bytes.readUIntBE(at, 3);
      const type = bytes.readUInt8(at + 3);
      const flags = bytes.readUInt8(at + 4);
      const stream = bytes.readUInt32BE(at + 5) % 2 ** 31;
      reader.checkHeader(type, flags, stream, length);
      const start = at + 9;
      const there = bytes.subarray(start, start + length);
      reader.checkPrefix(type, flags, length, there);
      if (there.length < length) break;
      reader.frame({ type, flags, stream, payload: there });
      at = start + length;
    }
  } catch (error) {
    if (!(error instanceof Refused)) throw error;
    return { events: reader.log.events, errorCode: error.errorCode, consumed: at };
  }
  return { events: reader.log.events, errorCode: -1, consumed: at };
}

const PROTOCOL_ERROR = 1;
const FLOW_CONTROL_ERROR = 3;
const FRAME_SIZE_ERROR = 6;
const ENHANCE_YOUR_CALM = 11;

function refuseIf(condition: boolean, errorCode: number): void {
  if (condition) throw new Refused(errorCode);
}

class NaiveReader {
  readonly log: EventLog = new EventLog();
  readonly #limits: FrameLimits;
  /** The HEADERS and CONTINUATIONs of the block that is open. */
  #open: Frame[] = [];

  constructor(limits: FrameLimits) {
    this.#limits = limits;
  }

  checkHeader(type: number, flags: number, stream: number, length: number): void {
    refuseIf(length > this.#limits.maxFrameBytes, FRAME_SIZE_ERROR);
    const open = this.#open[0];
    refuseIf(open !== undefined && (type !== 9 || stream !== open.stream), PROTOCOL_ERROR);
    refuseIf(open === undefined && type === 9, PROTOCOL_ERROR);
    refuseIf([0, 1, 2, 3, 5].includes(type) && stream === 0, PROTOCOL_ERROR);
    refuseIf([4, 6, 7].includes(type) && stream !== 0, PROTOCOL_ERROR);
    const fixed = new Map([
      [3, 4],
      [6, 8],
      [8, 4],
    ]).get(type);
    refuseIf(fixed !== undefined && length !== fixed, FRAME_SIZE_ERROR);
    refuseIf(type === 4 && (flags & 1) === 1 && length > 0, FRAME_SIZE_ERROR);
    refuseIf(type === 4 && length % 6 > 0, FRAME_SIZE_ERROR);
    refuseIf(type === 7 && length < 8, FRAME_SIZE_ERROR);
    refuseIf((type === 0 || type === 1) && length < prefixBytes(type, flags), FRAME_SIZE_ERROR);
    if (type === 5) {
      this.log.pushPromise(stream);
      throw new Refused(PROTOCOL_ERROR);
    }
    refuseIf(type === 9 && this.#open.length > this.#limits.maxContinuations, ENHANCE_YOUR_CALM);
  }

  /** Padding and the size of the block, as soon as the frame's first bytes tell them; a bad setting as soon as it came. */
  checkPrefix(type: number, flags: number, length: number, there: Buffer): void {
    if (type === 4) this.#settings(there, length);
    if (type !== 0 && type !== 1 && type !== 9) return;
    const prefix = prefixBytes(type, flags);
    if (there.length < prefix) return;
    const padding = prefix % 5 === 1 ? there.readUInt8(0) : 0;
    refuseIf(padding > length - prefix, PROTOCOL_ERROR);
    if (type === 0) return;
    const sofar = this.#open.reduce((sum, frame) => sum + fragment(frame).length, 0);
    refuseIf(sofar + length - prefix - padding > this.#limits.maxHeaderBlockBytes, ENHANCE_YOUR_CALM);
  }

  frame(frame: Frame): void {
    const { type, flags, stream, payload } = frame;
    const ended = (flags & 1) === 1;
    if (type === 0) this.#data(frame);
    else if (type === 1 || type === 9) this.#block(frame);
    else if (type === 2 && payload.length !== 5)
      this.log.streamError(stream, FRAME_SIZE_ERROR, `PRIORITY of ${payload.length} bytes, expected 5`);
    else if (type === 2 && dependency(payload) === stream)
      this.log.streamError(stream, PROTOCOL_ERROR, `stream ${stream} depends on itself`);
    else if (type === 2) this.log.priority(stream, dependency(payload));
    else if (type === 3) this.log.resetStream(stream, payload.readUInt32BE(0));
    else if (type === 4) ended ? this.log.settingsAck() : this.log.settingsEnd();
    else if (type === 6) this.log.ping(payload, ended);
    else if (type === 7)
      this.log.goaway(dependency(payload), payload.readUInt32BE(4), payload.subarray(8, 8 + maxDebugBytes));
    else if (type === 8) this.log.windowUpdate(stream, dependency(payload));
    else this.log.unknown(type, stream);
  }

  #settings(there: Buffer, length: number): void {
    // A frame that is not all there is not counted as read, but a bad value in it is a fault already.
    const tell = there.length === length;
    for (let at = 0; at + 6 <= there.length; at += 6) {
      const id = there.readUInt16BE(at);
      const value = there.readUInt32BE(at + 2);
      const fault = settingFault(id, value);
      if (fault >= 0) {
        for (let told = 0; told < at && !tell; told += 6) {
          this.log.setting(there.readUInt16BE(told), there.readUInt32BE(told + 2));
        }
        throw new Refused(fault);
      }
      if (tell) this.log.setting(id, value);
    }
  }

  #data({ flags, stream, payload }: Frame): void {
    const padded = (flags & 8) === 8;
    const data = padded ? payload.subarray(1, payload.length - payload.readUInt8(0)) : payload;
    this.log.dataBegin(stream, payload.length);
    if (data.length > 0) this.log.dataBytes(stream, data);
    this.log.dataEnd(stream, (flags & 1) === 1);
  }

  #block(frame: Frame): void {
    this.#open.push(frame);
    if ((frame.flags & 4) === 0) return;
    const first = this.#open[0] as Frame;
    const prioritised = (first.flags & 0x20) !== 0;
    const at = (first.flags & 8) !== 0 ? 1 : 0;
    const dependsOn = prioritised ? dependency(first.payload.subarray(at)) : -1;
    const block = Buffer.concat(this.#open.map(fragment));
    this.#open = [];
    this.log.headers(first.stream, block, (first.flags & 1) === 1, dependsOn);
  }
}

/** Pad Length and priority, where the flags say that they are there. */
function prefixBytes(type: number, flags: number): number {
  const padded = type !== 9 && (flags & 8) !== 0 ? 1 : 0;
  return padded + (type === 1 && (flags & 0x20) !== 0 ? 5 : 0);
}

function fragment({ type, flags, payload }: Frame): Buffer {
  const prefix = prefixBytes(type, flags);
  const padding = prefix % 5 === 1 ? payload.readUInt8(0) : 0;
  return payload.subarray(prefix, payload.length - padding);
}

function dependency(payload: Buffer): number {
  return payload.readUInt32BE(0) % 2 ** 31;
}

function settingFault(id: number, value: number): number {
  if ([2, 8, 9].includes(id) && value > 1) return PROTOCOL_ERROR;
  if (id === 4 && value >= 2 ** 31) return FLOW_CONTROL_ERROR;
  if (id === 5 && (value < 2 ** 14 || value >= 2 ** 24)) return PROTOCOL_ERROR;
  return -1;
}
