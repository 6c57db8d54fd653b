import t from 'tap';
import { FrameDecoder } from '../../../../lib/wire/http2/decode.ts';
import { Http2Error } from '../../../../lib/wire/http2/errors.ts';
import { decodeFrames, EventLog, eachByte, rawFrame } from '../../../support/http2-frames.ts';
import { decodeNaively } from '../../../support/http2-naive.ts';

/** Frames of a type that announce more than they bring: what is refused is refused by its header. */
function announced(length: number, type: number, flags = 0, streamId = 0): Buffer {
  const frame = rawFrame(type, flags, streamId);
  frame.writeUIntBE(length, 0, 3);
  return frame;
}

const open = rawFrame(1, 0, 1, '82');
const join = (...frames: Buffer[]): Buffer => Buffer.concat(frames);

/** What ends the connection: its section of RFC 9113, the bytes, the code, a part of what is said. */
const refused: [section: string, what: string, bytes: Buffer, errorCode: number, said: RegExp][] = [
  ['4.2', 'DATA of 16,385 B', announced(16_385, 0, 0, 1), 6, /DATA of 16385 bytes, limit 16384/],
  ['4.2', 'HEADERS of 16,385 B', announced(16_385, 1, 4, 1), 6, /HEADERS of 16385 bytes, limit 16384/],
  ['4.2', 'an unknown frame of 16 MiB', announced(16_777_215, 99), 6, /frame 0x63 of 16777215 bytes/],
  ['4.2', 'SETTINGS of 16 MiB', announced(16_777_215, 4), 6, /SETTINGS of 16777215 bytes/],
  ['4.2', 'a CONTINUATION of 16,385 B', join(open, announced(16_385, 9, 4, 1)), 6, /CONTINUATION of 16385/],
  ['6.1', 'DATA on stream 0', rawFrame(0, 0, 0, '00'), 1, /DATA on stream 0/],
  ['6.1', 'DATA on stream 0 with the reserved bit', rawFrame(0, 0, 0x80000000), 1, /DATA on stream 0/],
  ['6.1', 'padded DATA of 0 B', rawFrame(0, 0x8, 1), 6, /DATA of 0 bytes, expected at least 1/],
  [
    '6.1',
    'DATA with 5 B of padding in 4 B',
    rawFrame(0, 0x8, 1, '05 00000000'),
    1,
    /5 bytes of padding, 4 are left/,
  ],
  ['6.1', 'DATA with padding and no room', rawFrame(0, 0x8, 1, '01'), 1, /1 bytes of padding, 0 are left/],
  ['6.2', 'HEADERS on stream 0', rawFrame(1, 0x4, 0, '82'), 1, /HEADERS on stream 0/],
  ['6.2', 'padded HEADERS of 0 B', rawFrame(1, 0xc, 1), 6, /HEADERS of 0 bytes, expected at least 1/],
  [
    '6.2',
    'HEADERS with 4 B of priority',
    rawFrame(1, 0x24, 1, '00000000'),
    6,
    /of 4 bytes, expected at least 5/,
  ],
  [
    '6.2',
    'padded HEADERS with 4 B of priority',
    rawFrame(1, 0x2c, 1, '00 00000000'),
    6,
    /of 5 bytes, expected at least 6/,
  ],
  [
    '6.2',
    'HEADERS with 2 B of padding in 1 B',
    rawFrame(1, 0xc, 1, '02 82'),
    1,
    /2 bytes of padding, 1 are left/,
  ],
  [
    '6.2',
    'HEADERS with priority for padding',
    rawFrame(1, 0x2c, 1, '01 00000000 10'),
    1,
    /1 bytes of padding, 0 are left/,
  ],
  [
    '6.2',
    'HEADERS, then DATA',
    join(open, rawFrame(0, 0, 1, '00')),
    1,
    /DATA on stream 1 inside the header block of stream 1/,
  ],
  ['6.2', 'HEADERS, then HEADERS', join(open, rawFrame(1, 0x4, 3, '82')), 1, /HEADERS on stream 3 inside/],
  [
    '6.2',
    'HEADERS, then PRIORITY',
    join(open, rawFrame(2, 0, 1, '00000000 10')),
    1,
    /PRIORITY on stream 1 inside/,
  ],
  [
    '6.2',
    'HEADERS, then PING',
    join(open, rawFrame(6, 0, 0, '0102030405060708')),
    1,
    /PING on stream 0 inside/,
  ],
  [
    '5.5',
    'HEADERS, then an unknown frame',
    join(open, rawFrame(99, 0, 1)),
    1,
    /frame 0x63 on stream 1 inside/,
  ],
  ['6.3', 'PRIORITY on stream 0', rawFrame(2, 0, 0, '00000000 10'), 1, /PRIORITY on stream 0/],
  ['6.4', 'RST_STREAM on stream 0', rawFrame(3, 0, 0, '00000008'), 1, /RST_STREAM on stream 0/],
  ['6.4', 'RST_STREAM of 3 B', rawFrame(3, 0, 1, '000000'), 6, /RST_STREAM of 3 bytes, expected 4/],
  ['6.4', 'RST_STREAM of 5 B', rawFrame(3, 0, 1, '0000000000'), 6, /RST_STREAM of 5 bytes, expected 4/],
  ['6.5', 'SETTINGS on stream 1', rawFrame(4, 0, 1), 1, /SETTINGS on stream 1, expected 0/],
  [
    '6.5',
    'SETTINGS of 7 B',
    rawFrame(4, 0, 0, '00030000006400'),
    6,
    /SETTINGS of 7 bytes, expected a multiple of 6/,
  ],
  [
    '6.5',
    'SETTINGS with ACK of 6 B',
    rawFrame(4, 1, 0, '000300000064'),
    6,
    /of 6 bytes, expected 0 with ACK/,
  ],
  ['6.5.2', 'ENABLE_PUSH of 2', rawFrame(4, 0, 0, '000200000002'), 1, /setting 2 is 2, expected 0 or 1/],
  [
    '6.5.2',
    'a window of 2^31',
    rawFrame(4, 0, 0, '000480000000'),
    3,
    /setting 4 is 2147483648, expected at most/,
  ],
  [
    '6.5.2',
    'frames of 16,383 B',
    rawFrame(4, 0, 0, '000500003fff'),
    1,
    /setting 5 is 16383, expected 16384 to/,
  ],
  [
    '6.5.2',
    'frames of 2^24 B',
    rawFrame(4, 0, 0, '000501000000'),
    1,
    /setting 5 is 16777216, expected 16384 to/,
  ],
  ['RFC 8441', 'ENABLE_CONNECT_PROTOCOL of 2', rawFrame(4, 0, 0, '000800000002'), 1, /setting 8 is 2/],
  ['RFC 9218', 'NO_RFC7540_PRIORITIES of 2', rawFrame(4, 0, 0, '000900000002'), 1, /setting 9 is 2/],
  ['6.6', 'PUSH_PROMISE', rawFrame(5, 4, 1, '00000002 82'), 1, /PUSH_PROMISE on stream 1, push is off/],
  ['6.6', 'PUSH_PROMISE on stream 0', rawFrame(5, 4, 0, '00000002 82'), 1, /PUSH_PROMISE on stream 0/],
  ['6.7', 'PING on stream 1', rawFrame(6, 0, 1, '0102030405060708'), 1, /PING on stream 1, expected 0/],
  ['6.7', 'PING of 6 B', rawFrame(6, 0, 0, '010203040506'), 6, /PING of 6 bytes, expected 8/],
  ['6.8', 'GOAWAY on stream 1', rawFrame(7, 0, 1, '0000000000000000'), 1, /GOAWAY on stream 1, expected 0/],
  ['6.8', 'GOAWAY of 7 B', rawFrame(7, 0, 0, '00000000000000'), 6, /GOAWAY of 7 bytes, expected at least 8/],
  ['6.9', 'WINDOW_UPDATE of 3 B', rawFrame(8, 0, 0, '000001'), 6, /WINDOW_UPDATE of 3 bytes, expected 4/],
  ['6.9', 'WINDOW_UPDATE of 5 B on a stream', rawFrame(8, 0, 1, '0000000100'), 6, /WINDOW_UPDATE of 5 bytes/],
  [
    '6.10',
    'a CONTINUATION that nothing precedes',
    rawFrame(9, 4, 1, '82'),
    1,
    /CONTINUATION on stream 1, no header block is open/,
  ],
  [
    '6.10',
    'a CONTINUATION on stream 0',
    join(open, rawFrame(9, 4, 0, '82')),
    1,
    /CONTINUATION on stream 0 inside/,
  ],
  [
    '6.10',
    'a CONTINUATION of another stream',
    join(open, rawFrame(9, 4, 3, '82')),
    1,
    /CONTINUATION on stream 3 inside/,
  ],
  [
    '6.10',
    'a CONTINUATION behind END_HEADERS',
    join(rawFrame(1, 4, 1, '82'), rawFrame(9, 4, 1, '82')),
    1,
    /no header block is open/,
  ],
  [
    '6.10',
    'a CONTINUATION behind another that ended',
    join(open, rawFrame(9, 4, 1, '82'), rawFrame(9, 4, 1)),
    1,
    /no header block is open/,
  ],
];

