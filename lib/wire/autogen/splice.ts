import { copyBelowBytes } from '../../core/bytes.ts';
import { invariant } from '../../core/errors.ts';
import { grpcPrefixBytes, writeGrpcPrefix } from '../grpc/envelope.ts';
import { textBytes, writeText } from '../protobuf/text.ts';
import { varintBytes, writeVarint } from '../tunnel/varint.ts';
import { Slot } from './shapes.ts';
import type { RequestView, ResponseView } from './views.ts';

/**
 * Messages with a field or two changed and all else byte for byte as it was: pieces to be written one behind the other.
 * Where the result is small (below `copyBelowBytes`) it is one new piece, as one write and one frame cost less than
 * two; else the untouched bytes are views of the message, and only what is new is new.
 */

/** `bare` is the message; `enveloped` has the 5 bytes of gRPC before it. */
export type Framing = 'bare' | 'enveloped';

/** The message with another request id. '' leaves the field out. */
export function replaceRequestId(
  view: RequestView | ResponseView,
  requestId: string,
  framing: Framing = 'bare',
): Uint8Array[] {
  return splice(view, requestIdEdit(view, requestId), undefined, framing);
}

/** A response with another request id and another error text; what is absent stays as it is. */
export function rewriteResponse(
  view: ResponseView,
  { requestId, error }: { readonly requestId?: string; readonly error?: string },
  framing: Framing = 'bare',
): Uint8Array[] {
  const first = requestId === undefined ? undefined : requestIdEdit(view, requestId);
  const second = error === undefined ? undefined : errorEdit(view, error);
  if (first === undefined || second === undefined) return splice(view, first ?? second, undefined, framing);
  return first.from <= second.from
    ? splice(view, first, second, framing)
    : splice(view, second, first, framing);
}

/** The 5 bytes of gRPC and a message in pieces. */
export function withEnvelope(pieces: readonly Uint8Array[]): Uint8Array[] {
  const prefix = Buffer.allocUnsafe(grpcPrefixBytes);
  writeGrpcPrefix(prefix, 0, false, totalBytes(pieces));
  return [prefix, ...pieces];
}

export function totalBytes(pieces: readonly Uint8Array[]): number {
  let bytes = 0;
  for (const piece of pieces) bytes += piece.byteLength;
  return bytes;
}

/** `from` to `to` gives way to a string field; with text '' to nothing, as proto3 has it. */
interface Edit {
  readonly from: number;
  readonly to: number;
  readonly tag: number;
  readonly text: string;
  /** Of the text. */
  readonly textBytes: number;
  /** Of the field. */
  readonly bytes: number;
}

const requestIdTag = 0x0a;
const errorTag = 0x1a;

function requestIdEdit(view: RequestView | ResponseView, text: string): Edit {
  return edit(view.spans, Slot.requestId, view.spans[memberOf(view)] as number, requestIdTag, text);
}

function errorEdit(view: ResponseView, text: string): Edit {
  return edit(view.spans, Slot.error, view.spans[Slot.response + 1] as number, errorTag, text);
}

/** Of the field at `slot`; where it is absent it comes to stand at `otherwise`. */
function edit(spans: readonly number[], slot: number, otherwise: number, tag: number, text: string): Edit {
  const start = spans[slot] as number;
  const end = spans[slot + 1] as number;
  const length = textBytes(text);
  return {
    // Tags below 16 take a byte, and the length is minimal: the scan refused all else.
    from: start < 0 ? otherwise : start - varintBytes(end - start) - 1,
    to: start < 0 ? otherwise : end,
    tag,
    text,
    textBytes: length,
    bytes: length === 0 ? 0 : 1 + varintBytes(length) + length,
  };
}

function memberOf(view: RequestView | ResponseView): number {
  return view.kind === 'request' ? Slot.request : Slot.response;
}

/** The edits in their order; the lengths around them are made anew. */
function splice(
  view: RequestView | ResponseView,
  first: Edit | undefined,
  second: Edit | undefined,
  framing: Framing,
): Uint8Array[] {
  const { bytes, spans } = view;
  const member = memberOf(view);
  const start = spans[member] as number;
  const end = spans[member + 1] as number;
  const memberAt = start - varintBytes(end - start) - 1;
  const length = end - start + growth(first) + growth(second);
  const headBytes = 1 + varintBytes(length);
  const messageBytes = memberAt + headBytes + length + (bytes.byteLength - end);
  const prefixBytes = framing === 'enveloped' ? grpcPrefixBytes : 0;
  const newBytes = prefixBytes + headBytes + (first?.bytes ?? 0) + (second?.bytes ?? 0);
  const pieces = new Pieces(bytes, prefixBytes + messageBytes, newBytes);
  if (prefixBytes > 0) pieces.envelope(messageBytes);
  pieces.keep(0, memberAt);
  pieces.fieldHead(bytes[memberAt] as number, length);
  let at = start;
  if (first !== undefined) at = pieces.edit(at, first);
  if (second !== undefined) at = pieces.edit(at, second);
  pieces.keep(at, bytes.byteLength);
  return pieces.done();
}

function growth(edit: Edit | undefined): number {
  return edit === undefined ? 0 : edit.bytes - (edit.to - edit.from);
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

  envelope(messageBytes: number): void {
    this.#at = writeGrpcPrefix(this.#out, this.#at, false, messageBytes);
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

  /** What stands between `at` and the edit, and its text. Returns the offset behind what gave way. */
  edit(at: number, { from, to, tag, text, textBytes }: Edit): number {
    this.keep(at, from);
    if (textBytes > 0) {
      this.fieldHead(tag, textBytes);
      this.#at = writeText(this.#out, this.#at, text, textBytes);
    }
    return to;
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
