import { codeLengths, codes } from './huffman-code.ts';

/** Longest code that is written in one go: with 15 bits held, 32 are not passed. */
const shortBits = 15;
/** By octet, the code and below it, in 4 bits, its length; 0 where the code is longer than `shortBits`. */
const shortCodes = Uint32Array.from({ length: 256 }, (_, octet) => {
  const bits = codeLengths[octet] as number;
  return bits > shortBits ? 0 : ((codes[octet] as number) << 4) | bits;
});

/** Bytes that `source[start..end)` takes in Huffman's code. */
export function huffmanBytes(source: Uint8Array, start: number, end: number): number {
  let bits = 0;
  for (let at = start; at < end; at += 1) bits += codeLengths[source[at] as number] as number;
  return (bits + 7) >>> 3;
}

/** Writes `source[start..end)` at `offset` of `into`, padded with ones (RFC 7541 5.2); returns the offset behind it. */
export function writeHuffman(
  source: Uint8Array,
  start: number,
  end: number,
  into: Uint8Array,
  offset: number,
): number {
  let at = offset;
  let held = 0;
  let bits = 0;
  for (let from = start; from < end; from += 1) {
    const octet = source[from] as number;
    const short = shortCodes[octet] as number;
    if (short !== 0) {
      held = (held << (short & 0xf)) | (short >>> 4);
      bits += short & 0xf;
    } else {
      // 20 to 30 bits, in two parts. Nobody sends many of these.
      const low = 15;
      const high = (codeLengths[octet] as number) - low;
      held = (held << high) | ((codes[octet] as number) >>> low);
      bits += high;
      if (bits >= 16) {
        bits -= 16;
        into[at] = held >>> (bits + 8);
        into[at + 1] = held >>> bits;
        at += 2;
      }
      held = (held << low) | ((codes[octet] as number) & 0x7fff);
      bits += low;
    }
    if (bits >= 16) {
      bits -= 16;
      into[at] = held >>> (bits + 8);
      into[at + 1] = held >>> bits;
      at += 2;
    }
  }
  if (bits >= 8) {
    bits -= 8;
    into[at] = held >>> bits;
    at += 1;
  }
  if (bits === 0) return at;
  into[at] = (held << (8 - bits)) | (0xff >>> bits);
  return at + 1;
}