const ping = rawFrame(6, 0, 0, '0000000000000001');

for (const [section, what, bytes, errorCode, said] of refused) {
  t.test(`${section}: ${what} ends the connection with ${errorCode}, however it is cut`, async t => {
    const stream = Buffer.concat([ping, bytes]);
    const whole = decodeFrames(stream);
    t.match(whole.error, said);
    t.match(whole.error, new RegExp(`^${errorCode} 0: `));
    t.equal(whole.events[0], 'ping 0000000000000001 false', 'what came before is read');
    t.notOk(whole.atBoundary);
    const naive = decodeNaively(stream);
    t.equal(naive.errorCode, errorCode, 'the naive decoder agrees');
    for (let cut = 0; cut <= stream.byteLength; cut += 1) {
      const { error, events } = decodeFrames(stream, [cut]);
      if (error !== whole.error || events.join() !== whole.events.join()) t.fail(`cut at ${cut}: ${error}`);
    }
    t.equal(decodeFrames(stream, eachByte(stream)).error, whole.error);
  });
}

/** What is the fault of a stream, or none: the decoder goes on. */
const passed: [what: string, bytes: Buffer, event: string][] = [
  ['PRIORITY of 4 B', rawFrame(2, 0, 1, '80000001'), 'stream error 1 6: PRIORITY of 4 bytes, expected 5'],
  ['PRIORITY of 6 B', rawFrame(2, 0, 1, '000000000000'), 'stream error 1 6: PRIORITY of 6 bytes, expected 5'],
  ['PRIORITY of 0 B', rawFrame(2, 0, 1), 'stream error 1 6: PRIORITY of 0 bytes, expected 5'],
  ['PRIORITY on itself', rawFrame(2, 0, 3, '8000000310'), 'stream error 3 1: stream 3 depends on itself'],
  ['HEADERS on itself', rawFrame(1, 0x24, 3, '800000031082'), 'headers 3 [82] false 3'],
  ['WINDOW_UPDATE by 0', rawFrame(8, 0, 3, '80000000'), 'window 3 0'],
  ['ENABLE_PUSH of 1', rawFrame(4, 0, 0, '000200000001'), 'setting 2 1'],
  ['a window of 2^31 - 1', rawFrame(4, 0, 0, '00047fffffff'), 'setting 4 2147483647'],
  ['frames of 16,384 B', rawFrame(4, 0, 0, '000500004000'), 'setting 5 16384'],
  ['frames of 2^24 - 1 B', rawFrame(4, 0, 0, '000500ffffff'), 'setting 5 16777215'],
  ['an unknown setting', rawFrame(4, 0, 0, 'ffffffffffff'), 'setting 65535 4294967295'],
  ['an unknown frame of 16,384 B', rawFrame(99, 0, 0, Buffer.alloc(16_384)), 'unknown 99 0'],
  ['DATA that is padding to its last byte', rawFrame(0, 0x8, 1, '04 00000000'), 'data 1 begin 5'],
  ['HEADERS with padding to its last byte', rawFrame(1, 0xc, 1, '02 0000'), 'headers 1 [] false -1'],
];

