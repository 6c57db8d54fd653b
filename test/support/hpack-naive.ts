import type { HpackLimits } from '../../lib/wire/hpack/decoder.ts';
import type { Field } from '../../lib/wire/hpack/fields.ts';
import { codeLengths, codes, endOfString } from '../../lib/wire/hpack/huffman-code.ts';
import { staticTable } from '../../lib/wire/hpack/static-table.ts';

const symbols = new Map<string, number>();
for (let symbol = 0; symbol <= endOfString; symbol += 1) {
  const bits = (codes[symbol] as number).toString(2).padStart(codeLengths[symbol] as number, '0');
  symbols.set(bits, symbol);
}

function sizeOf({ name, value }: Field): number {
  return name.length + value.length + 32;
}

/** RFC 7541 read literally: a list for a table, text of 0 and 1 for Huffman's bits, no cache. Any error is an Error. */
export class NaiveDecoder {
  readonly #limits: HpackLimits;
  /** Newest first. */
  readonly table: Field[] = [];
  #maxBytes = 4_096;
  #bytes: number[] = [];

  constructor(limits: HpackLimits) {
    this.#limits = limits;
  }

  /** The fields, or undefined where they pass a limit. */
  decode(block: Uint8Array): Field[] | undefined {
    this.#bytes = [...block];
    const fields: Field[] = [];
    let updates = 0;
    while (this.#bytes.length > 0) {
      const first = this.#bytes[0] as number;
      if (first >= 128) {
        fields.push(this.#lookUp(this.#integer(7)));
      } else if (first >= 64) {
        const field = this.#literal(6, false);
        fields.push(field);
        this.table.unshift(field);
        this.#evict();
      } else if (first >= 32) {
        updates += 1;
        if (updates > 2 || fields.length > 0) throw new Error('size update');
        this.#maxBytes = this.#integer(5);
        if (this.#maxBytes > this.#limits.maxTableBytes) throw new Error('size');
        this.#evict();
      } else {
        fields.push(this.#literal(4, first >= 16));
      }
    }
    return this.#within(fields) ? fields : undefined;
  }

  #within(fields: readonly Field[]): boolean {
    const { maxListBytes, maxFields, maxCrumbs } = this.#limits;
    return (
      fields.length <= maxFields &&
      fields.reduce((sum, field) => sum + sizeOf(field), 0) <= maxListBytes &&
      fields.filter(({ name }) => name === 'cookie').length <= maxCrumbs
    );
  }

  #evict(): void {
    while (this.table.reduce((sum, field) => sum + sizeOf(field), 0) > this.#maxBytes) this.table.pop();
  }

  #literal(prefixBits: number, sensitive: boolean): Field {
    const index = this.#integer(prefixBits);
    const name = index === 0 ? this.#string() : this.#lookUp(index).name;
    return { name, value: this.#string(), sensitive };
  }

  #lookUp(index: number): Field {
    const field = index < 62 ? staticTable[index] : this.table[index - 62];
    if (field === undefined) throw new Error('index');
    return field;
  }

  #byte(): number {
    const byte = this.#bytes.shift();
    if (byte === undefined) throw new Error('end');
    return byte;
  }

  #integer(prefixBits: number): number {
    const mask = 2 ** prefixBits - 1;
    const prefix = this.#byte() & mask;
    if (prefix < mask) return prefix;
    let value = BigInt(mask);
    for (let more = 0n; more < 5n; more += 1n) {
      const byte = this.#byte();
      value += BigInt(byte & 127) << (7n * more);
      if (value >= 2n ** 31n) throw new Error('integer');
      if (byte < 128) return Number(value);
    }
    throw new Error('integer');
  }

  #string(): string {
    const huffman = (this.#bytes[0] ?? 0) >= 128;
    const length = this.#integer(7);
    if (length > this.#bytes.length) throw new Error('end');
    const octets = this.#bytes.splice(0, length);
    return String.fromCharCode(...(huffman ? unhuffman(octets) : octets));
  }
}

function unhuffman(octets: readonly number[]): number[] {
  const found: number[] = [];
  let code = '';
  for (const bit of octets.map(octet => octet.toString(2).padStart(8, '0')).join('')) {
    code += bit;
    const symbol = symbols.get(code);
    if (symbol === undefined) continue;
    if (symbol === endOfString) throw new Error('EOS');
    found.push(symbol);
    code = '';
  }
  if (code.length > 7 || code.includes('0')) throw new Error('padding');
  return found;
}
