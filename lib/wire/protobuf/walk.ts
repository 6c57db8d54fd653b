import type { ProtobufReader } from './reader.ts';
import { WireType } from './reader.ts';
import { entryKeySlot, entryValueSlot, type Field, type HotKey, Kind, type Shape } from './shape.ts';

/** Entries of one map. AutoGen's own are five attributes and two of tracing. */
export const maxMapEntries = 64;

/** Wire type of each kind. */
const wireTypeOf: readonly number[] = [
  WireType.varint,
  WireType.bytes,
  WireType.bytes,
  WireType.bytes,
  WireType.bytes,
];

/**
 * Reads the message between the reader's place and `end` and notes the spans of what is asked for. Throws ProtobufError
 * on all that is no such message, and on all that two parsers could read differently: protobuf lets the last of two
 * values win, merges messages that come twice and forgets a oneof's earlier members; here they are refused, so that what
 * is noted is what every parser reads. Unknown fields are passed over, whatever is in them. The depth is the shapes' own.
 */
export function walk(reader: ProtobufReader, end: number, shape: Shape, spans: number[]): void {
  const outer = reader.within;
  reader.within = shape.name;
  let seen = 0;
  let keys: number[] | undefined;
  while (reader.at < end) {
    const tag = reader.tag(end);
    const number = tag >>> 3;
    const field = number < shape.fields.length ? shape.fields[number] : undefined;
    if (field === undefined) {
      if (shape.closed) throw reader.fault('map', `field ${number} in a map's entry`);
      reader.skip(tag, end);
      continue;
    }
    if ((tag & 7) !== wireTypeOf[field.kind]) wrongWireType(reader, tag, field);
    if (field.kind === Kind.map) {
      keys ??= [];
      walkEntry(reader, end, field, spans, keys);
      continue;
    }
    if ((seen & (field.oneof | (1 << number))) !== 0) twice(reader, seen, number, field);
    seen |= 1 << number;
    value(reader, end, field, spans);
  }
  reader.within = outer;
}

function value(reader: ProtobufReader, end: number, field: Field, spans: number[]): void {
  if (field.kind === Kind.varint) {
    reader.skipVarint(end);
    return;
  }
  const valueEnd = reader.valueEnd(end);
  const start = reader.at;
  const { slot } = field;
  // Its end is noted once it is read: in a message that was cut, what has no end is not whole.
  if (slot >= 0) spans[slot] = start;
  if (field.kind === Kind.string) {
    if (valueEnd - start > field.maxBytes) tooLong(reader, valueEnd - start, field);
    reader.text(valueEnd, field.name);
  } else if (field.shape !== undefined) {
    walk(reader, valueEnd, field.shape, spans);
  } else {
    reader.at = valueEnd;
  }
  if (slot >= 0) spans[slot + 1] = valueEnd;
}

function walkEntry(reader: ProtobufReader, end: number, field: Field, spans: number[], keys: number[]): void {
  const entryEnd = reader.valueEnd(end);
  // A key that is absent is the empty one.
  spans[entryKeySlot] = entryEnd;
  spans[entryKeySlot + 1] = entryEnd;
  spans[entryValueSlot] = -1;
  spans[entryValueSlot + 1] = -1;
  walk(reader, entryEnd, field.shape as Shape, spans);
  const start = spans[entryKeySlot] as number;
  const keyEnd = spans[entryKeySlot + 1] as number;
  newKey(reader, field, keys, start, keyEnd);
  for (const hot of field.hot) {
    if (
      hot.bytes.byteLength === keyEnd - start &&
      sameBytes(reader.bytes, start, hot.bytes, 0, keyEnd - start)
    ) {
      noteHot(reader, field, hot, spans);
    }
  }
}

/** Pairwise, as there are few: no table that a peer's keys could fill or poison. */
function newKey(reader: ProtobufReader, field: Field, keys: number[], start: number, end: number): void {
  const { bytes } = reader;
  const length = end - start;
  for (let index = 0; index < keys.length; index += 2) {
    const other = keys[index] as number;
    if (keys[index + 1] === length && sameBytes(bytes, other, bytes, start, length)) {
      throw reader.fault('map', `a key twice in ${field.name}`);
    }
  }
  if (keys.length === maxMapEntries * 2) {
    throw reader.fault('map', `more than ${maxMapEntries} entries in ${field.name}`);
  }
  keys.push(start, length);
}

function noteHot(reader: ProtobufReader, field: Field, hot: HotKey, spans: number[]): void {
  const start = spans[entryValueSlot] as number;
  const end = spans[entryValueSlot + 1] as number;
  // A host that asks a value of another kind for its string reads '': nobody means that.
  if (start < 0) throw reader.fault('map', `${hot.name} in ${field.name} is no string`);
  const limit = hot.maxBytes;
  if (end - start > limit) {
    throw reader.fault('name-size', `${hot.name} of ${end - start} bytes, limit ${limit}`);
  }
  spans[hot.slot] = start;
  spans[hot.slot + 1] = end;
}

function sameBytes(a: Uint8Array, from: number, b: Uint8Array, start: number, length: number): boolean {
  for (let index = 0; index < length; index += 1) {
    if (a[from + index] !== b[start + index]) return false;
  }
  return true;
}

function wrongWireType(reader: ProtobufReader, tag: number, field: Field): never {
  const type = tag & 7;
  if (type === WireType.groupStart || type === WireType.groupEnd) {
    throw reader.fault('group', `${field.name} as a group`);
  }
  throw reader.fault('wire-type', `${field.name} has wire type ${type}`);
}

function twice(reader: ProtobufReader, seen: number, number: number, field: Field): never {
  if ((seen & (1 << number)) !== 0) throw reader.fault('duplicate', `${field.name} twice`);
  throw reader.fault('oneof', `${field.name} beside another member of its oneof`);
}

function tooLong(reader: ProtobufReader, bytes: number, field: Field): never {
  throw reader.fault('name-size', `${field.name} of ${bytes} bytes, limit ${field.maxBytes}`);
}
