import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import t from 'tap';
import { FrameDecoder, type FrameLimits, frameDefaults } from '../../../../lib/wire/http2/decode.ts';
import { decodeFrames, EventLog, eachByte, rawFrame } from '../../../support/http2-frames.ts';

const open = rawFrame(1, 0, 1, '82');

function continuations(count: number, payload: Buffer, last: number): Buffer {
  return Buffer.concat(
    Array.from({ length: count }, (_, index) => rawFrame(9, index === count - 1 ? last : 0, 1, payload)),
  );
}

setFlagsFromString('--expose-gc');
const collectGarbage = runInNewContext('gc') as () => void;

/** Buffers are freed by a later task than the collection that finds them dead. */
async function bufferBytes(): Promise<number> {
  for (let round = 0; round < 5; round += 1) {
    collectGarbage();
    await new Promise<void>(resolve => setImmediate(resolve));
  }
  return process.memoryUsage().arrayBuffers;
}

/** Bytes in buffers that one decoder holds once it was pushed these, of 50. */
async function heldBytes(chunks: readonly Uint8Array[], limits?: FrameLimits): Promise<number> {
  const sink = new EventLog();
  const decoders = Array.from({ length: 50 }, () => new FrameDecoder(sink, limits));
  const before = await bufferBytes();
  for (const decoder of decoders) for (const chunk of chunks) decoder.push(chunk);
  const bytes = (await bufferBytes()) - before;
  // Looked at after the measurement, so that none was collected before.
  if (decoders.some(decoder => decoder.atBoundary)) throw new Error('the frame is over');
  return bytes / decoders.length;
}

t.test('the defaults are 16,384 B a frame, 64 KiB and 16 CONTINUATIONs a header block', async t => {
  t.same(frameDefaults, { maxFrameBytes: 16_384, maxHeaderBlockBytes: 65_536, maxContinuations: 16 });
});

t.test('16 CONTINUATIONs are read, and 16 again; 17 end the connection with ENHANCE_YOUR_CALM', async t => {
  const honest = Buffer.concat([open, continuations(16, Buffer.from([0x86]), 0x4)]);
  const twice = decodeFrames(Buffer.concat([honest, honest]));
  t.equal(twice.error, '');
  t.equal(twice.events.length, 2);
  for (const payload of [Buffer.from([0x86]), Buffer.alloc(0)]) {
    const flood = Buffer.concat([open, continuations(17, payload, 0)]);
    const expected = '11 0: ENHANCE_YOUR_CALM: header block of 17 CONTINUATIONs, limit 16';
    t.equal(decodeFrames(flood).error, expected);
    t.equal(decodeFrames(flood, eachByte(flood)).error, expected);
    t.same(decodeFrames(flood).events, []);
  }
});

t.test('the CONTINUATIONs of 40 blocks are counted block by block', async t => {
  // One frame of each block brings all of it, so that no buffer is needed.
  const split = Buffer.concat([rawFrame(1, 0, 1), rawFrame(9, 0x4, 1, '82')]);
  const { events, error } = decodeFrames(Buffer.concat(Array.from({ length: 40 }, () => split)));
  t.equal(error, '');
  t.equal(events.length, 40);
});

t.test('without the limit a flood of 100,000 empty CONTINUATIONs goes on for ever', async t => {
  const limits = { ...frameDefaults, maxContinuations: Number.POSITIVE_INFINITY };
  const { error, events } = decodeFrames(
    Buffer.concat([open, continuations(100_000, Buffer.alloc(0), 0)]),
    [],
    limits,
  );
  t.equal(error, '');
  t.same(events, []);
});

t.test(
  'a header block of 65,536 B is read, one of 65,537 B is refused before its last frame comes',
  async t => {
    const block = Buffer.alloc(65_536, 0x82);
    const parts = [0, 16_384, 32_768, 49_152].map(at => block.subarray(at, at + 16_384));
    const frames = parts.map((part, index) => rawFrame(index === 0 ? 1 : 9, index === 3 ? 0x4 : 0, 1, part));
    const { events, error } = decodeFrames(Buffer.concat(frames));
    t.equal(error, '');
    t.equal(events[0], `headers 1 [${block.toString('hex')}] false -1`);
    const last = rawFrame(9, 0x4, 1, '82').subarray(0, 9);
    frames[3] = rawFrame(9, 0, 1, parts[3]);
    t.equal(
      decodeFrames(Buffer.concat([...frames, last])).error,
      '11 0: ENHANCE_YOUR_CALM: header block of 65537 bytes, limit 65536',
    );
  },
);

t.test('padding does not count into the header block', async t => {
  const limits = { ...frameDefaults, maxHeaderBlockBytes: 4 };
  t.equal(decodeFrames(rawFrame(1, 0xc, 1, '05 82868441 0000000000'), [], limits).error, '');
  t.match(
    decodeFrames(rawFrame(1, 0xc, 1, '04 8286844100 00000000'), [], limits).error,
    /of 5 bytes, limit 4/,
  );
  t.match(decodeFrames(rawFrame(1, 0x4, 1, '8286844100'), [], limits).error, /of 5 bytes, limit 4/);
});

t.test('a frame may be as long as we announced', async t => {
  const limits = { ...frameDefaults, maxFrameBytes: 20_000 };
  t.equal(decodeFrames(rawFrame(0, 0, 1, Buffer.alloc(20_000)), [], limits).error, '');
  t.match(decodeFrames(rawFrame(0, 0, 1, Buffer.alloc(20_001)), [], limits).error, /limit 20000/);
});

t.test('a frame that announces 16 MiB makes the decoder hold nothing', async t => {
  const limits = { maxFrameBytes: 16_777_215, maxHeaderBlockBytes: 16_777_215, maxContinuations: 16 };
  const headers = rawFrame(1, 0x4, 1);
  headers.writeUIntBE(16_777_215, 0, 3);
  // The header and one byte of the block: a first buffer of 512 B.
  const block = await heldBytes([headers, Buffer.from([0x82])], limits);
  t.ok(block < 1_024, `${block} bytes`);
  const data = rawFrame(0, 0, 1);
  data.writeUIntBE(16_777_215, 0, 3);
  const passing = await heldBytes([data, Buffer.alloc(1_000)], limits);
  t.ok(passing < 512, `${passing} bytes`);
});

t.test('a header block dribbled byte by byte holds at most twice what came', async t => {
  const bytes = rawFrame(1, 0x4, 1, Buffer.alloc(16_000, 0x82)).subarray(0, 9 + 10_000);
  const held = await heldBytes(eachByte(bytes).map(at => bytes.subarray(at, at + 1)));
  t.ok(held >= 10_000 && held < 20_480, `${held} bytes`);
});

t.test('of a GOAWAY 1,024 B of debug data are told, however it is cut', async t => {
  const bytes = rawFrame(7, 0, 0, Buffer.alloc(16_384, 0x61));
  const expected = `goaway 1633771873 1633771873 [${'61'.repeat(1_024)}]`;
  t.same(decodeFrames(bytes).events, [expected]);
  t.same(decodeFrames(bytes, [1_032, 1_040, 9_000]).events, [expected]);
  t.same(decodeFrames(bytes, eachByte(bytes)).events, [expected]);
});

t.test('a PING flood is told frame by frame and holds nothing', async t => {
  const flood = Buffer.concat(Array.from({ length: 1_000 }, () => rawFrame(6, 0, 0, '0102030405060708')));
  t.equal(decodeFrames(flood).events.length, 1_000);
});
