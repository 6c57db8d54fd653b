import { invariant } from '../../core/errors.ts';
import { BlockWriter } from './block-writer.ts';
import { DynamicTable } from './dynamic-table.ts';
import { type Treatment, treatmentOf } from './field-treatment.ts';
import { defaultTableBytes, type Field, fieldBytes } from './fields.ts';
import { IndexCredit } from './index-credit.ts';
import { firstDynamicIndex, type StaticName, staticNames } from './static-table.ts';

/** Values of one name that go into the table before the first has to return. */
const creditOfName = 16;
/** Names that the static table does not have, likewise. */
const creditOfStrangers = 64;
/** Names that are remembered: more than the table can hold at once (4,096 / 32). */
const maxNames = 256;
/** A larger share of the table than one entry may take: it would push out too much. */
const maxEntryShare = 4;

/** What the encoder knows of a name. */
interface Name {
  readonly treatment: Treatment;
  readonly listed: StaticName | undefined;
  readonly credit: IndexCredit;
  /** Values in the dynamic table, by the number of their entry. */
  values: Map<string, number> | undefined;
  /** Number of the newest entry that has this name, which may have been evicted; -1 before the first. */
  newest: number;
  /** The value met last, and its index in the static table, or else its number in the dynamic one. */
  lastValue: string | undefined;
  lastIndex: number;
  lastNumber: number;
}

/** Of all encoders, since none is left in the middle of a block. */
const writer = new BlockWriter();

