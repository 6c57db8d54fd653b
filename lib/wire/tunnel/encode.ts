import { invariant } from '../../core/errors.ts';
import type { ControlFrame } from './frames.ts';
import { maxDataBytes } from './limits.ts';
import { type Field, type Message, messageByType } from './messages.ts';
import { varintBytes, writeVarint } from './varint.ts';

/** Frames to bytes. What our own side cannot have meant (a text over its limit, say) is an internal error. */

interface Prepared {
  readonly field: Field;
  readonly number: number;
  readonly value: number | Uint8Array;
  readonly bytes: number;
}

/** One control frame with its length prefix. */
export function encodeFrame(stream: number, frame: ControlFrame): Uint8Array {
  const message = messageByType(frame.type);
  invariant((stream === 0) === (message.on === 'session'), `${frame.type} on stream ${stream}`);
  const fields = prepare(message, frame);
  const body = fields.reduce((sum, field) => sum + field.bytes, 0);
  invariant(body <= message.maxBytes, `${frame.type} of ${body} bytes, limit ${message.maxBytes}`);
  const tag = message.number * 8 + 2;
  const length = streamBytes(stream) + varintBytes(tag) + varintBytes(body) + body;
  const out = Buffer.allocUnsafe(varintBytes(length) + length);
  let at = writeVarint(out, 0, length);
  at = writeStream(out, at, stream);
  at = writeVarint(out, at, tag);
  at = writeVarint(out, at, body);
  for (const field of fields) at = writeField(out, at, field);
  return out;
}

/** Longest header of a data frame: length (3), stream (6), tag (1), payload length (3). */
export const maxDataHeaderBytes: 13 = 13;

/** Writes the header of a data frame at `offset`; the payload of `length` bytes follows it. Returns the offset behind. */
export function writeDataHeader(target: Uint8Array, offset: number, stream: number, length: number): number {
  invariant(length > 0 && length <= maxDataBytes, `data frame of ${length} bytes`);
  const frameBytes = streamBytes(stream) + 1 + varintBytes(length) + length;
  let at = writeVarint(target, offset, frameBytes);
  target[at] = 0x08;
  at = writeVarint(target, at + 1, stream);
  target[at] = 0x7a;
  return writeVarint(target, at + 1, length);
}

function streamBytes(stream: number): number {
  return stream === 0 ? 0 : 1 + varintBytes(stream);
}

function writeStream(target: Uint8Array, offset: number, stream: number): number {
  if (stream === 0) return offset;
  target[offset] = 0x08;
  return writeVarint(target, offset + 1, stream);
}

/** The fields that are not at their default, which proto3 leaves out. */
function prepare(message: Message, frame: ControlFrame): Prepared[] {
  const values = frame as unknown as Readonly<Record<string, unknown>>;
  const prepared: Prepared[] = [];
  for (const [index, field] of message.fields.entries()) {
    const value = wireValue(field, values[field.name]);
    const payload =
      typeof value === 'number' ? varintBytes(value) : varintBytes(value.byteLength) + value.byteLength;
    if (value === 0 || (typeof value !== 'number' && value.byteLength === 0)) continue;
    prepared.push({ field, number: index + 1, value, bytes: 1 + payload });
  }
  return prepared;
}

function wireValue(field: Field, value: unknown): number | Uint8Array {
  switch (field.kind) {
    case 'uint':
      invariant(
        Number.isSafeInteger(value) && Number(value) >= 0 && Number(value) <= field.max,
        `${field.name} ${value}`,
      );
      return Number(value);
    case 'enum': {
      const index = field.values.indexOf(value as string);
      invariant(index >= 0, `${field.name} ${value}`);
      return index;
    }
    case 'string': {
      const encoded = Buffer.from(String(value), 'utf8');
      invariant(encoded.byteLength <= field.maxBytes, `${field.name} of ${encoded.byteLength} bytes`);
      return encoded;
    }
    case 'blob':
      invariant(value instanceof Uint8Array && value.byteLength <= field.maxBytes, `${field.name} too large`);
      return value;
    case 'bytes':
      invariant(
        value instanceof Uint8Array && value.byteLength === field.bytes,
        `${field.name} of the wrong size`,
      );
      return value;
  }
}

function writeField(target: Uint8Array, offset: number, { number, value }: Prepared): number {
  if (typeof value === 'number') {
    target[offset] = number * 8;
    return writeVarint(target, offset + 1, value);
  }
  target[offset] = number * 8 + 2;
  const at = writeVarint(target, offset + 1, value.byteLength);
  target.set(value, at);
  return at + value.byteLength;
}
