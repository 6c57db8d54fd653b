import assert from 'node:assert/strict';
import { type FuzzTarget, mutate, type Random } from '../support/fuzz.ts';
import { decodeMessages, decodeMessagesNaively, grpcMessage } from '../support/grpc-messages.ts';

const maxMessageBytes = 300;

/** Whatever bytes come, however they are cut: what a naive decoder reads from all of them at once. */
export const target: FuzzTarget = {
  once(random) {
    const bytes = input(random);
    const expected = decodeMessagesNaively(bytes, maxMessageBytes);
    const cuts = Array.from({ length: random.int(8) }, () => random.int(bytes.byteLength + 1));
    cuts.sort((a, b) => a - b);
    assert.deepEqual(decodeMessages(bytes, [], maxMessageBytes), expected, 'whole');
    assert.deepEqual(decodeMessages(bytes, cuts, maxMessageBytes), expected, `cut at ${cuts}`);
    assert.deepEqual(decodeMessages(bytes, [...bytes.keys()], maxMessageBytes), expected, 'byte by byte');
  },
};

function input(random: Random): Buffer {
  if (random.chance(0.1)) return random.bytes(random.size(40));
  const messages = Array.from({ length: random.int(6) }, () =>
    grpcMessage(random.bytes(random.size(320)), random.chance(0.3)),
  );
  const body = Buffer.concat(messages);
  return random.chance(0.3) ? body : mutate(random, body);
}
