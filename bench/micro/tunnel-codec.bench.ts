// The tunnel's hot codec: data headers and the decoder, beside protobufjs with the same .proto file.
import { readFileSync } from 'node:fs';
import { bench, do_not_optimize, group } from 'mitata';
import protobuf from 'protobufjs';
import { FrameBatch } from '../../lib/tunnel/frame-batch.ts';
import { FrameDecoder } from '../../lib/wire/tunnel/decode.ts';
import { encodeFrame, maxDataHeaderBytes, writeDataHeader } from '../../lib/wire/tunnel/encode.ts';

const source = readFileSync(new URL('../../proto/tunnel.proto', import.meta.url), 'utf8');
const Frame = protobuf.parse(source).root.lookupType('lockwire.tunnel.v1.Frame');

const header = Buffer.alloc(maxDataHeaderBytes);
const batch = new FrameBatch();
let received = 0;
const decoder = new FrameDecoder({
  data: (_stream, chunk) => {
    received += chunk.byteLength;
  },
  frame: (stream, frame) => {
    received += stream + frame.type.length;
  },
});

/** A data frame as it is on the wire. */
function encoded(stream: number, payload: Uint8Array): Buffer {
  const end = writeDataHeader(header, 0, stream, payload.byteLength);
  return Buffer.concat([header.subarray(0, end), payload]);
}

/** All frames of a chunk, as a reader on protobufjs has to do it: the length first, then the frame. */
function decodeNaive(chunk: Uint8Array): void {
  const reader = protobuf.Reader.create(chunk);
  while (reader.pos < reader.len) {
    const frame = Frame.decodeDelimited(reader) as unknown as { data?: Uint8Array };
    received += frame.data?.byteLength ?? 1;
  }
}

for (const bytes of [200, 16_384]) {
  const payload = Buffer.alloc(bytes, 1);
  group(`encode a data frame of ${bytes} B`, () => {
    bench(`header by hand, payload by reference, ${bytes} B`, () => {
      do_not_optimize(writeDataHeader(header, 0, 300, bytes));
    });
    bench(`FrameBatch, as the outbox uses it, ${bytes} B`, () => {
      batch.addData(300, [payload], bytes);
      do_not_optimize(batch.take());
    });
    bench(`protobufjs, ${bytes} B`, () => {
      do_not_optimize(Frame.encodeDelimited(Frame.create({ stream: 300, data: payload })).finish());
    });
  });
}

for (const { count, bytes } of [
  { count: 4, bytes: 16_384 },
  { count: 256, bytes: 200 },
]) {
  const chunk = Buffer.concat(Array.from({ length: count }, () => encoded(300, Buffer.alloc(bytes, 1))));
  group(`decode a read of ${count} data frames of ${bytes} B`, () => {
    bench(`FrameDecoder, ${count} × ${bytes} B`, () => decoder.push(chunk));
    bench(`protobufjs, ${count} × ${bytes} B`, () => decodeNaive(chunk));
  });
}

const credit = { type: 'credit', limit: 123_456_789 } as const;
const creditBytes = encodeFrame(300, credit);
group('a Credit', () => {
  bench('encodeFrame, Credit', () => do_not_optimize(encodeFrame(300, credit)));
  bench('protobufjs encode, Credit', () => {
    do_not_optimize(
      Frame.encodeDelimited(Frame.create({ stream: 300, credit: { limit: credit.limit } })).finish(),
    );
  });
  bench('FrameDecoder, Credit', () => decoder.push(creditBytes));
  bench('protobufjs decode, Credit', () => decodeNaive(creditBytes));
});

do_not_optimize(received);
