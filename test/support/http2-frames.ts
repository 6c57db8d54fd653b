import { FrameDecoder, type FrameLimits, type FrameSink } from '../../lib/wire/http2/decode.ts';
import { writeFrameHeader } from '../../lib/wire/http2/encode.ts';
import { Http2Error } from '../../lib/wire/http2/errors.ts';
import { frameHeaderBytes } from '../../lib/wire/http2/frames.ts';

/** Any frame as it is on the wire, right or wrong; the payload as bytes or as hex with spaces. */
export function rawFrame(
  type: number,
  flags: number,
  streamId: number,
  payload: Uint8Array | string = '',
): Buffer {
  const bytes = typeof payload === 'string' ? Buffer.from(payload.replaceAll(' ', ''), 'hex') : payload;
  const header = Buffer.alloc(frameHeaderBytes);
  writeFrameHeader(header, 0, bytes.byteLength, type, flags, streamId);
  return Buffer.concat([header, bytes]);
}

/** A sink that keeps all it is told as lines of text; the slices of one DATA frame are joined again. */
export class EventLog implements FrameSink {
  readonly events: string[] = [];
  /** Slices that DATA came in. */
  slices = 0;
  #data = '';

  dataBegin(streamId: number, flowBytes: number): void {
    this.#data = '';
    this.events.push(`data ${streamId} begin ${flowBytes}`);
  }
  dataBytes(streamId: number, bytes: Uint8Array): void {
    this.slices += 1;
    if (bytes.byteLength === 0) throw new Error('a slice of no bytes');
    if (this.#data === '') this.events.push('');
    this.#data += hex(bytes);
    this.events[this.events.length - 1] = `data ${streamId} ${this.#data}`;
  }
  dataEnd(streamId: number, endStream: boolean): void {
    this.events.push(`data ${streamId} end ${endStream}`);
  }
  headers(streamId: number, block: Uint8Array, endStream: boolean, dependsOn: number): void {
    this.events.push(`headers ${streamId} [${hex(block)}] ${endStream} ${dependsOn}`);
  }
  priority(streamId: number, dependsOn: number): void {
    this.events.push(`priority ${streamId} ${dependsOn}`);
  }
  resetStream(streamId: number, errorCode: number): void {
    this.events.push(`reset ${streamId} ${errorCode}`);
  }
  setting(id: number, value: number): void {
    this.events.push(`setting ${id} ${value}`);
  }
  settingsEnd(): void {
    this.events.push('settings end');
  }
  settingsAck(): void {
    this.events.push('settings ack');
  }
  ping(opaque: Uint8Array, ack: boolean): void {
    this.events.push(`ping ${hex(opaque)} ${ack}`);
  }
  goaway(lastStreamId: number, errorCode: number, debug: Uint8Array): void {
    this.events.push(`goaway ${lastStreamId} ${errorCode} [${hex(debug)}]`);
  }
  windowUpdate(streamId: number, increment: number): void {
    this.events.push(`window ${streamId} ${increment}`);
  }
  pushPromise(streamId: number): void {
    this.events.push(`push ${streamId}`);
  }
  unknown(type: number, streamId: number): void {
    this.events.push(`unknown ${type} ${streamId}`);
  }
  streamError(streamId: number, errorCode: number, text: string): void {
    this.events.push(`stream error ${streamId} ${errorCode}: ${text}`);
  }
}

function hex(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('hex');
}

export interface Decoded {
  readonly events: readonly string[];
  /** The error that it ended in: `code stream: message`, or ''. */
  readonly error: string;
  readonly atBoundary: boolean;
  readonly slices: number;
}

/** What a decoder makes of bytes that are cut at these offsets. Throws what is no Http2Error. */
export function decodeFrames(bytes: Uint8Array, cuts: readonly number[] = [], limits?: FrameLimits): Decoded {
  const log = new EventLog();
  const decoder = new FrameDecoder(log, limits);
  let error = '';
  try {
    let at = 0;
    for (const cut of [...cuts, bytes.byteLength]) {
      decoder.push(bytes.subarray(at, cut));
      at = cut;
    }
  } catch (thrown) {
    if (!(thrown instanceof Http2Error)) throw thrown;
    error = `${thrown.errorCode} ${thrown.streamId}: ${thrown.message}`;
  }
  return { events: log.events, error, atBoundary: decoder.atBoundary, slices: log.slices };
}

/** A cut before each byte. */
export function eachByte(bytes: Uint8Array): number[] {
  return Array.from({ length: bytes.byteLength }, (_, at) => at);
}
