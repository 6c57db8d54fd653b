// The frames of HTTP/2: the decoder beside a naive one that joins what it has and makes an object of every frame.
import { bench, do_not_optimize, group } from 'mitata';
import { FrameDecoder, type FrameSink } from '../../lib/wire/http2/decode.ts';
import { windowUpdateFrame, writeFrameHeader } from '../../lib/wire/http2/encode.ts';
import { Flag, FrameType, frameHeaderBytes } from '../../lib/wire/http2/frames.ts';

let seen = 0;

/** Does next to nothing, so that the decoder's own cost is seen. */
class Counter implements FrameSink {
  dataBegin(streamId: number, flowBytes: number): void {
    seen += streamId + flowBytes;
  }
  dataBytes(_streamId: number, bytes: Uint8Array): void {
    seen += bytes.byteLength;
  }
  dataEnd(streamId: number, endStream: boolean): void {
    seen += endStream ? streamId : 1;
  }
  headers(streamId: number, block: Uint8Array): void {
    seen += streamId + block.byteLength;
  }
  priority(streamId: number): void {
    seen += streamId;
  }
  resetStream(streamId: number, errorCode: number): void {
    seen += streamId + errorCode;
  }
  setting(id: number, value: number): void {
    seen += id + value;
  }
  settingsEnd(): void {}
  settingsAck(): void {}
  ping(opaque: Uint8Array): void {
    seen += opaque.byteLength;
  }
  goaway(lastStreamId: number): void {
    seen += lastStreamId;
  }
  windowUpdate(streamId: number, increment: number): void {
    seen += streamId + increment;
  }
  pushPromise(): void {}
  unknown(): void {}
  streamError(): void {}
}

interface Frame {
  readonly type: number;
  readonly flags: number;
  readonly streamId: number;
  readonly payload: Buffer;
}

/** All frames that are there whole; what is left waits for the next read. */
class NaiveDecoder {
  #pending: Buffer = Buffer.alloc(0);

  push(chunk: Buffer): void {
    this.#pending = this.#pending.length === 0 ? chunk : Buffer.concat([this.#pending, chunk]);
    for (let frame = this.#next(); frame !== undefined; frame = this.#next()) {
      seen += frame.streamId + frame.type + frame.flags + frame.payload.length;
    }
  }

  #next(): Frame | undefined {
    const bytes = this.#pending;
    if (bytes.length < frameHeaderBytes) return undefined;
    const length = bytes.readUIntBE(0, 3);
    if (bytes.length < frameHeaderBytes + length) return undefined;
    this.#pending = bytes.subarray(frameHeaderBytes + length);
    return {
      type: bytes.readUInt8(3),
      flags: bytes.readUInt8(4),
      streamId: bytes.readUInt32BE(5) & 0x7fffffff,
      payload: bytes.subarray(frameHeaderBytes, frameHeaderBytes + length),
    };
  }
}

function frame(type: number, flags: number, streamId: number, bytes: number): Buffer {
  const out = Buffer.alloc(frameHeaderBytes + bytes, 1);
  writeFrameHeader(out, 0, bytes, type, flags, streamId);
  return out;
}

/** One read of 256 small frames, or reads of 64 KiB that cut large ones. */
const reads: [name: string, frames: number, chunks: Buffer[]][] = [
  ['DATA of 200 B', 256, repeat(frame(FrameType.data, 0, 5, 200), 256)],
  ['HEADERS of 40 B', 256, repeat(frame(FrameType.headers, Flag.endHeaders, 5, 40), 256)],
  ['WINDOW_UPDATE', 256, repeat(Buffer.from(windowUpdateFrame(5, 1_000)), 256)],
  ['DATA of 0 B', 256, repeat(frame(FrameType.data, Flag.endStream, 5, 0), 256)],
  ['DATA of 16,384 B', 64, cut(repeat(frame(FrameType.data, 0, 5, 16_384), 64), 65_536)],
];

function repeat(one: Buffer, count: number): Buffer[] {
  return [Buffer.concat(Array.from({ length: count }, () => one))];
}

function cut([bytes]: Buffer[], size: number): Buffer[] {
  if (bytes === undefined) return [];
  const count = Math.ceil(bytes.byteLength / size);
  return Array.from({ length: count }, (_, index) =>
    Buffer.from(bytes.subarray(index * size, (index + 1) * size)),
  );
}

for (const [name, frames, chunks] of reads) {
  group(`${frames} frames: ${name}`, () => {
    const decoder = new FrameDecoder(new Counter());
    const naive = new NaiveDecoder();
    bench(`FrameDecoder, ${frames} × ${name}`, () => {
      for (const chunk of chunks) decoder.push(chunk);
    });
    bench(`naive, ${frames} × ${name}`, () => {
      for (const chunk of chunks) naive.push(chunk);
    });
  });
}

const header = Buffer.alloc(frameHeaderBytes);
group('a frame header', () => {
  bench('writeFrameHeader', () => do_not_optimize(writeFrameHeader(header, 0, 200, FrameType.data, 0, 5)));
});

do_not_optimize(seen);
