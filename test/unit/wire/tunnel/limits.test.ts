import t from 'tap';
import { maxTargetNameBytes, maxTokenBytes } from '../../../../lib/core/limits.ts';
import { encodeFrame, writeDataHeader } from '../../../../lib/wire/tunnel/encode.ts';
import type { ControlFrame } from '../../../../lib/wire/tunnel/frames.ts';
import {
  keyBytes,
  maxControlBodyBytes,
  maxCredentialBodyBytes,
  maxDataBytes,
  maxIdBytes,
  maxRotationBytes,
  maxStreamId,
  maxTextBytes,
  signatureBytes,
} from '../../../../lib/wire/tunnel/limits.ts';
import { varintBytes, writeVarint } from '../../../../lib/wire/tunnel/varint.ts';
import { decodeAll, encodeData, encodeItem } from '../../../support/tunnel-frames.ts';

function varint(value: number): Buffer {
  const out = Buffer.alloc(varintBytes(value));
  writeVarint(out, 0, value);
  return out;
}

/** A length-delimited field. */
function field(number: number, bytes: Uint8Array): Buffer {
  return Buffer.concat([varint(number * 8 + 2), varint(bytes.byteLength), bytes]);
}

function uintField(number: number, value: number): Buffer {
  return Buffer.concat([varint(number * 8), varint(value)]);
}

/** A frame with this body, whatever is in it. */
function frame(stream: number, number: number, body: Uint8Array): Buffer {
  const inner = Buffer.concat([stream === 0 ? Buffer.alloc(0) : uintField(1, stream), field(number, body)]);
  return Buffer.concat([varint(inner.byteLength), inner]);
}

const zeros = (bytes: number): Buffer => Buffer.alloc(bytes);
const text = (bytes: number): Buffer => Buffer.alloc(bytes, 'x');
const challenge = (rotationBytes: number): Buffer =>
  Buffer.concat([
    field(1, zeros(32)),
    field(2, zeros(32)),
    field(3, zeros(64)),
    field(4, zeros(rotationBytes)),
  ]);

const hello = (extra: Buffer): Buffer =>
  Buffer.concat([field(1, zeros(32)), uintField(2, 1), extra, field(5, zeros(32)), field(6, zeros(64))]);

