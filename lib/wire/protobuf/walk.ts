import type { ProtobufError } from './errors.ts';
import type { ProtobufReader } from './reader.ts';
import { WireType } from './reader.ts';
import { entryKeySlot, entryValueSlot, type Field, type HotKey, Kind, type Shape } from './shape.ts';

/** Entries of one map. AutoGen's own are five attributes and two of tracing. */
export const maxMapEntries = 64;

/**
 * Reads the message between the reader's place and `end` and notes the spans of what is asked for. Throws ProtobufError
 * on all that is no such message, and on all that two parsers could read differently: protobuf lets the last of two
 * values win, merges messages that come twice and forgets a oneof's earlier members; here they are refused, so that what
 * is noted is what every parser reads. Unknown fields are passed over, whatever is in them. The depth is the shapes' own.
 */
export function walk(reader: ProtobufReader, end: number, shape: Shape, spans: number[]): void {
  const outer = reader.within;
  reader.within = shape.name;
  const { bytes } = reader;
  const { fields } = shape;
  // Up to here bytes are there to be read; `end` lies behind it in a message that was cut.
  const limit = Math.min(end, reader.available);
  let at = reader.at;
  let seen = 0;
  let keys = 0;
  while (at < end) {
    // Tags and lengths of one byte are read here, as nearly all are; the others by the reader.
    let tag = at < limit ? (bytes[at] as number) : 0;
    at += 1;
    if (tag < 8 || tag >= 0x80) {
      reader.at = at - 1;
      tag = reader.tag(end);
      at = reader.at;
    }
    const number = tag >>> 3;
    const field = number < fields.length ? fields[number] : undefined;
    if (field === undefined || (tag & 7) !== WireType.bytes || field.kind === Kind.varint) {
      reader.at = at;
      seen = other(reader, tag, end, shape, seen);
      at = reader.at;
      continue;
    }
    const length = at < limit ? (bytes[at] as number) : 0x80;
    let valueEnd = at + 1 + length;
    reader.at = at + 1;
    if (length >= 0x80 || valueEnd > end) {
      reader.at = at;
      valueEnd = reader.valueEnd(end);
    }
    at = valueEnd;
    if (field.kind === Kind.map) {
      walkEntry(reader, valueEnd, field, spans, keys);
      keys += 1;
      continue;
    }
    if ((seen & (field.oneof | (1 << number))) !== 0) throw twice(reader, seen, number, field);
    seen |= 1 << number;
    const { slot } = field;
    if (slot >= 0) spans[slot] = reader.at;
    if (field.kind === Kind.string) readText(reader, valueEnd, field);
    else if (field.shape !== undefined) walk(reader, valueEnd, field.shape, spans);
    // Noted only now that it is read: in a message that was cut, what has no end is not whole.
    if (slot >= 0) spans[slot + 1] = valueEnd;
  }
  reader.at = at;
  reader.within = outer;
}

function readText(reader: ProtobufReader, end: number, field: Field): void {
  const length = end - reader.at;
  if (length > field.maxBytes) throw tooLong(reader, length, field);
  reader.text(end, field.name);
}

/** A field that is unknown, or a varint, or has the wrong wire type. Returns which fields were seen. */
function other(reader: ProtobufReader, tag: number, end: number, shape: Shape, seen: number): number {
  const number = tag >>> 3;
  const field = shape.fields[number];
  if (field === undefined) {
    unknown(reader, tag, end, shape);
    return seen;
  }
  if (field.kind !== Kind.varint || (tag & 7) !== WireType.varint) throw wrongWireType(reader, tag, field);
  if ((seen & (field.oneof | (1 << number))) !== 0) throw twice(reader, seen, number, field);
  reader.skipVarint(end);
  return seen | (1 << number);
}

function unknown(reader: ProtobufReader, tag: number, end: number, shape: Shape): void {
  if (shape.closed) throw reader.fault('map', `field ${tag >>> 3} in a map's entry`);
  reader.skip(tag, end);
}

/**
 * Where the keys of the map stand that is being read, and their lengths. One for all walks: a walk never waits, no map
 * is inside a map, and no message of ours has two.
 */
const keySpans = new Int32Array(maxMapEntries * 2);

/** One entry; `keys` came before it. */
function walkEntry(reader: ProtobufReader, end: number, field: Field, spans: number[], keys: number): void {
  // A key that is absent is the empty one.
  spans[entryKeySlot] = end;
  spans[entryKeySlot + 1] = end;
  spans[entryValueSlot] = -1;
  spans[entryValueSlot + 1] = -1;
  walk(reader, end, field.shape as Shape, spans);
  const start = spans[entryKeySlot] as number;
  const length = (spans[entryKeySlot + 1] as number) - start;
  newKey(reader, field, keys, start, length);
  for (const hot of field.hot) {
    if (hot.bytes.byteLength === length && sameBytes(reader.bytes, start, hot.bytes, 0, length)) {
      noteHot(reader, field, hot, spans);
    }
  }
}

/** Pairwise, as there are few: no table that a peer's keys could fill or poison. */
function newKey(reader: ProtobufReader, field: Field, keys: number, start: number, length: number): void {
  const { bytes } = reader;
  for (let index = 0; index < keys * 2; index += 2) {
    if (keySpans[index + 1] !== length) continue;
    if (sameBytes(bytes, keySpans[index] as number, bytes, start, length)) {
      throw reader.fault('map', `a key twice in ${field.name}`);
    }
  }
  if (keys === maxMapEntries)
    throw reader.fault('map', `more than ${maxMapEntries} entries in ${field.name}`);
  keySpans[keys * 2] = start;
  keySpans[keys * 2 + 1] = length;
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

function wrongWireType(reader: ProtobufReader, tag: number, field: Field): ProtobufError {
  const type = tag & 7;
  if (type === WireType.groupStart || type === WireType.groupEnd) {
    return reader.fault('group', `${field.name} as a group`);
  }
  return reader.fault('wire-type', `${field.name} has wire type ${type}`);
}

function twice(reader: ProtobufReader, seen: number, number: number, field: Field): ProtobufError {
  if ((seen & (1 << number)) !== 0) return reader.fault('duplicate', `${field.name} twice`);
  return reader.fault('oneof', `${field.name} beside another member of its oneof`);
}

function tooLong(reader: ProtobufReader, bytes: number, field: Field): ProtobufError {
  return reader.fault('name-size', `${field.name} of ${bytes} bytes, limit ${field.maxBytes}`);
}
