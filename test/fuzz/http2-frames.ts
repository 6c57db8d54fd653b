import assert from 'node:assert/strict';
import fc from 'fast-check';
import { type FuzzTarget, mutate, type Random } from '../support/fuzz.ts';
import { conversationArbitrary } from '../support/http2-conversations.ts';
import { type Decoded, decodeFrames, eachByte, rawFrame } from '../support/http2-frames.ts';
import { decodeNaively } from '../support/http2-naive.ts';

const valid = fc.sample(conversationArbitrary(), { numRuns: 300, seed: 1 });
/** Small, so that a try gets beyond them. */
const limits = { maxFrameBytes: 600, maxHeaderBlockBytes: 400, maxContinuations: 3 };

/**
 * Whatever bytes come, however they are cut: the same events and the same Http2Error, and those of the naive decoder.
 */
export const target: FuzzTarget = {
  once(random) {
    const bytes = input(random);
    const whole = decodeFrames(bytes, [], limits);
    const cuts = Array.from({ length: random.int(6) }, () => random.int(bytes.byteLength + 1));
    same(
      decodeFrames(
        bytes,
        cuts.sort((a, b) => a - b),
        limits,
      ),
      whole,
      `cut at ${cuts}`,
    );
    if (bytes.byteLength < 2_000) same(decodeFrames(bytes, eachByte(bytes), limits), whole, 'byte by byte');
    agree(bytes, whole);
  },
};

function same(cut: Decoded, whole: Decoded, how: string): void {
  assert.deepEqual(cut.events, whole.events, how);
  assert.equal(cut.error, whole.error, how);
  assert.equal(cut.atBoundary, whole.atBoundary, how);
}

function agree(bytes: Buffer, whole: Decoded): void {
  const naive = decodeNaively(bytes, limits);
  assert.equal(Number(whole.error.split(' ')[0] || -1), naive.errorCode, whole.error);
  // Of a frame that is cut off the naive decoder tells nothing, and of one that is refused not its beginning.
  const read = decodeFrames(bytes.subarray(0, naive.consumed), [], limits);
  assert.equal(read.error, '');
  assert.deepEqual(
    read.events,
    naive.errorCode < 0 ? naive.events : naive.events.slice(0, read.events.length),
  );
}

/** Lengths in a frame's header are rarely right by chance: half of the tries make frames of random fields. */
function input(random: Random): Buffer {
  const kind = random.int(10);
  if (kind === 0) return random.bytes(random.size(300));
  if (kind < 5) return Buffer.concat(Array.from({ length: 1 + random.int(6) }, () => oddFrame(random)));
  const conversation = Buffer.concat(Array.from({ length: 1 + random.int(3) }, () => random.pick(valid)));
  return kind === 5 ? conversation : mutate(random, conversation);
}

/** A frame whose length is its payload's, all else as it falls. */
function oddFrame(random: Random): Buffer {
  const payload = random.bytes(random.pick([0, 0, 1, 4, 5, 6, 8, 12, random.size(700)]));
  // Padding and settings that may be right.
  if (random.chance(0.7) && payload.byteLength > 1)
    payload.fill(0, 0, Math.min(payload.byteLength, 1 + random.int(6)));
  const flags = random.pick([0, 0x1, 0x4, 0x5, 0x8, 0xc, 0x20, 0x24, 0x2d, random.int(256)]);
  const stream = random.pick([0, 1, 1, 1, 3, 0x80000001, random.int(2 ** 31)]);
  return rawFrame(random.int(11), flags, stream, payload);
}
