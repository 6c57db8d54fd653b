import { LockwireError } from '../../core/errors.ts';
import type { ControlFrame } from './frames.ts';
import type { Field, Message } from './messages.ts';
import { readVarint, type VarintEnd } from './varint.ts';

/** The body of one control frame to a value. Unknown fields are skipped, so that later versions may add some. */
export function decodeBody(message: Message, body: Uint8Array): ControlFrame {
  const values: Record<string, unknown> = { type: message.type };
  for (const field of message.fields) values[field.name] = emptyValue(field);
  const at: VarintEnd = { next: 0 };
  while (at.next < body.byteLength) readField(message, body, at, values);
  for (const field of message.fields) {
    if (values[field.name] === undefined) throw fault(message, `${field.name} is missing`);
  }
  return values as unknown as ControlFrame;
}

function fault(message: Message, why: string): LockwireError {
  return new LockwireError('protocol', `${message.type}: ${why}`);
}

const noBytes = new Uint8Array(0);

/** proto3 leaves defaults out; keys and signatures have none. */
function emptyValue(field: Field): unknown {
  switch (field.kind) {
    case 'uint':
      return 0;
    case 'string':
      return '';
    case 'blob':
      return noBytes;
    case 'bytes':
      return undefined;
    case 'enum':
      return field.values[0];
  }
}

function readField(message: Message, body: Uint8Array, at: VarintEnd, values: Record<string, unknown>): void {
  const tag = number(message, body, at);
  // Field number 0 is none; nor may a number pass 2^29 - 1 (protobuf's own limits).
  if (tag < 8 || tag > 0xffffffff) throw fault(message, `tag ${tag}`);
  const field = message.fields[Math.floor(tag / 8) - 1];
  switch (tag % 8) {
    case 0: {
      const value = number(message, body, at);
      if (field) values[field.name] = scalar(message, field, value);
      return;
    }
    case 2: {
      const length = number(message, body, at);
      const end = at.next + length;
      if (end > body.byteLength)
        throw fault(message, `a field of ${length} bytes, ${body.byteLength - at.next} are left`);
      if (field) values[field.name] = slice(message, field, body.subarray(at.next, end));
      at.next = end;
      return;
    }
    default:
      // Fixed-width and group wire types are in no message of ours, of this version or a later one.
      throw fault(message, `wire type ${tag % 8}`);
  }
}

function number(message: Message, body: Uint8Array, at: VarintEnd): number {
  const value = readVarint(body, at.next, body.byteLength, at);
  if (value < 0) throw fault(message, 'a malformed varint');
  return value;
}

function scalar(message: Message, field: Field, value: number): unknown {
  if (field.kind === 'uint') {
    if (value > field.max) throw fault(message, `${field.name} is ${value}, limit ${field.max}`);
    return value;
  }
  if (field.kind !== 'enum') throw fault(message, `${field.name} has the wrong wire type`);
  const name = field.values[value];
  if (name === undefined) throw fault(message, `${field.name} ${value} is unknown`);
  return name;
}

const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

function slice(message: Message, field: Field, bytes: Uint8Array): unknown {
  if (field.kind === 'bytes') {
    if (bytes.byteLength !== field.bytes) {
      throw fault(message, `${field.name} of ${bytes.byteLength} bytes, expected ${field.bytes}`);
    }
    return bytes;
  }
  if (field.kind !== 'string' && field.kind !== 'blob')
    throw fault(message, `${field.name} has the wrong wire type`);
  if (bytes.byteLength > field.maxBytes) {
    throw fault(message, `${field.name} of ${bytes.byteLength} bytes, limit ${field.maxBytes}`);
  }
  if (field.kind === 'blob') return bytes;
  try {
    return utf8.decode(bytes);
  } catch {
    throw fault(message, `${field.name} is not UTF-8`);
  }
}
