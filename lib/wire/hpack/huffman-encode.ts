import { codeLengths, codes } from './huffman-code.ts';

/** Bytes that `text` takes in Huffman's code, or -1 where a character is none of Latin-1. */
export function huffmanBytes(text: string): number {
  let bits = 0;
  let all = 0;
  for (let at = 0; at < text.length; at += 1) {
    const octet = text.charCodeAt(at);
    all |= octet;
    bits += codeLengths[octet & 0xff] as number;
  }
  return all > 0xff ? -1 : (bits + 7) >>> 3;
}

/** Writes `text` at `offset`, padded with ones (RFC 7541 5.2); returns the offset behind it. */
export function writeHuffman(text: string, into: Uint8Array, offset: number): number {
  let at = offset;
  let held = 0;
  let bits = 0;
  for (let i = 0; i < text.length; i += 1) {
    const octet = text.charCodeAt(i);
    const code = codes[octet] as number;
    let length = codeLengths[octet] as number;
    if (length > 16) {
      // The longest code is of 30 bits, and 7 may be held: too many for one number of 32.
      length -= 16;
      held = (held << length) | (code >>> 16);
      bits += length;
      length = 16;
      while (bits >= 8) {
        bits -= 8;
        into[at] = held >>> bits;
        at += 1;
      }
    }
    held = (held << length) | (code & 0xffff);
    bits += length;
    while (bits >= 8) {
      bits -= 8;
      into[at] = held >>> bits;
      at += 1;
    }
  }
  if (bits === 0) return at;
  into[at] = (held << (8 - bits)) | (0xff >>> bits);
  return at + 1;
}
