import assert from 'node:assert/strict';
import fc from 'fast-check';
import t from 'tap';
import { messages } from '../../../../lib/wire/tunnel/messages.ts';
import {
  decodeAll,
  encodeItem,
  encodeItems,
  FrameCollector,
  frameArbitrary,
  type Item,
  itemArbitrary,
  plain,
  streamArbitrary,
} from '../../../support/tunnel-frames.ts';

for (const message of messages) {
  t.test(`a ${message.type} comes back as it was, with every field at and between its limits`, async t => {
    const stream = message.on === 'session' ? fc.constant(0) : streamArbitrary;
    fc.assert(
      fc.property(stream, frameArbitrary(message), (stream, frame) => {
        const { items, error } = decodeAll(encodeItem({ stream, frame }));
        assert.equal(error, '');
        assert.equal(plain(items), plain([{ stream, frame }]));
      }),
      { numRuns: 40 },
    );
    t.pass('all came back');
  });
}

for (const bytes of [1, 127, 128, 16_383, 16_384, 65_535, 65_536]) {
  t.test(`a data frame of ${bytes} B comes back as it was`, async t => {
    const item: Item = { stream: 77, data: Buffer.alloc(bytes, 'lockwire') };
    t.equal(plain(decodeAll(encodeItem(item)).items), plain([item]));
  });
}

t.test('a capture that is parsed and printed gives the same bytes', async t => {
  fc.assert(
    fc.property(fc.array(itemArbitrary(), { maxLength: 12 }), items => {
      const bytes = encodeItems(items);
      const parsed = decodeAll(bytes);
      assert.equal(parsed.error, '');
      assert.ok(encodeItems(parsed.items).equals(bytes));
    }),
    { numRuns: 100 },
  );
  t.pass('each of them');
});

/** One of each kind, so that every kind of header and body is cut at each of its bytes. */
const oneOfEach: Item[] = [
  ...messages.map((message, index) => {
    const short = frameArbitrary(message).filter(frame => JSON.stringify(frame).length < 2_000);
    const [frame] = fc.sample(short, { numRuns: 1, seed: 1_000 + index });
    return { stream: message.on === 'session' ? 0 : 300, frame: frame! };
  }),
  { stream: 1, data: Buffer.from('x') },
  { stream: 0x7fffffff, data: Buffer.alloc(200, 'ab') },
];

t.test('every frame cut in two at every byte is the same frame', async t => {
  for (const item of oneOfEach) {
    const bytes = encodeItem(item);
    for (let cut = 0; cut <= bytes.byteLength; cut += 1) {
      const { items, error } = decodeAll(bytes, [cut]);
      assert.equal(error, '', `cut at ${cut}`);
      assert.equal(plain(items), plain([item]), `cut at ${cut}`);
    }
    t.pass(`${bytes.byteLength} cuts of ${'data' in item ? 'data' : item.frame.type}`);
  }
});

t.test('a whole capture byte by byte, and cut anywhere into three, is the same frames', async t => {
  const bytes = encodeItems(oneOfEach);
  const each = Array.from({ length: bytes.byteLength }, (_, index) => index);
  t.equal(plain(decodeAll(bytes, each).items), plain(oneOfEach));
  fc.assert(
    fc.property(fc.nat(bytes.byteLength), fc.nat(bytes.byteLength), (a, b) => {
      const { items } = decodeAll(bytes, a < b ? [a, b] : [b, a]);
      assert.equal(plain(items), plain(oneOfEach));
    }),
    { numRuns: 60 },
  );
});

t.test(
  'received counts the encoded bytes of sequenced frames, and of each only once it is whole',
  async t => {
    const collector = new FrameCollector();
    const ping = encodeItem({ stream: 0, frame: { type: 'ping', value: 9 } });
    const end = encodeItem({ stream: 3, frame: { type: 'end' } });
    const data = encodeItem({ stream: 3, data: Buffer.alloc(1000) });
    collector.push(ping);
    t.equal(collector.decoder.received, 0, 'a ping is not sequenced');
    collector.push(end);
    t.equal(collector.decoder.received, end.byteLength);
    collector.push(data.subarray(0, 999));
    t.equal(collector.decoder.received, end.byteLength);
    t.equal(collector.decoder.atBoundary, false);
    collector.push(data.subarray(999));
    t.equal(collector.decoder.received, end.byteLength + data.byteLength);
    t.equal(collector.decoder.atBoundary, true);
  },
);

t.test('a decoder that is stopped inside a frame reads no further', async t => {
  const collector = new FrameCollector();
  const end = { stream: 3, frame: { type: 'end' } } as const;
  const stopping = new FrameCollector();
  collector.push(encodeItems([end, end]));
  t.equal(collector.items.length, 2);
  stopping.decoder.stop();
  stopping.push(encodeItems([end, end]));
  t.equal(stopping.items.length, 0);
});
