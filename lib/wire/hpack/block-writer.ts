import { invariant } from '../../core/errors.ts';
import { huffmanBytes, writeHuffman } from './huffman-encode.ts';

const firstBytes = 4_096;
/** A block that needed more gives its room back. */
const keptBytes = 65_536;
/** An integer of 31 bits: the prefix and five more. */
const maxIntegerBytes = 6;

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
    const coded = huffmanBytes(text);
    invariant(coded >= 0, 'a header field with a character that is no byte');
    if (coded < length) {
      this.integer(0x80, 0x7f, coded);
      this.#reserve(coded);
      this.#at = writeHuffman(text, this.#bytes, this.#at);
      return;
    }
    this.integer(0, 0x7f, length);
    this.#reserve(length);
    const bytes = this.#bytes;
    for (let i = 0; i < length; i += 1) bytes[this.#at + i] = text.charCodeAt(i);
    this.#at += length;
  }

  #reserve(more: number): void {
    const wanted = this.#at + more;
    if (wanted <= this.#bytes.length) return;
    const larger = new Uint8Array(Math.max(wanted, this.#bytes.length * 2));
    larger.set(this.#bytes.subarray(0, this.#at));
    this.#bytes = larger;
  }
}
