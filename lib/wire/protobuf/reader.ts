import { isUtf8 } from 'node:buffer';
import { type MalformedReason, ProtobufError } from './errors.ts';

/** Tags take 5 bytes at most (numbers below 2^29), lengths as well (below 2^31), values 10. */
const maxTagBytes = 5;
const maxValueBytes = 10;
const maxTag = 0xffffffff;

/** From here on the native check of UTF-8 is faster than a loop. */
const nativeFromBytes = 64;

export const WireType = { varint: 0, fixed64: 1, bytes: 2, groupStart: 3, groupEnd: 4, fixed32: 5 } as const;

/**
 * The bytes of one message, tag by tag, where nothing may be read in two ways: varints are minimal, lengths stay inside
 * their message, groups are refused. `end` is where the message that is being read ends; bytes behind what is
 * there are 'truncated', so that the beginning of a message can be read up to where it was cut.
 */
export class ProtobufReader {
  readonly bytes: Uint8Array;
  at = 0;
  /** The message that is being read, as errors name it. */
  within = '';
  /** Bytes that are there. */
  readonly available: number;

  constructor(bytes: Uint8Array) {
    this.bytes = bytes;
    this.available = bytes.byteLength;
  }

  /** Number × 8 + wire type. */
  tag(end: number): number {
    const { at } = this;
    // One byte, as nearly all are.
    const first = at < end && at < this.available ? (this.bytes[at] as number) : 0x80;
    if (first < 0x80 && first >= 8) {
      this.at = at + 1;
      return first;
    }
    return this.#longTag(end);
  }

  #longTag(end: number): number {
    const tag = this.#varint(end, maxTagBytes);
    if (tag < 8 || tag > maxTag) throw this.fault('tag', `tag ${tag}`);
    return tag;
  }

  /** Reads the length of a value, which then lies between `at` and the offset returned. */
  valueEnd(end: number): number {
    const { at } = this;
    const first = at < end && at < this.available ? (this.bytes[at] as number) : 0x80;
    if (first < 0x80 && at + 1 + first <= end) {
      this.at = at + 1;
      return at + 1 + first;
    }
    return this.#longValueEnd(end);
  }

  #longValueEnd(end: number): number {
    const length = this.#varint(end, maxTagBytes);
    const valueEnd = this.at + length;
    if (valueEnd > end) {
      throw this.fault('length', `a field of ${length} bytes, ${end - this.at} are left`);
    }
    return valueEnd;
  }

  /** Passes over the value of a field whose content is nobody's here. */
  skip(tag: number, end: number): void {
    switch (tag & 7) {
      case WireType.varint:
        this.skipVarint(end);
        return;
      case WireType.fixed64:
        this.#skipFixed(8, end);
        return;
      case WireType.bytes:
        this.at = this.valueEnd(end);
        return;
      case WireType.fixed32:
        this.#skipFixed(4, end);
        return;
      case WireType.groupStart:
      case WireType.groupEnd:
        throw this.fault('group', `a group, field ${tag >>> 3}`);
      default:
        throw this.fault('wire-type', `wire type ${tag & 7}, field ${tag >>> 3}`);
    }
  }

  /** Of 64 bits: an int32 below 0 takes all 10 bytes. */
  skipVarint(end: number): void {
    for (let count = 1; ; count += 1) {
      const byte = this.#byte(end);
      if (count === maxValueBytes && byte > 1) throw this.fault('varint', 'a varint of more than 64 bits');
      if (byte >= 0x80) continue;
      if (byte === 0 && count > 1) throw this.fault('varint', 'an overlong varint');
      return;
    }
  }

  /** Goes to `valueEnd`; what is passed over must be UTF-8 (RFC 3629: no surrogates, nothing overlong). */
  text(valueEnd: number, name: string): void {
    const start = this.at;
    if (valueEnd > this.available) throw this.#truncated();
    if (!isText(this.bytes, start, valueEnd)) throw this.fault('utf8', `${name} is not UTF-8`);
    this.at = valueEnd;
  }

  fault(reason: MalformedReason, why: string): ProtobufError {
    return new ProtobufError(reason, `${this.within}: ${why}`);
  }

  #byte(end: number): number {
    const at = this.at;
    if (at >= end || at >= this.available) throw this.#truncated();
    this.at = at + 1;
    return this.bytes[at] as number;
  }

  #varint(end: number, maxBytes: number): number {
    let value = 0;
    let scale = 1;
    for (let count = 1; count <= maxBytes; count += 1) {
      const byte = this.#byte(end);
      value += (byte & 0x7f) * scale;
      scale *= 0x80;
      if (byte >= 0x80) continue;
      if (byte === 0 && count > 1) throw this.fault('varint', 'an overlong varint');
      return value;
    }
    throw this.fault('varint', `a varint of more than ${maxBytes} bytes`);
  }

  #skipFixed(bytes: number, end: number): void {
    if (this.at + bytes > end) throw this.#truncated();
    this.at += bytes;
  }

  #truncated(): ProtobufError {
    return this.fault('truncated', 'it ends inside a field');
  }
}

function isText(bytes: Uint8Array, start: number, end: number): boolean {
  if (end - start < nativeFromBytes && isAscii(bytes, start, end)) return true;
  return isUtf8(bytes.subarray(start, end));
}

function isAscii(bytes: Uint8Array, start: number, end: number): boolean {
  let at = start;
  let all = 0;
  for (const last = end - 3; at < last; at += 4) {
    all |=
      (bytes[at] as number) |
      (bytes[at + 1] as number) |
      (bytes[at + 2] as number) |
      (bytes[at + 3] as number);
  }
  for (; at < end; at += 1) all |= bytes[at] as number;
  return all < 0x80;
}
