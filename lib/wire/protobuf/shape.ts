/** What a message's fields are, and where `walk` notes what it finds: plain constants, made once. */

export const Kind = { varint: 0, string: 1, bytes: 2, message: 3, map: 4 } as const;

export interface Field {
  readonly name: string;
  readonly kind: (typeof Kind)[keyof typeof Kind];
  /** Where a walk notes the value's span: its start at `slot`, its end at `slot + 1`. -1: nowhere. */
  readonly slot: number;
  /** Longest string. */
  readonly maxBytes: number;
  /** Of a message; of a map its entry. */
  readonly shape: Shape | undefined;
  /** The bits (1 << number) of its oneof's members, its own among them; 0 outside of any. */
  readonly oneof: number;
  /** Keys of a map that somebody relies on. */
  readonly hot: readonly HotKey[];
}

/** An entry of a map<string, …> whose value is noted. */
export interface HotKey {
  readonly name: string;
  readonly bytes: Uint8Array;
  readonly slot: number;
  /** Longest value. */
  readonly maxBytes: number;
}

export interface Shape {
  readonly name: string;
  /** By number; 0 is none. Numbers are dense and below 32: what lies beyond is unknown. */
  readonly fields: readonly (Field | undefined)[];
  /** Of a map's entry: nothing but key and value, as parsers differ in what they do with a third field. */
  readonly closed: boolean;
}

/** Of entries: where the key's and the hot value's span are noted while one is read. */
export const entryKeySlot = 0;
export const entryValueSlot = 2;
/** The first slot that is free for a message's own fields. */
export const firstFreeSlot = 4;

export function shape(name: string, ...fields: readonly Field[]): Shape {
  return { name, fields: [undefined, ...fields], closed: false };
}

export function string(name: string, slot = -1, maxBytes: number = Number.MAX_SAFE_INTEGER): Field {
  return { ...plain, name, kind: Kind.string, slot, maxBytes };
}

export function bytes(name: string): Field {
  return { ...plain, name, kind: Kind.bytes };
}

export function varint(name: string): Field {
  return { ...plain, name, kind: Kind.varint };
}

export function message(name: string, of: Shape, slot = -1): Field {
  return { ...plain, name, kind: Kind.message, shape: of, slot };
}

/** A map<string, …> with such values. Of a hot key's value the string at `entryValueSlot` is noted. */
export function map(name: string, value: Field, hot: readonly HotKey[] = []): Field {
  const entry: Shape = { ...shape(name, string('key', entryKeySlot), value), closed: true };
  return { ...plain, name, kind: Kind.map, shape: entry, hot };
}

export function hotKey(name: string, slot: number, maxBytes: number): HotKey {
  return { name, bytes: Buffer.from(name, 'latin1'), slot, maxBytes };
}

/** Fields of which a message has one at most; their numbers begin at `first`. */
export function oneof(first: number, ...fields: readonly Field[]): Field[] {
  let bits = 0;
  for (let index = 0; index < fields.length; index += 1) bits |= 1 << (first + index);
  return fields.map(field => ({ ...field, oneof: bits }));
}

const plain: Field = {
  name: '',
  kind: Kind.varint,
  slot: -1,
  maxBytes: Number.MAX_SAFE_INTEGER,
  shape: undefined,
  oneof: 0,
  hot: [],
};
