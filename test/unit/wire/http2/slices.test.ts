import t from 'tap';
import { FrameDecoder } from '../../../../lib/wire/http2/decode.ts';
import { decodeFrames, EventLog, rawFrame } from '../../../support/http2-frames.ts';

/** Keeps the views that the decoder hands on. */
class Views extends EventLog {
  readonly views: Uint8Array[] = [];
  override dataBytes(streamId: number, bytes: Uint8Array): void {
    super.dataBytes(streamId, bytes);
    this.views.push(bytes);
  }
  override headers(streamId: number, block: Uint8Array, endStream: boolean, dependsOn: number): void {
    super.headers(streamId, block, endStream, dependsOn);
    this.views.push(block);
  }
}

t.test('the first 100 B of a DATA frame of 16,384 B are handed on before the rest has come', async t => {
  const log = new Views();
  const decoder = new FrameDecoder(log);
  decoder.push(rawFrame(0, 0x1, 1, Buffer.alloc(16_384, 1)).subarray(0, 109));
  t.equal(log.events[0], 'data 1 begin 16384');
  t.equal(log.views[0]?.byteLength, 100);
  t.equal(log.events.length, 2, 'and its end is not told');
});

t.test('DATA of 16,384 B in eight reads is eight views of the reads and no copy', async t => {
  const log = new Views();
  const decoder = new FrameDecoder(log);
  const bytes = rawFrame(0, 0, 1, Buffer.alloc(16_384, 1));
  const reads = Array.from({ length: 8 }, (_, index) =>
    Buffer.from(bytes.subarray(index * 2_050, (index + 1) * 2_050)),
  );
  for (const read of reads) decoder.push(read);
  t.equal(log.views.length, 8);
  for (const [index, view] of log.views.entries()) t.equal(view.buffer, reads[index]?.buffer);
  t.equal(log.events.at(-1), 'data 1 end false');
});

t.test('a header block in one read is a view of it, padded and behind a priority too', async t => {
  for (const frame of [
    rawFrame(1, 0x4, 1, '828684'),
    rawFrame(1, 0xc, 1, '02 828684 0000'),
    rawFrame(1, 0x24, 1, '00000000 10 828684'),
    Buffer.concat([rawFrame(1, 0, 1), rawFrame(9, 0x4, 1, '828684')]),
  ]) {
    const log = new Views();
    new FrameDecoder(log).push(frame);
    t.equal(log.views[0]?.buffer, frame.buffer);
    t.equal(Buffer.from(log.views[0] ?? []).toString('hex'), '828684');
  }
});

t.test('blocks that were cut do not run into each other', async t => {
  const long = Buffer.alloc(9_000, 0x11);
  const bytes = Buffer.concat([
    rawFrame(1, 0x4, 1, long),
    rawFrame(1, 0x4, 3, '8286'),
    rawFrame(1, 0, 5, '84'),
    rawFrame(9, 0x4, 5, '41'),
  ]);
  const { events } = decodeFrames(bytes, [100, 9_009 + 10, 9_009 + 11 + 9]);
  t.same(events, [
    `headers 1 [${long.toString('hex')}] false -1`,
    'headers 3 [8286] false -1',
    'headers 5 [8441] false -1',
  ]);
});

t.test('inside DATA, its padding too, and nowhere else the decoder says that it is', async t => {
  const decoder = new FrameDecoder(new EventLog());
  const told: boolean[] = [];
  for (const byte of rawFrame(0, 0x8, 1, '01 aabb 00')) {
    decoder.push(Uint8Array.of(byte));
    told.push(decoder.inData);
  }
  t.same(told, [...Array(8).fill(false), true, true, true, true, false]);
  for (const byte of Buffer.concat([rawFrame(1, 0, 1, '82'), rawFrame(9, 0x4, 1, '86')])) {
    decoder.push(Uint8Array.of(byte));
    t.notOk(decoder.inData);
  }
});

t.test('an open header block is no boundary, between its frames neither', async t => {
  t.notOk(decodeFrames(rawFrame(1, 0, 1, '82')).atBoundary);
  t.ok(decodeFrames(Buffer.concat([rawFrame(1, 0, 1, '82'), rawFrame(9, 0x4, 1)])).atBoundary);
});

t.test('a sink that looks finds itself at the boundary where a frame has ended', async t => {
  class Looking extends EventLog {
    readonly seen: boolean[] = [];
    override dataEnd(): void {
      this.seen.push(decoder.atBoundary);
    }
    override headers(): void {
      this.seen.push(decoder.atBoundary);
    }
    override ping(): void {
      this.seen.push(decoder.atBoundary);
    }
    override settingsEnd(): void {
      this.seen.push(decoder.atBoundary);
    }
  }
  const log = new Looking();
  const decoder = new FrameDecoder(log);
  const bytes = Buffer.concat([
    rawFrame(0, 0x8, 1, '01 aabb 00'),
    rawFrame(0, 0x1, 1),
    rawFrame(1, 0x4, 1, '82'),
    rawFrame(6, 0, 0, '0102030405060708'),
    rawFrame(4, 0, 0, '000300000064'),
  ]);
  decoder.push(bytes);
  for (const byte of bytes) decoder.push(Uint8Array.of(byte));
  t.same(log.seen, Array(10).fill(true));
});