/** Limit → the frame that just passes, the one that does not, and what is said of it. */
const cases: [string, Buffer, Buffer, string][] = [
  [
    `maxDataBytes ${maxDataBytes}`,
    encodeData(1, zeros(maxDataBytes)),
    frame(1, 15, zeros(maxDataBytes + 1)),
    'data of 65537 bytes, limit 65536',
  ],
  [
    `maxStreamId ${maxStreamId}`,
    frame(maxStreamId, 8, zeros(0)),
    frame(maxStreamId + 1, 8, zeros(0)),
    'stream 2147483648, limit 2147483647',
  ],
  [
    `maxControlBodyBytes ${maxControlBodyBytes}`,
    frame(0, 11, field(20, text(maxControlBodyBytes - 4))),
    frame(0, 11, field(20, text(maxControlBodyBytes - 3))),
    'ping of 4097 bytes, limit 4096',
  ],
  [
    `maxCredentialBodyBytes ${maxCredentialBodyBytes}`,
    frame(0, 18, Buffer.concat([field(1, text(10)), field(20, text(maxCredentialBodyBytes - 17))])),
    frame(0, 18, Buffer.concat([field(1, text(10)), field(20, text(maxCredentialBodyBytes - 16))])),
    'renew of 20481 bytes, limit 20480',
  ],
  [
    `maxTokenBytes ${maxTokenBytes}`,
    frame(0, 3, hello(field(4, text(maxTokenBytes)))),
    frame(0, 3, hello(field(4, text(maxTokenBytes + 1)))),
    'token of 16385 bytes, limit 16384',
  ],
  [
    `maxTargetNameBytes ${maxTargetNameBytes}`,
    frame(1, 5, Buffer.concat([field(1, text(maxTargetNameBytes)), uintField(2, 1)])),
    frame(1, 5, Buffer.concat([field(1, text(maxTargetNameBytes + 1)), uintField(2, 1)])),
    'target of 129 bytes, limit 128',
  ],
  [
    `maxTextBytes ${maxTextBytes}`,
    frame(0, 10, field(2, text(maxTextBytes))),
    frame(0, 10, field(2, text(maxTextBytes + 1))),
    'text of 1025 bytes, limit 1024',
  ],
  [
    `maxIdBytes ${maxIdBytes}`,
    frame(0, 10, field(3, text(maxIdBytes))),
    frame(0, 10, field(3, text(maxIdBytes + 1))),
    'decision of 129 bytes, limit 128',
  ],
  [
    `keyBytes ${keyBytes}`,
    frame(0, 16, field(4, zeros(keyBytes))),
    frame(0, 16, field(4, zeros(keyBytes + 1))),
    'proof of 33 bytes, expected 32',
  ],
  [
    `signatureBytes ${signatureBytes}`,
    frame(0, 3, hello(zeros(0))),
    frame(0, 2, Buffer.concat([field(1, zeros(32)), field(2, zeros(32)), field(3, zeros(65))])),
    'signature of 65 bytes, expected 64',
  ],
  [
    `maxRotationBytes ${maxRotationBytes}`,
    frame(0, 2, challenge(maxRotationBytes)),
    frame(0, 2, challenge(maxRotationBytes + 1)),
    'rotation of 1537 bytes, limit 1536',
  ],
  [
    'integers of 2^53 - 1',
    frame(0, 14, uintField(1, Number.MAX_SAFE_INTEGER)),
    frame(0, 14, Buffer.from('08ffffffffffffff1f', 'hex')),
    'a malformed varint',
  ],
  [
    'uint32 fields of 2^32 - 1',
    frame(0, 16, Buffer.concat([uintField(2, 0xffffffff), field(4, zeros(32))])),
    frame(0, 16, Buffer.concat([uintField(2, 0x100000000), field(4, zeros(32))])),
    'attempt is 4294967296, limit 4294967295',
  ],
];

for (const [limit, good, bad, said] of cases) {
  t.test(`${limit}: the last that fits is read, one more is refused with value and limit`, async t => {
    t.equal(decodeAll(good).error, '');
    t.equal(decodeAll(good).items.length, 1);
    const { items, error } = decodeAll(bad);
    t.match(error, said);
    t.equal(items.length, 0);
    t.match(decodeAll(bad, [1, 2, 3, 4, 5]).error, said, 'cut too');
  });
}

t.test('a frame of 1 GiB is refused at its length, before a byte of it is there', async t => {
  t.match(decodeAll(varint(2 ** 30)).error, 'frame of 1073741824 bytes, limit 65550');
});

t.test('what our own side cannot have meant is an internal error, and nothing is written', async t => {
  const cannot: [number, ControlFrame][] = [
    [0, { type: 'notice', code: 'denied', text: 'x'.repeat(maxTextBytes + 1), decision: '' }],
    [0, { type: 'ping', value: -1 }],
    [0, { type: 'ping', value: 0.5 }],
    [0, { type: 'resume', session: '', attempt: 2 ** 32, received: 0, proof: zeros(32) }],
    [0, { type: 'resume', session: '', attempt: 1, received: 0, proof: zeros(31) }],
    [0, { type: 'notice', code: 'nonsense' as 'done', text: '', decision: '' }],
    [1, { type: 'ping', value: 1 }],
    [0, { type: 'end' }],
  ];
  for (const [stream, frame] of cannot) {
    t.throws(() => encodeFrame(stream, frame), { message: /^internal error: / }, frame.type);
  }
  t.throws(() => writeDataHeader(Buffer.alloc(16), 0, 1, 0), { message: /^internal error: / });
  t.throws(() => writeDataHeader(Buffer.alloc(16), 0, 1, maxDataBytes + 1), { message: /^internal error: / });
  t.ok(encodeItem({ stream: 0, frame: { type: 'ping', value: 1 } }));
});