/** Header blocks of one direction of one connection, to be sent in the order they were encoded. */
export class HpackEncoder {
  readonly #maxTableBytes: number;
  readonly #table: DynamicTable;
  readonly #names = new Map<string, Name>();
  readonly #strangers = new IndexCredit(creditOfStrangers);
  /** The lowest size since the last block, where the size has changed since. */
  #lowestBytes: number | undefined;
  /** The size that the peer was told of, or begins with. */
  #toldBytes = defaultTableBytes;
  #updates = 0;
  #failed = false;
  readonly #forget = (field: Field): void => {
    this.#names.get(field.name)?.values?.delete(field.value);
  };

  /** `maxTableBytes`: the most we use, whatever the peer allows. */
  constructor(maxTableBytes: number = defaultTableBytes) {
    this.#maxTableBytes = maxTableBytes;
    this.#table = new DynamicTable(Math.min(maxTableBytes, defaultTableBytes));
    this.#noteSize();
  }

  /**
   * Rises whenever another encoding of the same list would come out otherwise: the dynamic table changed, or a size
   * update is due. A block may be sent again only while this is what it was both before and after its encoding.
   */
  get generation(): number {
    return this.#table.generation + this.#updates;
  }

  /** The peer's SETTINGS_HEADER_TABLE_SIZE. Obeyed at once; the next block tells the peer so (RFC 7541 4.2). */
  setPeerTableBytes(bytes: number): void {
    const size = Math.min(bytes, this.#maxTableBytes);
    if (size === this.#table.maxBytes) return;
    this.#table.resize(size, this.#forget);
    this.#noteSize();
  }

  /** Encodes a list in order. The result is a copy that is the caller's. */
  encode(fields: readonly Field[]): Uint8Array {
    invariant(!this.#failed, 'an earlier header list could not be encoded');
    this.#failed = true;
    writer.begin();
    if (this.#lowestBytes !== undefined) this.#writeSizes(this.#lowestBytes);
    for (const field of fields) this.#write(field);
    this.#failed = false;
    return writer.take();
  }

  #noteSize(): void {
    const { maxBytes } = this.#table;
    if (this.#lowestBytes === undefined && maxBytes === this.#toldBytes) return;
    this.#lowestBytes = Math.min(this.#lowestBytes ?? maxBytes, maxBytes);
  }

  /** RFC 7541 4.2: the smallest size that was in force, so that the peer evicts as we did, and the present one. */
  #writeSizes(lowest: number): void {
    const { maxBytes } = this.#table;
    if (lowest < maxBytes && lowest < this.#toldBytes) writer.integer(0x20, 0x1f, lowest);
    writer.integer(0x20, 0x1f, maxBytes);
    this.#toldBytes = maxBytes;
    this.#lowestBytes = undefined;
    this.#updates += 1;
  }

  #write(field: Field): void {
    const name = this.#names.get(field.name) ?? this.#meet(field);
    if (field.sensitive || name?.treatment === 'never') {
      return this.#writeLiteral(field, 0x10, 0x0f, name === undefined ? 0 : this.#nameIndex(name));
    }
    // A name too many: nothing is known of it, and nothing is kept.
    if (name === undefined) return this.#writeLiteral(field, 0x00, 0x0f, 0);
    const index = this.#find(name, field.value);
    if (index > 0) return writer.integer(0x80, 0x7f, index);
    const nameIndex = this.#nameIndex(name);
    if (name.treatment === 'index' && this.#admits(name, field)) this.#insert(name, field, nameIndex);
    else this.#writeLiteral(field, 0x00, 0x0f, nameIndex);
  }

  /** Index of a name and value in either table, or 0. */
  #find(name: Name, value: string): number {
    if (value === name.lastValue) {
      if (name.lastIndex > 0) return name.lastIndex;
      if (name.lastNumber >= this.#table.evicted) return this.#hit(name, name.lastNumber);
    }
    const listed = name.listed?.values.get(value);
    if (listed !== undefined) {
      name.lastValue = value;
      name.lastIndex = listed;
      return listed;
    }
    const number = name.values?.get(value);
    if (number === undefined) return 0;
    this.#remember(name, value, number);
    return this.#hit(name, number);
  }

  #hit(name: Name, number: number): number {
    name.credit.hit();
    if (name.listed === undefined) this.#strangers.hit();
    return this.#indexOf(number);
  }

  #remember(name: Name, value: string, number: number): void {
    name.lastValue = value;
    name.lastIndex = 0;
    name.lastNumber = number;
  }

  #indexOf(number: number): number {
    return firstDynamicIndex + this.#table.inserted - 1 - number;
  }

  /** Index of an entry with this name, or 0. */
  #nameIndex(name: Name): number {
    if (name.listed !== undefined) return name.listed.index;
    return name.newest >= this.#table.evicted ? this.#indexOf(name.newest) : 0;
  }

  #admits(name: Name, field: Field): boolean {
    return fieldBytes(field) * maxEntryShare <= this.#table.maxBytes && name.credit.spend();
  }

  /** RFC 7541 6.2.1. The name's index is that before the insertion (RFC 7541 4.4 lets its entry be evicted by it). */
  #insert(name: Name, field: Field, nameIndex: number): void {
    this.#writeLiteral(field, 0x40, 0x3f, nameIndex);
    this.#table.makeRoom(fieldBytes(field), this.#forget);
    const number = this.#table.insert(field);
    name.values ??= new Map();
    name.values.set(field.value, number);
    name.newest = number;
    this.#remember(name, field.value, number);
  }

  /** RFC 7541 6.2. */
  #writeLiteral(field: Field, pattern: number, mask: number, nameIndex: number): void {
    writer.integer(pattern, mask, nameIndex);
    if (nameIndex === 0) writer.string(field.name);
    writer.string(field.value);
  }

  /** The first field of this name, or the first since it was forgotten. */
  #meet(field: Field): Name | undefined {
    const listed = staticNames.get(field.name);
    const treatment = treatmentOf(field.name);
    // What peers can make up without end has to earn its place.
    const stranger = listed === undefined && treatment === 'index';
    if (stranger && (field.sensitive || !this.#strangers.spend())) return undefined;
    if (this.#names.size >= maxNames) this.#forgetNames();
    const name: Name = {
      treatment,
      listed,
      credit: new IndexCredit(creditOfName),
      values: undefined,
      newest: -1,
      lastValue: undefined,
      lastIndex: 0,
      lastNumber: -1,
    };
    this.#names.set(field.name, name);
    return name;
  }

  /** Drops the names that no entry of the table has. */
  #forgetNames(): void {
    for (const [text, { newest }] of this.#names) {
      if (newest < this.#table.evicted) this.#names.delete(text);
    }
  }
}
