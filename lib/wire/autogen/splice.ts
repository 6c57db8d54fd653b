import { copyBelowBytes } from '../../core/bytes.ts';
import { invariant } from '../../core/errors.ts';
import { textBytes, writeText } from '../protobuf/text.ts';
import { varintBytes, writeVarint } from '../tunnel/varint.ts';
import { Slot } from './shapes.ts';
import type { RequestView, ResponseView } from './views.ts';

/**
 * A message with another request id and all else byte for byte as it was: pieces to be written one behind the other.
 * Where the result is small (below `copyBelowBytes`) it is one new piece, as one write and one frame cost less than
 * two; else the untouched bytes are views of the message, and only what is new is new.
 */

const requestIdTag = 0x0a;

/** '' leaves the field out, as proto3 has it; where it is absent it comes to stand first. */
export function replaceRequestId(view: RequestView | ResponseView, requestId: string): Uint8Array[] {
  const { bytes, spans } = view;
  const member = view.kind === 'request' ? Slot.request : Slot.response;
  const start = spans[member] as number;
  const end = spans[member + 1] as number;
  const idStart = spans[Slot.requestId] as number;
  const idEnd = spans[Slot.requestId + 1] as number;
  // What gives way, tag and all.
  const from = idStart < 0 ? start : fieldStart(idStart, idEnd);
  const to = idStart < 0 ? start : idEnd;
  const idBytes = textBytes(requestId);
  const idFieldBytes = idBytes === 0 ? 0 : 1 + varintBytes(idBytes) + idBytes;

  const memberAt = fieldStart(start, end);
  const length = end - start + idFieldBytes - (to - from);
  const headBytes = 1 + varintBytes(length);
  const messageBytes = memberAt + headBytes + length + (bytes.byteLength - end);
  const pieces = new Pieces(bytes, messageBytes, headBytes + idFieldBytes);
  pieces.keep(0, memberAt);
  pieces.fieldHead(bytes[memberAt] as number, length);
  pieces.keep(start, from);
  if (idBytes > 0) pieces.text(requestIdTag, requestId, idBytes);
  pieces.keep(to, bytes.byteLength);
  return pieces.done();
}

/** Of the field with the value `start` to `end`: tags below 16 take a byte, and the scan refused lengths not minimal. */
function fieldStart(start: number, end: number): number {
  return start - varintBytes(end - start) - 1;
}

export function totalBytes(pieces: readonly Uint8Array[]): number {
  let bytes = 0;
  for (const piece of pieces) bytes += piece.byteLength;
  return bytes;
}

/** Old and new bytes in their order: all in one buffer where they are few, else views of the old between the new. */
class Pieces {
  readonly #source: Buffer;
  readonly #joined: boolean;
  readonly #out: Buffer;
  readonly #pieces: Uint8Array[] = [];
  #at = 0;
  /** Where in `#out` the next piece begins. */
  #from = 0;

  constructor(source: Buffer, totalBytes: number, newBytes: number) {
    this.#source = source;
    this.#joined = totalBytes < copyBelowBytes;
    this.#out = Buffer.allocUnsafe(this.#joined ? totalBytes : newBytes);
  }

  keep(from: number, to: number): void {
    if (from === to) return;
    if (this.#joined) {
      this.#at += this.#source.copy(this.#out, this.#at, from, to);
      return;
    }
    this.#cut();
    this.#pieces.push(this.#source.subarray(from, to));
  }

  fieldHead(tag: number, length: number): void {
    this.#out[this.#at] = tag;
    this.#at = writeVarint(this.#out, this.#at + 1, length);
  }

  text(tag: number, text: string, textBytes: number): void {
    this.fieldHead(tag, textBytes);
    this.#at = writeText(this.#out, this.#at, text, textBytes);
  }

  done(): Uint8Array[] {
    invariant(this.#at === this.#out.byteLength, 'a spliced message of another size');
    if (this.#joined) return [this.#out];
    this.#cut();
    return this.#pieces;
  }

  #cut(): void {
    if (this.#at > this.#from) this.#pieces.push(this.#out.subarray(this.#from, this.#at));
    this.#from = this.#at;
  }
}
