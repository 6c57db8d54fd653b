import fc from 'fast-check';
import t from 'tap';
import { conversationArbitrary, everyFrame } from '../../../support/http2-conversations.ts';
import { decodeFrames, eachByte } from '../../../support/http2-frames.ts';
import { decodeNaively } from '../../../support/http2-naive.ts';

const all = Buffer.concat(everyFrame.map(([, bytes]) => bytes));

for (const [name, bytes] of everyFrame) {
  t.test(`${name}: the same at every cut, and as the naive decoder reads it`, async t => {
    const whole = decodeFrames(bytes);
    const naive = decodeNaively(bytes);
    t.same(whole.events, naive.events);
    t.equal(whole.error, '');
    t.equal(naive.errorCode, -1);
    t.ok(whole.atBoundary);
    for (let first = 0; first <= bytes.byteLength; first += 1) {
      const second = bytes.byteLength > 200 ? bytes.byteLength : first;
      for (let next = second; next <= bytes.byteLength; next += 1) {
        const { events, error, atBoundary } = decodeFrames(bytes, [first, next]);
        if (error !== '' || !atBoundary || events.join() !== whole.events.join()) {
          t.same(events, whole.events, `cut at ${first} and ${next}: ${error}`);
        }
      }
    }
    t.same(decodeFrames(bytes, eachByte(bytes)).events, whole.events);
  });

  t.test(`${name}: no boundary before its last byte`, async t => {
    for (let length = 1; length < bytes.byteLength; length += 1) {
      if (decodeFrames(bytes.subarray(0, length)).atBoundary) t.fail(`a boundary behind byte ${length}`);
    }
    t.ok(decodeFrames(bytes.subarray(0, 0)).atBoundary);
  });
}

t.test('a conversation of every frame, cut at every offset once', async t => {
  const whole = decodeFrames(all);
  t.equal(whole.error, '');
  t.same(whole.events, decodeNaively(all).events);
  for (let cut = 0; cut <= all.byteLength; cut += 1) {
    const { events, error } = decodeFrames(all, [cut]);
    if (error !== '' || events.join() !== whole.events.join()) t.fail(`cut at ${cut}: ${error}`);
  }
  t.same(decodeFrames(all, eachByte(all)).events, whole.events);
});

t.test('500 random conversations, cut at random, are read as by the naive decoder', async t => {
  fc.assert(
    fc.property(
      conversationArbitrary(),
      fc.array(fc.double({ min: 0, max: 1, noNaN: true }), { maxLength: 8 }),
      (bytes, shares) => {
        const cuts = shares.map(share => Math.floor(share * bytes.byteLength)).sort((a, b) => a - b);
        const { events, error, atBoundary } = decodeFrames(bytes, cuts);
        const naive = decodeNaively(bytes);
        t.equal(naive.consumed, bytes.byteLength);
        return error === '' && atBoundary && events.join('\n') === naive.events.join('\n');
      },
    ),
    { numRuns: 500 },
  );
});
