import t from 'tap';
import {
  goawayFrame,
  headersFrames,
  maxGoawayTextBytes,
  pingFrame,
  rstStreamFrame,
  settingsAck,
  settingsFrame,
  windowUpdateFrame,
  writeFrameHeader,
} from '../../../../lib/wire/http2/encode.ts';
import { errorName, Flag, FrameType, frameName, preface } from '../../../../lib/wire/http2/frames.ts';
import { decodeFrames, eachByte, rawFrame } from '../../../support/http2-frames.ts';

const opaque = Buffer.from('0102030405060708', 'hex');
const block = Buffer.from('828684418cf1e3c2e5f23a6ba0ab90f4ff', 'hex');
const blockHex = block.toString('hex');

/** A frame of ours and what its reader is told. */
const written: [string, Uint8Array, string[]][] = [
  [
    'SETTINGS of three',
    settingsFrame([
      [1, 0],
      [4, 0x7fffffff],
      [0xfff0, 0xffffffff],
    ]),
    ['setting 1 0', 'setting 4 2147483647', 'setting 65520 4294967295', 'settings end'],
  ],
  ['SETTINGS of none', settingsFrame([]), ['settings end']],
  ['the SETTINGS acknowledgement', settingsAck(), ['settings ack']],
  ['PING', pingFrame(opaque, false), ['ping 0102030405060708 false']],
  ['the PING answer', pingFrame(opaque, true), ['ping 0102030405060708 true']],
  ['RST_STREAM', rstStreamFrame(0x7fffffff, 8), ['reset 2147483647 8']],
  ['RST_STREAM with an unknown code', rstStreamFrame(3, 0xfffffffe), ['reset 3 4294967294']],
  ['WINDOW_UPDATE of a stream', windowUpdateFrame(5, 0x7fffffff), ['window 5 2147483647']],
  ['WINDOW_UPDATE of the connection', windowUpdateFrame(0, 1), ['window 0 1']],
  ['GOAWAY', goawayFrame(0x7fffffff, 11, 'calm'), ['goaway 2147483647 11 [63616c6d]']],
  ['GOAWAY without text', goawayFrame(0, 0, ''), ['goaway 0 0 []']],
  ['HEADERS', headersFrames(1, block, false, 16_384), [`headers 1 [${blockHex}] false -1`]],
  ['HEADERS with END_STREAM', headersFrames(1, block, true, 16_384), [`headers 1 [${blockHex}] true -1`]],
  ['HEADERS and CONTINUATIONs of 5 B', headersFrames(9, block, true, 5), [`headers 9 [${blockHex}] true -1`]],
  ['HEADERS of an empty block', headersFrames(9, new Uint8Array(0), true, 16_384), ['headers 9 [] true -1']],
];

for (const [name, bytes, events] of written) {
  t.test(`${name} is read as it was written, cut before each byte too`, async t => {
    const expected = { events, error: '', atBoundary: true, slices: 0 };
    t.same(decodeFrames(bytes), expected);
    t.same(decodeFrames(bytes, eachByte(bytes)), expected);
  });
}

t.test('a header of a frame is 9 bytes: length, type, flags, stream', async t => {
  const out = Buffer.alloc(12, 0xee);
  t.equal(writeFrameHeader(out, 2, 0x123456, FrameType.headers, 0x25, 0x12345678), 11);
  t.equal(out.toString('hex'), 'eeee' + '123456' + '01' + '25' + '12345678' + 'ee');
});

t.test('HEADERS of 17 B in frames of 5 B are one HEADERS and three CONTINUATIONs', async t => {
  const expected = Buffer.concat([
    rawFrame(FrameType.headers, Flag.endStream, 9, block.subarray(0, 5)),
    rawFrame(FrameType.continuation, 0, 9, block.subarray(5, 10)),
    rawFrame(FrameType.continuation, 0, 9, block.subarray(10, 15)),
    rawFrame(FrameType.continuation, Flag.endHeaders, 9, block.subarray(15)),
  ]);
  t.equal(Buffer.from(headersFrames(9, block, true, 5)).toString('hex'), expected.toString('hex'));
});

t.test('a block that fills its frame to the byte needs no CONTINUATION', async t => {
  t.equal(headersFrames(1, block, false, 17).byteLength, 9 + 17);
  t.equal(headersFrames(1, block, false, 16).byteLength, 9 + 16 + 9 + 1);
});

t.test('the text of a GOAWAY is cut at 256 bytes', async t => {
  t.equal(goawayFrame(1, 1, 'x'.repeat(maxGoawayTextBytes)).byteLength, 9 + 8 + 256);
  t.equal(goawayFrame(1, 1, 'x'.repeat(maxGoawayTextBytes + 1)).byteLength, 9 + 8 + 256);
});

t.test('what our side cannot mean is an internal error', async t => {
  t.throws(() => windowUpdateFrame(1, 0), /internal error: WINDOW_UPDATE by 0/);
  t.throws(() => windowUpdateFrame(1, 2 ** 31), /internal error: WINDOW_UPDATE by 2147483648/);
  t.throws(() => windowUpdateFrame(2 ** 31, 1), /internal error: stream 2147483648/);
  t.throws(() => rstStreamFrame(0, 1), /internal error: RST_STREAM on stream 0/);
  t.throws(() => pingFrame(new Uint8Array(7), false), /internal error: PING of 7 bytes/);
  t.throws(() => settingsFrame([[1, -1]]), /internal error: setting 1 of -1/);
  t.throws(() => headersFrames(0, block, true, 16_384), /internal error: HEADERS on stream 0/);
  t.throws(() => headersFrames(1, block, true, 0), /internal error: frames of 0 bytes/);
});

t.test('the preface is that of RFC 9113 section 3.4', async t => {
  t.equal(Buffer.from(preface).toString('hex'), '505249202a20485454502f322e300d0a0d0a534d0d0a0d0a');
});

t.test('codes and types have their names, unknown ones their number', async t => {
  t.equal(errorName(0), 'NO_ERROR');
  t.equal(errorName(11), 'ENHANCE_YOUR_CALM');
  t.equal(errorName(13), 'HTTP_1_1_REQUIRED');
  t.equal(errorName(14), '0xe');
  t.equal(frameName(9), 'CONTINUATION');
  t.equal(frameName(16), 'frame 0x10');
});
