import { LockwireError } from '../../core/errors.ts';
import { BlockCache, hashBlock, maxCachedBlockBytes } from './block-cache.ts';
import { DynamicTable } from './dynamic-table.ts';
import { defaultTableBytes, type Field, fieldBytes, fieldOverheadBytes } from './fields.ts';
import { decodeHuffman } from './huffman-decode.ts';
import { firstDynamicIndex, staticTable } from './static-table.ts';

export interface HpackLimits {
  /** Of the dynamic table: the SETTINGS_HEADER_TABLE_SIZE that we announce. */
  readonly maxTableBytes: number;
  /** Of a decoded list: name, value and 32 for each field (RFC 9113 6.5.2). */
  readonly maxListBytes: number;
  readonly maxFields: number;
  /** `cookie` fields, into which a cookie may be cut (RFC 9113 8.2.3). */
  readonly maxCrumbs: number;
}

export const hpackDefaults: HpackLimits = {
  maxTableBytes: defaultTableBytes,
  maxListBytes: 65_536,
  maxFields: 128,
  maxCrumbs: 32,
};

/** RFC 7541 5.1 asks for a limit: of the value, and of the bytes after the first, which may be padded with zeros. */
const maxInteger = 0x7fff_ffff;
const maxContinuationBytes = 5;
/** The lowest size since the last block, and the present one (RFC 7541 4.2). */
const maxSizeUpdates = 2;
/** What the cache reckons: for a block itself, and per field beyond its bytes a pointer, and an object where it is a literal. */
const cachedBlockCost = 128;
const cachedFieldCost = 48;

/** What one header block said. */
export class HeaderBlock {
  readonly fields: readonly Field[];
  /** Set where a limit was passed: the table stayed in step, the fields were dropped. */
  readonly refused: string | undefined;
  /** For the owner: what it worked out about these fields. */
  memo: unknown;

  constructor(fields: readonly Field[], refused?: string) {
    this.fields = fields;
    this.refused = refused;
    this.memo = undefined;
  }
}

/** A compression error: the connection is to be closed with COMPRESSION_ERROR (RFC 9113 4.3). */
export class HpackError extends LockwireError {
  constructor(message: string) {
    super('protocol', `malformed header block: ${message}`);
    this.name = 'HpackError';
  }
}

const nothing = new Uint8Array(0);
/** Of all decoders, since none is left in the middle of a block. */
let scratch: Uint8Array = nothing;
// The method that Buffer's own toString calls, without the copy of a view's header.
const latin1Slice = (
  Buffer.prototype as unknown as { latin1Slice(this: Uint8Array, start: number, end: number): string }
).latin1Slice;

/** Header blocks of one direction of one connection, in the order they came. */
export class HpackDecoder {
  readonly #limits: HpackLimits;
  readonly #table: DynamicTable;
  /** Good for `#cacheGeneration`. */
  readonly #cache = new BlockCache<HeaderBlock>();
  #cacheGeneration = 0;
  #failed = false;
  /** The longest string that a table or a list has room for; of longer ones only the length matters. */
  readonly #maxStringBytes: number;

  // The block that is being decoded.
  #source: Uint8Array = nothing;
  #at = 0;
  #fields: Field[] = [];
  #count = 0;
  #listBytes = 0;
  #crumbs = 0;
  #over = false;
  /** Length of the last string, decoded. */
  #stringBytes = 0;

  constructor(limits: HpackLimits = hpackDefaults) {
    this.#limits = limits;
    // Until the peer has heard of our limit it goes by the default, and then begins with an update (RFC 7541 4.2).
    this.#table = new DynamicTable(defaultTableBytes);
    this.#maxStringBytes = Math.max(limits.maxListBytes, limits.maxTableBytes, defaultTableBytes);
    if (scratch.length < this.#maxStringBytes) scratch = new Uint8Array(this.#maxStringBytes);
  }

  /** Rises whenever the dynamic table changed: an insertion, an eviction, another size. */
  get generation(): number {
    return this.#table.generation;
  }

  /**
   * Decodes one whole block; `block` is not kept. The same bytes give the same HeaderBlock as long as the table did
   * not change and the cache has it. Throws HpackError, and from then on always.
   */
  decode(block: Uint8Array): HeaderBlock {
    if (this.#failed) throw new HpackError('an earlier one was malformed');
    if (block.length > maxCachedBlockBytes) return this.#decode(block);
    const before = this.#table.generation;
    if (this.#cacheGeneration !== before) {
      this.#cache.clear();
      this.#cacheGeneration = before;
    }
    const hash = hashBlock(block);
    const known = this.#cache.get(block, hash);
    if (known !== undefined) return known;
    const decoded = this.#decode(block);
    // One that changed the table must change it again when it comes again.
    if (this.#table.generation === before) {
      const cost = cachedBlockCost + block.length * 3 + decoded.fields.length * cachedFieldCost;
      this.#cache.set(block, hash, decoded, cost);
    }
    return decoded;
  }

  #decode(block: Uint8Array): HeaderBlock {
    this.#failed = true;
    this.#source = block;
    this.#at = 0;
    this.#count = 0;
    this.#listBytes = 0;
    this.#crumbs = 0;
    this.#over = false;
    this.#sizeUpdates();
    while (this.#at < block.length) this.#next();
    const decoded = new HeaderBlock(this.#fields, this.#over ? this.#refusal() : undefined);
    this.#fields = [];
    this.#source = nothing;
    this.#failed = false;
    return decoded;
  }

  /** RFC 7541 4.2: only at the start, the smallest size first. */
  #sizeUpdates(): void {
    let updates = 0;
    while (this.#at < this.#source.length && ((this.#source[this.#at] as number) & 0xe0) === 0x20) {
      updates += 1;
      if (updates > maxSizeUpdates) throw new HpackError(`${updates} size updates, limit ${maxSizeUpdates}`);
      this.#at += 1;
      const bytes = this.#integer(this.#source[this.#at - 1] as number, 0x1f);
      const limit = this.#limits.maxTableBytes;
      if (bytes > limit) throw new HpackError(`a table of ${bytes} bytes, limit ${limit}`);
      this.#table.resize(bytes);
    }
  }

  /** RFC 7541 6, by the first bits. */
  #next(): void {
    const first = this.#source[this.#at] as number;
    this.#at += 1;
    if (first >= 0x80) this.#add(this.#fieldAt(this.#integer(first, 0x7f)));
    else if (first >= 0x40) this.#indexedLiteral(first);
    else if (first < 0x20) this.#literal(first);
    else throw new HpackError('a size update behind a field');
  }

  /** RFC 7541 6.2.1: a literal that goes into the table. */
  #indexedLiteral(first: number): void {
    const name = this.#name(first, 0x3f, true);
    const nameBytes = this.#stringBytes;
    const value = this.#string(true);
    const bytes = nameBytes + this.#stringBytes + fieldOverheadBytes;
    const field: Field = { name, value, sensitive: false };
    if (this.#table.makeRoom(bytes)) this.#table.insert(field);
    this.#take(field, bytes);
  }

  /** RFC 7541 6.2.2, 6.2.3: a literal that does not, and one that never may. */
  #literal(first: number): void {
    const name = this.#name(first, 0x0f, !this.#over);
    const nameBytes = this.#stringBytes;
    const value = this.#string(!this.#over);
    const bytes = nameBytes + this.#stringBytes + fieldOverheadBytes;
    this.#take({ name, value, sensitive: first >= 0x10 }, bytes);
  }

