import { createHash } from 'node:crypto';
import { keyBytes, maxRotations, rotationEntryBytes } from '../wire/tunnel/limits.ts';
import { verifyProof } from './proof.ts';

/**
 * How a gateway's key is followed by another: the former key signs the one after it. A client that pinned any of the
 * former keys follows the signatures to the key that the Challenge proves. `docs/tunnel.md`, "The gateway's key".
 */

/** A former key, and its signature over the key that followed it. */
export interface Rotation {
  /** 32 bytes. */
  readonly formerKey: Uint8Array;
  /** 64 bytes, over `rotationMessage`. */
  readonly signature: Uint8Array;
}

/** What the former key signs. */
export function rotationMessage(formerKey: Uint8Array, nextKey: Uint8Array): Uint8Array {
  return Buffer.concat([Buffer.from('lockwire/1 rotation\0'), formerKey, nextKey]);
}

/** Oldest first, as a Challenge brings them; of more than it can bring, the newest. */
export function encodeRotations(rotations: readonly Rotation[]): Uint8Array {
  return Buffer.concat(
    rotations.slice(-maxRotations).flatMap(({ formerKey, signature }) => [formerKey, signature]),
  );
}

/** Whether the signatures lead from the pinned key to the one that is shown. */
export function followsFrom(pinned: Uint8Array, rotation: Uint8Array, shown: Uint8Array): boolean {
  if (Buffer.from(pinned).equals(shown)) return true;
  if (rotation.byteLength % rotationEntryBytes !== 0) return false;
  const entries: Rotation[] = [];
  for (let at = 0; at < rotation.byteLength; at += rotationEntryBytes) {
    const entry = rotation.subarray(at, at + rotationEntryBytes);
    entries.push({ formerKey: entry.subarray(0, keyBytes), signature: entry.subarray(keyBytes) });
  }
  const from = entries.findIndex(({ formerKey }) => Buffer.from(pinned).equals(formerKey));
  if (from < 0) return false;
  // Each signature is checked by the key before it, the first by the pinned one: nothing is believed unproven.
  return entries.slice(from).every(({ formerKey, signature }, i, chain) => {
    const next = chain[i + 1]?.formerKey ?? shown;
    return verifyProof(formerKey, rotationMessage(formerKey, next), signature);
  });
}

/** SHA-256 of a raw Ed25519 key, hex: how keys are named to people. */
export function keyFingerprint(key: Uint8Array): string {
  return createHash('sha256').update(key).digest('hex');
}
