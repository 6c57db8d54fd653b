import { generateKeyPairSync, sign } from 'node:crypto';
import t from 'tap';
import {
  encodeRotations,
  followsFrom,
  keyFingerprint,
  type Rotation,
  rotationMessage,
} from '../../../lib/tunnel/rotation.ts';
import { maxRotationBytes, maxRotations, rotationEntryBytes } from '../../../lib/wire/tunnel/limits.ts';

function makeKey() {
  const { publicKey, privateKey } = generateKeyPairSync('ed25519');
  return {
    public: new Uint8Array(publicKey.export({ format: 'der', type: 'spki' }).subarray(-32)),
    sign: (message: Uint8Array) => new Uint8Array(sign(null, message, privateKey)),
  };
}

type Key = ReturnType<typeof makeKey>;

function rotate(keys: readonly Key[]): Rotation[] {
  return keys.slice(0, -1).map((key, i) => ({
    formerKey: key.public,
    signature: key.sign(rotationMessage(key.public, keys[i + 1]!.public)),
  }));
}

t.test(
  'a client that pinned any of 4 keys follows to the last; one that pinned another does not',
  async t => {
    const keys = [makeKey(), makeKey(), makeKey(), makeKey()];
    const rotation = encodeRotations(rotate(keys));
    const last = keys[3]!.public;
    for (const key of keys) t.ok(followsFrom(key.public, rotation, last));
    t.notOk(followsFrom(makeKey().public, rotation, last), 'a stranger');
    t.notOk(followsFrom(last, rotation, keys[0]!.public), 'nothing leads back');
    t.notOk(followsFrom(keys[0]!.public, rotation, makeKey().public), 'to a key that nobody signed');
  },
);

t.test('every bit of every signature from the pinned key on counts', async t => {
  const keys = [makeKey(), makeKey(), makeKey()];
  const rotation = encodeRotations(rotate(keys));
  const last = keys[2]!.public;
  for (let at = 0; at < rotation.byteLength; at += 7) {
    const forged = Uint8Array.from(rotation);
    forged[at]! ^= 1;
    if (followsFrom(keys[0]!.public, forged, last)) t.fail(`byte ${at}`);
  }
  const forged = Uint8Array.from(rotation);
  forged[40]! ^= 1;
  t.ok(followsFrom(keys[1]!.public, forged, last), 'what comes before the pinned key proves nothing to it');
  t.notOk(followsFrom(keys[0]!.public, rotation.subarray(0, -1), last), '191 B');
  t.notOk(followsFrom(keys[0]!.public, new Uint8Array(0), last), 'none at all');
});

t.test('of 20 rotations a Challenge brings the newest 16, 1,536 B', async t => {
  const keys = Array.from({ length: 21 }, makeKey);
  const rotation = encodeRotations(rotate(keys));
  t.equal(rotation.byteLength, maxRotationBytes);
  t.equal(maxRotationBytes, maxRotations * rotationEntryBytes);
  t.notOk(followsFrom(keys[3]!.public, rotation, keys[20]!.public), 'pinned 17 rotations ago');
  t.ok(followsFrom(keys[4]!.public, rotation, keys[20]!.public), 'pinned 16 rotations ago');
});

t.test('a fingerprint is the SHA-256 of the raw key', async t => {
  t.equal(
    keyFingerprint(new Uint8Array(32)),
    '66687aadf862bd776c8fc18b8e9f8e20089714856ee233b3902a591d0d5f2925',
  );
});
