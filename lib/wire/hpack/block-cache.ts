/** Blocks that are looked up: what is longer costs more to hash than it saves. */
export const maxCachedBlockBytes = 1_024;
/** Sets of two: a block has two places, so that made collisions cost their maker a decoding and nothing else. */
const sets = 128;
export const maxCachedBlocks: number = sets * 2;
/** What all that is kept may cost, by the caller's reckoning. */
export const maxCacheCost = 262_144;
/** Of a longer block a part is hashed, evenly spread. */
const maxHashedBytes = 256;
/** Up to this a loop is faster than a call into C++. */
const compareByHandBelow = 64;

interface Entry<V> {
  readonly hash: number;
  readonly bytes: Uint8Array;
  readonly value: V;
  readonly cost: number;
}

/** What blocks of bytes were decoded to: the two used last of those that share a set. */
export class BlockCache<V> {
  #entries: (Entry<V> | undefined)[] | undefined;
  #cost = 0;
  /** Blocks that came since one was found. */
  #strange = 0;
  /** By set, the hash of a block that was let pass. */
  #passed: Int32Array | undefined;

  get(block: Uint8Array, hash: number): V | undefined {
    const entries = this.#entries;
    if (entries === undefined) return undefined;
    const first = (hash & (sets - 1)) * 2;
    const entry = entries[first];
    if (entry !== undefined && isOf(entry, block, hash)) {
      this.#strange = 0;
      return entry.value;
    }
    const other = entries[first + 1];
    if (other === undefined || !isOf(other, block, hash)) return undefined;
    entries[first] = other;
    entries[first + 1] = entry;
    this.#strange = 0;
    return other.value;
  }

  /**
   * Keeps a copy of `block`, which is not there yet; `cost` is more than 0. Where as many blocks as there are places
   * came and none of them again, keeping them costs more than it saves: then a block is kept when it comes twice.
   */
  set(block: Uint8Array, hash: number, value: V, cost: number): void {
    if (cost > maxCacheCost || this.#letsPass(hash)) return;
    if (this.#cost + cost > maxCacheCost) this.clear();
    this.#entries ??= new Array<Entry<V> | undefined>(maxCachedBlocks).fill(undefined);
    const entries = this.#entries;
    const first = (hash & (sets - 1)) * 2;
    this.#cost += cost - (entries[first + 1]?.cost ?? 0);
    entries[first + 1] = entries[first];
    entries[first] = { hash, bytes: new Uint8Array(block), value, cost };
  }

  #letsPass(hash: number): boolean {
    this.#strange += 1;
    if (this.#strange <= maxCachedBlocks) return false;
    this.#passed ??= new Int32Array(sets);
    const at = hash & (sets - 1);
    if (this.#passed[at] === hash) return false;
    this.#passed[at] = hash;
    return true;
  }

  clear(): void {
    if (this.#cost === 0) return;
    this.#entries?.fill(undefined);
    this.#cost = 0;
  }
}

function isOf<V>(entry: Entry<V>, block: Uint8Array, hash: number): boolean {
  const { bytes } = entry;
  if (entry.hash !== hash || bytes.length !== block.length) return false;
  if (block.length >= compareByHandBelow) return Buffer.compare(bytes, block) === 0;
  for (let at = 0; at < block.length; at += 1) if (bytes[at] !== block[at]) return false;
  return true;
}

/**
 * Four bytes a step, and of a block of more than 256 B every so many only. It need not withstand anybody: blocks that
 * share a hash share two places (see `sets`).
 */
export function hashBlock(block: Uint8Array): number {
  const { length } = block;
  const stride = 4 * Math.ceil(length / maxHashedBytes);
  let hash = length;
  let at = 0;
  for (; at + 4 <= length; at += stride) {
    const word =
      (block[at] as number) |
      ((block[at + 1] as number) << 8) |
      ((block[at + 2] as number) << 16) |
      ((block[at + 3] as number) << 24);
    hash = Math.imul(hash ^ word, 0x9e3779b1);
    hash ^= hash >>> 15;
  }
  for (; at < length; at += 1) {
    hash = Math.imul(hash ^ (block[at] as number), 0x9e3779b1);
    hash ^= hash >>> 15;
  }
  return hash;
}
