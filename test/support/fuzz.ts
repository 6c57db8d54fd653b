/** What `test/fuzz/run.ts` runs again and again: a file there exports one as `target`. */
export interface FuzzTarget {
  /** One try; a throw is a finding. The same seed does the same again. */
  once(random: Random): void | Promise<void>;
}

/** Works through the items in their order, so many at a time. */
export async function eachAtMost<T>(
  atOnce: number,
  items: readonly T[],
  work: (item: T) => Promise<void>,
): Promise<void> {
  const waiting = [...items];
  const worker = async (): Promise<void> => {
    for (let item = waiting.shift(); item !== undefined; item = waiting.shift()) await work(item);
  };
  await Promise.all(Array.from({ length: atOnce }, worker));
}

/** Seeded and fast (sfc32), good enough to find faults with. */
export class Random {
  #a: number;
  #b: number;
  #c: number;
  #counter = 1;

  constructor(seed: number) {
    this.#a = seed | 0;
    this.#b = 0x9e3779b9;
    this.#c = 0x243f6a88;
    for (let i = 0; i < 12; i += 1) this.#next();
  }

  /** 0 to `below` - 1. */
  int(below: number): number {
    return this.#next() % below;
  }

  chance(probability: number): boolean {
    return this.#next() < probability * 2 ** 32;
  }

  pick<T>(items: readonly T[]): T {
    return items[this.int(items.length)] as T;
  }

  bytes(length: number): Buffer {
    const out = Buffer.allocUnsafe(length);
    for (let i = 0; i < length; i += 1) out[i] = this.#next();
    return out;
  }

  /** Mostly small, now and then anything up to the largest. */
  size(max: number): number {
    const bits = this.int(Math.ceil(Math.log2(max + 1)) + 1);
    return Math.min(max, this.int(2 ** bits));
  }

  #next(): number {
    const sum = (((this.#a + this.#b) | 0) + this.#counter) | 0;
    this.#counter = (this.#counter + 1) | 0;
    this.#a = this.#b ^ (this.#b >>> 9);
    this.#b = (this.#c + (this.#c << 3)) | 0;
    this.#c = ((this.#c << 21) | (this.#c >>> 11)) + sum;
    return sum >>> 0;
  }
}

/** Valid bytes made invalid in one of the usual ways, up to four times. */
export function mutate(random: Random, valid: Buffer): Buffer {
  let bytes: Buffer = Buffer.from(valid);
  for (let left = 1 + random.int(4); left > 0; left -= 1) bytes = mutateOnce(random, bytes);
  return bytes;
}

const interesting = [0, 1, 0x7f, 0x80, 0xff, 0x08, 0x7a];

function mutateOnce(random: Random, bytes: Buffer): Buffer {
  const at = random.int(bytes.byteLength + 1);
  const length = random.size(64);
  switch (random.int(6)) {
    case 0:
      if (at < bytes.byteLength) bytes[at] = random.pick(interesting);
      return bytes;
    case 1:
      if (at < bytes.byteLength) bytes[at] = (bytes[at] as number) ^ (1 << random.int(8));
      return bytes;
    case 2:
      return bytes.subarray(0, at);
    case 3:
      return Buffer.concat([bytes.subarray(0, at), bytes.subarray(at + length)]);
    case 4:
      return Buffer.concat([bytes.subarray(0, at), random.bytes(length), bytes.subarray(at)]);
    default:
      return Buffer.concat([bytes.subarray(0, at), bytes.subarray(Math.max(0, at - length))]);
  }
}