  #name(first: number, mask: number, wanted: boolean): string {
    const index = this.#integer(first, mask);
    if (index === 0) return this.#string(wanted);
    const { name } = this.#fieldAt(index);
    this.#stringBytes = name.length;
    return name;
  }

  #add(field: Field): void {
    this.#take(field, fieldBytes(field));
  }

  /** Counts a field, and keeps it while the list is within its limits. */
  #take(field: Field, bytes: number): void {
    this.#count += 1;
    this.#listBytes += bytes;
    if (field.name === 'cookie') this.#crumbs += 1;
    if (this.#over) return;
    const { maxListBytes, maxFields, maxCrumbs } = this.#limits;
    if (this.#listBytes > maxListBytes || this.#count > maxFields || this.#crumbs > maxCrumbs) {
      this.#over = true;
      this.#fields = [];
      return;
    }
    this.#fields.push(field);
  }

  #refusal(): string {
    const { maxListBytes, maxFields, maxCrumbs } = this.#limits;
    if (this.#listBytes > maxListBytes)
      return `a header list of ${this.#listBytes} bytes, limit ${maxListBytes}`;
    if (this.#count > maxFields) return `a header list of ${this.#count} fields, limit ${maxFields}`;
    return `${this.#crumbs} cookie fields, limit ${maxCrumbs}`;
  }

  /** RFC 7541 2.3.3. */
  #fieldAt(index: number): Field {
    const field = index < firstDynamicIndex ? staticTable[index] : this.#table.at(index - firstDynamicIndex);
    if (field !== undefined) return field;
    const last = firstDynamicIndex - 1 + this.#table.inserted - this.#table.evicted;
    throw new HpackError(`index ${index}, the tables end at ${last}`);
  }

  /** RFC 7541 5.1; `first` was read. */
  #integer(first: number, mask: number): number {
    let value = first & mask;
    if (value < mask) return value;
    let scale = 1;
    for (let bytes = 0; bytes < maxContinuationBytes; bytes += 1) {
      if (this.#at >= this.#source.length) throw new HpackError('it ends in an integer');
      const byte = this.#source[this.#at] as number;
      this.#at += 1;
      value += (byte & 0x7f) * scale;
      if (value > maxInteger) throw new HpackError(`integer ${value}, limit ${maxInteger}`);
      if (byte < 0x80) return value;
      scale *= 0x80;
    }
    throw new HpackError(`an integer of more than ${maxContinuationBytes + 1} bytes`);
  }

  /** RFC 7541 5.2. Its length goes to `#stringBytes`; '' where it is not wanted or too long for anything. */
  #string(wanted: boolean): string {
    const source = this.#source;
    if (this.#at >= source.length) throw new HpackError('it ends before a string');
    const first = source[this.#at] as number;
    this.#at += 1;
    const length = this.#integer(first, 0x7f);
    const start = this.#at;
    const end = start + length;
    if (end > source.length)
      throw new HpackError(`a string of ${length} bytes, ${source.length - start} are left`);
    this.#at = end;
    if (first >= 0x80) return this.#huffman(start, end, wanted);
    this.#stringBytes = length;
    return wanted && length <= this.#maxStringBytes ? latin1Slice.call(source, start, end) : '';
  }

  #huffman(start: number, end: number, wanted: boolean): string {
    const count = decodeHuffman(this.#source, start, end, scratch);
    if (count < 0) throw new HpackError("a string with the end's code, or badly padded");
    this.#stringBytes = count;
    return wanted && count <= this.#maxStringBytes ? latin1Slice.call(scratch, 0, count) : '';
  }
}
