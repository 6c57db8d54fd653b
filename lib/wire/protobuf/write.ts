import { invariant } from '../../core/errors.ts';
import { varintBytes, writeVarint } from '../tunnel/varint.ts';
import { textBytes, writeText } from './text.ts';

/** A field to be written: a string, or a message that is made of fields. */
export type NewField =
  | { readonly number: number; readonly text: string }
  | { readonly number: number; readonly fields: readonly NewField[] };

/** A message of these fields, in their order. Empty strings are left out, as proto3 has it; empty messages are not. */
export function encodeMessage(fields: readonly NewField[]): Buffer {
  const out = Buffer.allocUnsafe(fieldsBytes(fields));
  const end = writeFields(out, 0, fields);
  invariant(end === out.byteLength, `wrote ${end} bytes of ${out.byteLength}`);
  return out;
}

function fieldsBytes(fields: readonly NewField[]): number {
  let bytes = 0;
  for (const field of fields) {
    const value = valueBytes(field);
    if (value > 0 || 'fields' in field) bytes += 1 + varintBytes(value) + value;
  }
  return bytes;
}

function valueBytes(field: NewField): number {
  return 'text' in field ? textBytes(field.text) : fieldsBytes(field.fields);
}

function writeFields(out: Buffer, start: number, fields: readonly NewField[]): number {
  let at = start;
  for (const field of fields) {
    const bytes = valueBytes(field);
    if (bytes === 0 && 'text' in field) continue;
    // Numbers below 16: a tag of one byte.
    out[at] = field.number * 8 + 2;
    at = writeVarint(out, at + 1, bytes);
    at = 'text' in field ? writeText(out, at, field.text, bytes) : writeFields(out, at, field.fields);
  }
  return at;
}