for (const [what, bytes, event] of passed) {
  t.test(`${what} does not end the connection`, async t => {
    const { events, error } = decodeFrames(Buffer.concat([bytes, ping]));
    t.equal(error, '');
    t.equal(events[0], event);
    t.equal(events.at(-1), 'ping 0000000000000001 false');
    const cut = Buffer.concat([bytes, ping]);
    if (cut.byteLength < 1_000) t.same(decodeFrames(cut, eachByte(cut)).events, events);
  });
}

t.test('a decoder that has failed stays failed', async t => {
  const decoder = new FrameDecoder(new EventLog());
  t.throws(() => decoder.push(rawFrame(0, 0, 0)), Http2Error);
  t.throws(() => decoder.push(ping), { errorCode: 1, message: /bytes behind a connection error/ });
  t.notOk(decoder.atBoundary);
  t.notOk(decoder.inData);
});

t.test('a decoder whose sink refused stays failed', async t => {
  class Refusing extends EventLog {
    override windowUpdate(streamId: number): void {
      throw new Http2Error(3, 'window of 2147483648 bytes', streamId);
    }
  }
  const log = new Refusing();
  const decoder = new FrameDecoder(log);
  t.throws(() => decoder.push(Buffer.concat([rawFrame(8, 0, 5, '00000001'), ping])), {
    errorCode: 3,
    streamId: 5,
    code: 'protocol',
  });
  t.same(log.events, []);
  t.throws(() => decoder.push(ping), /bytes behind a connection error/);
});

t.test('an error has the code of Lockwire that a log goes by', async t => {
  t.match(new Http2Error(11, 'too much'), {
    code: 'limit',
    streamId: 0,
    message: 'ENHANCE_YOUR_CALM: too much',
  });
  t.match(new Http2Error(1, 'no', 7), { code: 'protocol', streamId: 7, message: 'PROTOCOL_ERROR: no' });
});
