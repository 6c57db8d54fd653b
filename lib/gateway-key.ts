import type { InstanceKey } from './core/ports.ts';
import type { HeldKey } from './store/instance-key.ts';
import type { KeyRotation, Store } from './store/store.ts';
import { encodeRotations, keyFingerprint, rotationMessage } from './tunnel/rotation.ts';

/** The gateway's key and the former ones that vouch for it. */
export class GatewayKey {
  readonly #held: HeldKey;
  readonly #store: Store;
  #current: InstanceKey;
  #rotation: Uint8Array;

  constructor(held: HeldKey, store: Store) {
    this.#held = held;
    this.#store = store;
    this.#current = held;
    this.#rotation = encodeRotations(chainTo(held.publicKey, store.rotations()));
  }

  /** To be taken once a handshake: what signs its Challenge signs its Welcome. */
  get current(): InstanceKey {
    return this.#current;
  }

  /** As a Challenge brings it. */
  get rotation(): Uint8Array {
    return this.#rotation;
  }

  /** SHA-256, hex. */
  get fingerprint(): string {
    return keyFingerprint(this.#current.publicKey);
  }

  /**
   * Makes another key that the one before signed; handshakes from now on use it. The statement is on disk before the
   * key is: after a crash in between the old key is still the one, and a statement for a key that nobody has.
   */
  rotate(): void {
    const former = this.#current;
    this.#current = this.#held.replace(next =>
      this.#store.addRotation({
        formerKey: former.publicKey,
        nextKey: next.publicKey,
        signature: former.sign(rotationMessage(former.publicKey, next.publicKey)),
      }),
    );
    this.#rotation = encodeRotations(chainTo(this.#current.publicKey, this.#store.rotations()));
  }
}

/** The statements that lead to this key, oldest first; what leads elsewhere is left out. */
function chainTo(key: Uint8Array, rotations: readonly KeyRotation[]): KeyRotation[] {
  const chain: KeyRotation[] = [];
  let wanted = Buffer.from(key);
  for (const rotation of [...rotations].reverse()) {
    if (!wanted.equals(rotation.nextKey)) continue;
    chain.unshift(rotation);
    wanted = Buffer.from(rotation.formerKey);
  }
  return chain;
}
