import t from 'tap';
import { FrameDecoder } from '../../../../lib/wire/tunnel/decode.ts';
import { decodeAll, encodeItem } from '../../../support/tunnel-frames.ts';

/** What is no frame, in hex, and a part of what is said of it. A valid Ping stands before each. */
const corpus: [string, string, RegExp][] = [
  ['a frame of no bytes', '00', /frame of 0 bytes/],
  ['a frame of one byte', '01 42', /frame of 1 bytes/],
  ['a length that is not minimal', '8400 0803 4200', /malformed varint/],
  ['a length without end', 'ffffffffffffffff01', /malformed varint/],
  ['a header that never comes to its end', 'ffff03 08ffffffff07 ffffffffffffff', /more than 14 bytes/],
  ['stream 0 written out', '04 0800 4200', /stream 0/],
  ['a stream number that is not minimal', '05 088100 4200', /malformed varint/],
  ['stream behind the body', '04 4200 0803', /disagree/],
  ['two streams', '06 0803 0803 4200', /disagree/],
  ['two bodies', '06 0803 4200 4200', /disagree/],
  ['no body', '02 0803', /a frame of 2 bytes ends in its header/],
  ['a body longer than its frame', '04 0803 4201', /disagree/],
  ['a body shorter than its frame', '05 0803 4200 00', /disagree/],
  ['a tag that is not minimal', '05 0803 c200 00', /malformed varint/],
  ['an unknown body', '05 0803 aa0100', /tag 170/],
  ['a body as a varint', '04 0803 4000', /tag 64/],
  ['a group', '04 0803 4300', /tag 67/],
  ['data on stream 0', '03 7a01 00', /data on stream 0/],
  ['data of no bytes', '04 0803 7a00', /data of 0 bytes/],
  ['End on the session', '02 4200', /end on stream 0/],
  ['Ping on a stream', '04 0803 5a00', /ping on stream 3/],
  ['Open without ingress', '04 0803 2a00', /ingress is missing/],
  ['an unknown ingress', '06 0803 2a02 1009', /ingress 9 is unknown/],
  ['an unknown close code', '06 0803 4a02 0863', /code 99 is unknown/],
  ['text that is not UTF-8', '08 0803 4a04 1202 c328', /text is not UTF-8/],
  ['a surrogate in UTF-8', '09 0803 4a05 1203 eda080', /text is not UTF-8/],
  ['a string as a varint', '06 0803 4a02 1001', /text has the wrong wire type/],
  ['an integer as bytes', '06 0803 3a02 0a00', /limit has the wrong wire type/],
  ['a field that passes its body', '07 0803 4a03 1205 78', /a field of 5 bytes, 1 are left/],
  ['a field of fixed width', '09 0803 4205 1d01020304', /wire type 5/],
  ['a field number 0', '06 0803 4202 0001', /tag 0/],
  ['a varint cut by its body', '05 0803 3a01 08', /malformed varint/],
  ['a Challenge without a signature', '02 1200', /nonce is missing/],
];

const ping = encodeItem({ stream: 0, frame: { type: 'ping', value: 1 } });

for (const [name, hex, said] of corpus) {
  t.test(`${name} is refused, however it is cut`, async t => {
    const bytes = Buffer.concat([ping, Buffer.from(hex.replaceAll(' ', ''), 'hex')]);
    const whole = decodeAll(bytes);
    t.match(whole.error, said);
    t.equal(whole.items.length, 1, 'what came before is read');
    for (let cut = 0; cut <= bytes.byteLength; cut += 1) {
      const { error, items } = decodeAll(bytes, [cut]);
      if (error !== whole.error || items.length !== 1) t.fail(`cut at ${cut}: ${error}`);
    }
    const each = Array.from({ length: bytes.byteLength }, (_, index) => index);
    t.equal(decodeAll(bytes, each).error, whole.error);
  });
}

t.test('a decoder that has failed stays failed', async t => {
  const decoder = new FrameDecoder({ data() {}, frame() {} });
  t.throws(() => decoder.push(Buffer.from([0])), { code: 'protocol' });
  t.throws(() => decoder.push(ping), {
    code: 'protocol',
    message: 'bytes after a malformed frame',
  });
  t.equal(decoder.received, 0);
});
