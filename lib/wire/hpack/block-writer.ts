import { invariant } from '../../core/errors.ts';
import { huffmanBytes, writeHuffman } from './huffman-encode.ts';

const firstBytes = 4_096;
/** A block that needed more gives its room back. */
const keptBytes = 65_536;
/** An integer of 31 bits: the prefix and five more. */
const maxIntegerBytes = 6;

/** Up to this a loop is faster than a call into C++. */
const writeByHandBelow = 24;
const notLatin1 = /[\u0100-\uffff]/;
const notOctets = 'a header field with a character that is no byte';
// The method that Buffer's own write calls.
const latin1Write = (
  Buffer.prototype as unknown as {
    latin1Write(this: Uint8Array, text: string, offset: number, length: number): number;
  }
).latin1Write;

/** Writes integers and strings (RFC 7541 5) one after another. */
export class BlockWriter {
  #bytes: Uint8Array = new Uint8Array(firstBytes);
  #at = 0;

  /** Begins a block; what was left of another is dropped. */
  begin(): void {
    this.#at = 0;
  }

  /** The block, a copy that is the caller's. */
  take(): Uint8Array {
    const block = this.#bytes.slice(0, this.#at);
    if (this.#bytes.length > keptBytes) this.#bytes = new Uint8Array(firstBytes);
    return block;
  }

  /** RFC 7541 5.1: `pattern` are the bits above the prefix, `mask` those of the prefix. */
  integer(pattern: number, mask: number, value: number): void {
    this.#reserve(maxIntegerBytes);
    const bytes = this.#bytes;
    if (value < mask) {
      bytes[this.#at] = pattern | value;
      this.#at += 1;
      return;
    }
    bytes[this.#at] = pattern | mask;
    this.#at += 1;
    let rest = value - mask;
    for (; rest >= 0x80; rest >>>= 7) {
      bytes[this.#at] = (rest & 0x7f) | 0x80;
      this.#at += 1;
    }
    bytes[this.#at] = rest;
    this.#at += 1;
  }

  /** RFC 7541 5.2: in Huffman's code where that is shorter. */
  string(text: string): void {
    const { length } = text;
    // The octets stand first behind where the coded string will end at the latest, and are coded from there.
    const maxHeadBytes = maxIntegerBytes + length;
    this.#reserve(maxHeadBytes + length);
    const start = this.#at + maxHeadBytes;
    const end = start + length;
    this.#octets(text, start);
    const coded = huffmanBytes(this.#bytes, start, end);
    if (coded < length) {
      this.integer(0x80, 0x7f, coded);
      this.#at = writeHuffman(this.#bytes, start, end, this.#bytes, this.#at);
      return;
    }
    this.integer(0, 0x7f, length);
    this.#bytes.copyWithin(this.#at, start, end);
    this.#at += length;
  }

  #octets(text: string, at: number): void {
    const { length } = text;
    if (length >= writeByHandBelow) {
      // What is written would be cut to its low byte. A string that holds one byte a character is not searched.
      invariant(!notLatin1.test(text), notOctets);
      latin1Write.call(this.#bytes, text, at, length);
      return;
    }
    const bytes = this.#bytes;
    let all = 0;
    for (let i = 0; i < length; i += 1) {
      const octet = text.charCodeAt(i);
      all |= octet;
      bytes[at + i] = octet;
    }
    invariant(all <= 0xff, notOctets);
  }

  #reserve(more: number): void {
    const wanted = this.#at + more;
    if (wanted <= this.#bytes.length) return;
    const larger = new Uint8Array(Math.max(wanted, this.#bytes.length * 2));
    larger.set(this.#bytes.subarray(0, this.#at));
    this.#bytes = larger;
  }
}
