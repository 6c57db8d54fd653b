/** Base-128 varints (protobuf's encoding), as exact JavaScript integers: up to 2^53 - 1. */

export function varintBytes(value: number): number {
  if (value < 0x80) return 1;
  if (value < 0x4000) return 2;
  if (value < 0x200000) return 3;
  if (value < 0x10000000) return 4;
  let bytes = 5;
  for (let rest = Math.floor(value / 0x800000000); rest > 0; rest = Math.floor(rest / 0x80)) bytes += 1;
  return bytes;
}

/** Writes at `offset`; returns the offset behind it. */
export function writeVarint(target: Uint8Array, offset: number, value: number): number {
  let at = offset;
  let rest = value;
  while (rest >= 0x10000000) {
    target[at] = (rest % 0x80) | 0x80;
    rest = Math.floor(rest / 0x80);
    at += 1;
  }
  while (rest >= 0x80) {
    target[at] = (rest & 0x7f) | 0x80;
    rest >>>= 7;
    at += 1;
  }
  target[at] = rest;
  return at + 1;
}

/** Not all of the varint is there yet. */
export const varintShort: -1 = -1;
/** Longer than 2^53 - 1 needs, or not in its shortest form. */
export const varintBad: -2 = -2;

/** Where the last varint that was read ends. */
export interface VarintEnd {
  next: number;
}

/** Reads one varint from `source[offset..end)`: its value, or `varintShort`, or `varintBad`. */
export function readVarint(source: Uint8Array, offset: number, end: number, at: VarintEnd): number {
  let value = 0;
  let scale = 1;
  for (let i = offset; i < end; i += 1) {
    const byte = source[i] as number;
    value += (byte & 0x7f) * scale;
    if (byte < 0x80) {
      const overlong = byte === 0 && i > offset;
      if (overlong || value > Number.MAX_SAFE_INTEGER) return varintBad;
      at.next = i + 1;
      return value;
    }
    if (i - offset === 7) return varintBad;
    scale *= 0x80;
  }
  return varintShort;
}
