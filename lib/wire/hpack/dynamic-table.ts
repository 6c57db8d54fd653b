import { type Field, fieldBytes } from './fields.ts';

const firstSlots = 16;

/** The dynamic table (RFC 7541 2.3.2, 4): newest first, bounded in bytes, a ring. */
export class DynamicTable {
  /** A power of two of slots; entry number n, counted from the first ever, is in slot n modulo that. */
  #slots: (Field | undefined)[] = [];
  #inserted = 0;
  #evicted = 0;
  #bytes = 0;
  #maxBytes: number;
  #generation = 0;

  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes;
  }

  /** Rises with each insertion and eviction, and where the size changes. */
  get generation(): number {
    return this.#generation;
  }

  get maxBytes(): number {
    return this.#maxBytes;
  }

  /** Entries that were ever inserted: also the number of the next. */
  get inserted(): number {
    return this.#inserted;
  }

  /** Entries that were ever evicted: also the number of the oldest that is left. */
  get evicted(): number {
    return this.#evicted;
  }

  /** The entry inserted `back` before the newest, if it is still there. */
  at(back: number): Field | undefined {
    if (back >= this.#inserted - this.#evicted) return undefined;
    return this.#slots[(this.#inserted - 1 - back) & (this.#slots.length - 1)];
  }

  /**
   * Evicts from the oldest until `bytes` more find room; false where they never will, and the table is empty
   * (RFC 7541 4.4). What is evicted goes to `evicted`.
   */
  makeRoom(bytes: number, evicted?: (field: Field) => void): boolean {
    while (this.#bytes + bytes > this.#maxBytes && this.#evicted < this.#inserted) {
      const field = this.#evictOldest();
      evicted?.(field);
    }
    return bytes <= this.#maxBytes;
  }

  /** Room was made before. Returns the entry's number. */
  insert(field: Field): number {
    if (this.#inserted - this.#evicted === this.#slots.length) this.#grow();
    this.#slots[this.#inserted & (this.#slots.length - 1)] = field;
    this.#bytes += fieldBytes(field);
    this.#generation += 1;
    this.#inserted += 1;
    return this.#inserted - 1;
  }

  /** RFC 7541 4.3. */
  resize(maxBytes: number, evicted?: (field: Field) => void): void {
    if (maxBytes !== this.#maxBytes) this.#generation += 1;
    this.#maxBytes = maxBytes;
    this.makeRoom(0, evicted);
  }

  #evictOldest(): Field {
    const slot = this.#evicted & (this.#slots.length - 1);
    const field = this.#slots[slot] as Field;
    this.#slots[slot] = undefined;
    this.#bytes -= fieldBytes(field);
    this.#evicted += 1;
    this.#generation += 1;
    return field;
  }

  /** Most connections need few entries; the bytes bound how far this goes. */
  #grow(): void {
    const before = this.#slots;
    const slots = new Array<Field | undefined>(Math.max(firstSlots, before.length * 2)).fill(undefined);
    for (let number = this.#evicted; number < this.#inserted; number += 1) {
      slots[number & (slots.length - 1)] = before[number & (before.length - 1)];
    }
    this.#slots = slots;
  }
}
