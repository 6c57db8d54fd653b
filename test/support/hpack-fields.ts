import { HpackDecoder, HpackError, type HpackLimits, hpackDefaults } from '../../lib/wire/hpack/decoder.ts';
import type { Field } from '../../lib/wire/hpack/fields.ts';

export function field(name: string, value: string, sensitive = false): Field {
  return { name, value, sensitive };
}

/** `name: value` each, and a `!` before what is sensitive. */
export function lines(fields: readonly Field[]): string[] {
  return fields.map(({ name, value, sensitive }) => `${sensitive ? '!' : ''}${name}: ${value}`);
}

/** Fields from lines as `lines` makes them. */
export function fieldsOf(...all: readonly string[]): Field[] {
  return all.map(text => {
    const sensitive = text.startsWith('!');
    const colon = text.indexOf(': ', 2);
    return field(text.slice(sensitive ? 1 : 0, colon), text.slice(colon + 2), sensitive);
  });
}

/** Octets from hex with spaces. */
export function octets(...hex: readonly string[]): Buffer {
  return Buffer.from(hex.join('').replaceAll(/\s/g, ''), 'hex');
}

/** A field by its index, 1 to 254 (RFC 7541 6.1). */
function indexed(index: number): Uint8Array {
  return index < 127 ? Uint8Array.of(0x80 | index) : Uint8Array.of(0xff, index - 127);
}

/** An integer behind a pattern (RFC 7541 5.1), written the slow way. */
function integer(pattern: number, prefixBits: number, value: number): Buffer {
  const mask = 2 ** prefixBits - 1;
  if (value < mask) return Buffer.of(pattern | value);
  const bytes = [pattern | mask];
  let rest = value - mask;
  for (; rest >= 128; rest = Math.floor(rest / 128)) bytes.push((rest % 128) + 128);
  return Buffer.of(...bytes, rest);
}

/** A string without Huffman's code. */
function plain(text: string): Buffer {
  return Buffer.concat([integer(0, 7, text.length), Buffer.from(text, 'latin1')]);
}

/** A literal with a new name; `pattern` 0x40 goes into the table, 0x00 does not, 0x10 never may. */
export function literal(pattern: number, name: string, value: string): Buffer {
  return Buffer.concat([Buffer.of(pattern), plain(name), plain(value)]);
}

/** The dynamic table after some blocks, newest first, read as a peer would: index by index until there is none. */
export function tableAfter(blocks: readonly Uint8Array[], limits: HpackLimits = hpackDefaults): Field[] {
  const found: Field[] = [];
  for (;;) {
    const decoder = new HpackDecoder(limits);
    for (const block of blocks) decoder.decode(block);
    try {
      found.push(...decoder.decode(indexed(62 + found.length)).fields);
    } catch (error) {
      // A decoder that failed is of no more use, so that each index has its own.
      if (error instanceof HpackError) return found;
      throw error;
    }
  }
}
