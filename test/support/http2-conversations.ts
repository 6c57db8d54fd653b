import fc from 'fast-check';
import { rawFrame } from './http2-frames.ts';

/** Frames in hex, so that a test shows what is on the wire: one of each type, and of each way that it may be written. */
export const everyFrame: readonly (readonly [name: string, bytes: Buffer])[] = [
  ['DATA of 5 B', rawFrame(0, 0, 1, '0102030405')],
  ['DATA of 5 B with END_STREAM', rawFrame(0, 0x1, 1, '0102030405')],
  ['empty DATA', rawFrame(0, 0, 1)],
  ['empty DATA with END_STREAM', rawFrame(0, 0x1, 1)],
  ['DATA of 2 B and 3 B of padding', rawFrame(0, 0x9, 3, '03 aabb 000000')],
  ['DATA of padding only', rawFrame(0, 0x8, 3, '02 0000')],
  ['DATA of a Pad Length only', rawFrame(0, 0x8, 3, '00')],
  ['HEADERS', rawFrame(1, 0x4, 5, '828684')],
  ['HEADERS with END_STREAM', rawFrame(1, 0x5, 5, '828684')],
  ['empty HEADERS', rawFrame(1, 0x5, 5)],
  ['HEADERS with padding', rawFrame(1, 0xc, 5, '02 828684 0000')],
  ['HEADERS with priority', rawFrame(1, 0x24, 5, '80000003 10 828684')],
  ['HEADERS with padding and priority', rawFrame(1, 0x2d, 5, '04 00000003 10 828684 00000000')],
  ['HEADERS that depends on itself', rawFrame(1, 0x24, 5, '00000005 10 828684')],
  [
    'HEADERS and two CONTINUATIONs',
    Buffer.concat([rawFrame(1, 0x1, 5, '82'), rawFrame(9, 0, 5, '8684'), rawFrame(9, 0x4, 5, '41')]),
  ],
  [
    'padded HEADERS, an empty and a full CONTINUATION',
    Buffer.concat([rawFrame(1, 0x8, 5, '01 82 00'), rawFrame(9, 0, 5), rawFrame(9, 0x4, 5, '8684')]),
  ],
  ['HEADERS ended by an empty CONTINUATION', Buffer.concat([rawFrame(1, 0, 5, '8286'), rawFrame(9, 0x4, 5)])],
  [
    'empty HEADERS and one CONTINUATION with all',
    Buffer.concat([rawFrame(1, 0, 5), rawFrame(9, 0x4, 5, '828684')]),
  ],
  ['PRIORITY', rawFrame(2, 0, 7, '80000005 ff')],
  ['PRIORITY of 4 B', rawFrame(2, 0, 7, '80000005')],
  ['PRIORITY of 0 B', rawFrame(2, 0, 7)],
  ['PRIORITY that depends on itself', rawFrame(2, 0, 7, '80000007 ff')],
  ['RST_STREAM', rawFrame(3, 0, 7, '00000008')],
  ['SETTINGS of three', rawFrame(4, 0, 0, '0003 00000064  0004 0000ffff  fff0 ffffffff')],
  ['SETTINGS of none', rawFrame(4, 0, 0)],
  ['SETTINGS with ACK', rawFrame(4, 0x1, 0)],
  ['PING', rawFrame(6, 0, 0, '0102030405060708')],
  ['PING with ACK', rawFrame(6, 0x1, 0, '0102030405060708')],
  ['GOAWAY', rawFrame(7, 0, 0, '8000000b 0000000b')],
  ['GOAWAY with debug data', rawFrame(7, 0, 0, '0000000b 00000000 63616c6d')],
  ['GOAWAY with 1,030 B of debug data', rawFrame(7, 0, 0, Buffer.alloc(1_038, 7))],
  ['WINDOW_UPDATE of the connection', rawFrame(8, 0, 0, '80000001')],
  ['WINDOW_UPDATE of a stream', rawFrame(8, 0, 7, '7fffffff')],
  ['WINDOW_UPDATE by 0', rawFrame(8, 0, 7, '00000000')],
  ['a frame of an unknown type', rawFrame(0x16, 0xff, 9, '0102030405')],
  ['an empty frame of an unknown type', rawFrame(0xff, 0xff, 0)],
  ['PING with unknown flags and the reserved bit', rawFrame(6, 0xfe, 0x80000000, '0102030405060708')],
  ['RST_STREAM with unknown flags and the reserved bit', rawFrame(3, 0xff, 0x80000007, '00000008')],
];

/** Any frame that may stand alone, with every flag that has a meaning and some that have none. */
function frameArbitrary(): fc.Arbitrary<Buffer> {
  const stream = fc.oneof(fc.constantFrom(1, 2, 3, 0x7fffffff), fc.integer({ min: 1, max: 0x7fffffff }));
  const bytes = (max: number): fc.Arbitrary<Buffer> =>
    fc.uint8Array({ maxLength: max }).map(array => Buffer.from(array));
  const padded = fc
    .tuple(fc.boolean(), fc.nat({ max: 255 }), bytes(300), bytes(5), fc.boolean())
    .map(([wanted, padding, body, priority, prioritised]) => {
      const first = prioritised
        ? Buffer.concat([priority, Buffer.alloc(5 - priority.length)])
        : Buffer.alloc(0);
      return {
        flags: (wanted ? 0x8 : 0) | (prioritised ? 0x20 : 0),
        data: wanted ? Buffer.concat([Buffer.from([padding]), body, Buffer.alloc(padding)]) : body,
        headers: wanted
          ? Buffer.concat([Buffer.from([padding]), first, body, Buffer.alloc(padding)])
          : Buffer.concat([first, body]),
      };
    });
  const extra = fc.constantFrom(0, 0x1, 0x40, 0x80);
  const data = fc
    .tuple(stream, padded, extra)
    .map(([id, { flags, data }, more]) => rawFrame(0, (flags & 0x8) | more, id, data));
  const headers = fc
    .tuple(stream, padded, extra, fc.array(bytes(40), { maxLength: 4 }))
    .map(([id, { flags, headers }, more, rest]) =>
      Buffer.concat([
        rawFrame(1, flags | more | (rest.length === 0 ? 0x4 : 0), id, headers),
        ...rest.map((part, index) => rawFrame(9, index === rest.length - 1 ? 0x4 : 0, id, part)),
      ]),
    );
  const settings = fc
    .array(fc.tuple(fc.constantFrom(1, 3, 6, 7, 0xffff), fc.nat({ max: 0xffffffff })), { maxLength: 5 })
    .map(pairs => {
      const payload = Buffer.alloc(pairs.length * 6);
      for (const [index, [id, value]] of pairs.entries()) {
        payload.writeUInt16BE(id, index * 6);
        payload.writeUInt32BE(value, index * 6 + 2);
      }
      return rawFrame(4, 0, 0, payload);
    });
  const goaway = bytes(40).map(debug => rawFrame(7, 0, 0, Buffer.concat([Buffer.alloc(8, 1), debug])));
  const unknown = fc
    .tuple(fc.integer({ min: 10, max: 255 }), stream, bytes(60))
    .map(([type, id, payload]) => rawFrame(type, 0xff, id, payload));
  const fixed = fc.constantFrom(...everyFrame.map(([, frame]) => frame));
  return fc.oneof({ arbitrary: data, weight: 4 }, headers, headers, settings, goaway, unknown, fixed);
}

/** Up to eight frames, back to back. */
export function conversationArbitrary(): fc.Arbitrary<Buffer> {
  return fc.array(frameArbitrary(), { minLength: 1, maxLength: 8 }).map(frames => Buffer.concat(frames));
}
