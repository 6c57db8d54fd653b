/** An idle queue keeps no more than this. */
const smallSlabBytes = 2_048;
/** Behind a small one, and behind those: a slab is never much larger than what waits. */
const middleSlabBytes = 16_384;
const largeSlabBytes = 65_536;
/** Slabs that the process keeps for the next who needs one: 1 MiB and 4 MiB. */
const maxFreeSlabs = 64;

/** Slabs that nobody uses just now, by their size. */
const free: Readonly<Record<number, Uint8Array[]>> = { [middleSlabBytes]: [], [largeSlabBytes]: [] };

function takeSlab(bytes: number): Uint8Array {
  return free[bytes]?.pop() ?? Buffer.allocUnsafeSlow(bytes);
}

function giveSlab(slab: Uint8Array): void {
  const slabs = free[slab.byteLength];
  if (slabs !== undefined && slabs.length < maxFreeSlabs) slabs.push(slab);
}

/**
 * Bytes that wait, in order, copied on arrival into slabs that are used again and again: many small chunks become few
 * large ones, nothing larger than they are is pinned, and under load no memory is asked for. Whoever takes a piece says
 * `release` when it has done with it.
 */
export class SlabQueue {
  /** The last one is filled from `#end` on, the first one is read from `#start` on. */
  #slabs: Uint8Array[] = [];
  #start = 0;
  #end = 0;
  #small: Uint8Array | undefined;
  #bytes = 0;
  /** Read to their ends, and not released. */
  #spent: Uint8Array[] = [];
  #inUse = false;

  get byteLength(): number {
    return this.#bytes;
  }

  append(chunk: Uint8Array): void {
    const { byteLength } = chunk;
    if (byteLength > this.#room) this.#widen(byteLength);
    let at = 0;
    while (at < byteLength) {
      const last = this.#slabs.at(-1);
      const slab = last !== undefined && this.#end < last.byteLength ? last : this.#open(byteLength - at);
      const room = Math.min(slab.byteLength - this.#end, byteLength - at);
      slab.set(room === byteLength ? chunk : chunk.subarray(at, at + room), this.#end);
      this.#end += room;
      at += room;
    }
    this.#bytes += byteLength;
  }

  /** The oldest bytes, at most `maxBytes`, in one piece; undefined where there are none. */
  take(maxBytes: number): Uint8Array | undefined {
    const [slab] = this.#slabs;
    if (slab === undefined || this.#bytes === 0) return undefined;
    const end = this.#slabs.length === 1 ? this.#end : slab.byteLength;
    const piece = slab.subarray(this.#start, Math.min(end, this.#start + maxBytes));
    this.#start += piece.byteLength;
    this.#bytes -= piece.byteLength;
    this.#inUse = true;
    if (this.#start === slab.byteLength) this.#spend();
    return piece;
  }

  /** What was taken is not read any more. */
  release(): void {
    this.#inUse = false;
    if (this.#spent.length > 0) this.#giveSpent();
    if (this.#bytes > 0) return;
    const [slab] = this.#slabs;
    if (slab !== undefined && slab !== this.#small) {
      giveSlab(slab);
      this.#slabs = [];
    }
    this.#start = 0;
    this.#end = 0;
  }

  /** Drops all. What was taken may still be read, so its memory is left to the collector. */
  clear(): void {
    for (const [at, slab] of this.#slabs.entries()) if (at > 0 || !this.#inUse) giveSlab(slab);
    this.#slabs = [];
    this.#spent = [];
    this.#small = undefined;
    this.#bytes = 0;
    this.#start = 0;
    this.#end = 0;
  }

  /** Behind the last byte. */
  get #room(): number {
    return (this.#slabs.at(-1)?.byteLength ?? this.#end) - this.#end;
  }

  /** Moves what waits in the last slab, at most 16 KiB, to one with room for more: a piece more would be a write more. */
  #widen(more: number): void {
    const last = this.#slabs.at(-1);
    if (last === undefined || last.byteLength === largeSlabBytes) return;
    this.#slabs.pop();
    const lone = this.#slabs.length === 0;
    const waiting = last.subarray(lone ? this.#start : 0, this.#end);
    const slab = takeSlab(waiting.byteLength + more > middleSlabBytes ? largeSlabBytes : middleSlabBytes);
    slab.set(waiting);
    if (lone && this.#inUse) this.#spent.push(last);
    else giveSlab(last);
    if (lone) this.#start = 0;
    this.#slabs.push(slab);
    this.#end = waiting.byteLength;
  }

  #open(bytes: number): Uint8Array {
    let slab: Uint8Array;
    if (
      this.#slabs.length === 0 &&
      bytes <= smallSlabBytes &&
      !this.#spent.includes(this.#small ?? nothing)
    ) {
      this.#small ??= Buffer.allocUnsafeSlow(smallSlabBytes);
      slab = this.#small;
    } else slab = takeSlab(Math.max(bytes, this.#bytes) > middleSlabBytes ? largeSlabBytes : middleSlabBytes);
    if (this.#slabs.length === 0) this.#start = 0;
    this.#slabs.push(slab);
    this.#end = 0;
    return slab;
  }

  #spend(): void {
    const slab = this.#slabs.shift();
    if (slab !== undefined) this.#spent.push(slab);
    this.#start = 0;
  }

  #giveSpent(): void {
    for (const slab of this.#spent) giveSlab(slab);
    this.#spent = [];
  }
}

const nothing = new Uint8Array(0);
