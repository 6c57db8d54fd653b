import fc from 'fast-check';
import { FrameDecoder } from '../../lib/wire/tunnel/decode.ts';
import { encodeFrame, maxDataHeaderBytes, writeDataHeader } from '../../lib/wire/tunnel/encode.ts';
import type { ControlFrame, FrameType } from '../../lib/wire/tunnel/frames.ts';
import { maxStreamId } from '../../lib/wire/tunnel/limits.ts';
import { type Field, type Message, messages } from '../../lib/wire/tunnel/messages.ts';

/** One frame of a capture: a control frame, or a data frame with its payload. */
export type Item =
  | { readonly stream: number; readonly frame: ControlFrame }
  | { readonly stream: number; readonly data: Buffer };

export function encodeData(stream: number, data: Uint8Array): Buffer {
  const header = Buffer.alloc(maxDataHeaderBytes);
  const end = writeDataHeader(header, 0, stream, data.byteLength);
  return Buffer.concat([header.subarray(0, end), data]);
}

export function encodeItem(item: Item): Buffer {
  return 'data' in item
    ? encodeData(item.stream, item.data)
    : Buffer.from(encodeFrame(item.stream, item.frame));
}

export function encodeItems(items: readonly Item[]): Buffer {
  return Buffer.concat(items.map(encodeItem));
}

/** A decoder and what it found; the chunks of one data frame are joined again. */
export class FrameCollector {
  readonly items: Item[] = [];
  readonly decoder: FrameDecoder;
  #payload: Uint8Array[] = [];

  constructor() {
    this.decoder = new FrameDecoder({
      data: (stream, chunk) => {
        this.#payload.push(Buffer.from(chunk));
        if (!this.decoder.atBoundary) return;
        this.items.push({ stream, data: Buffer.concat(this.#payload) });
        this.#payload = [];
      },
      frame: (stream, frame) => {
        this.items.push({ stream, frame });
      },
    });
  }

  /** Pushes the bytes cut at these offsets. */
  push(bytes: Uint8Array, cuts: readonly number[] = []): this {
    let at = 0;
    for (const cut of [...cuts, bytes.byteLength]) {
      this.decoder.push(bytes.subarray(at, cut));
      at = cut;
    }
    return this;
  }
}

/** Frames as text that can be compared: bytes as hex, whatever class they have. */
export function plain(items: readonly Item[]): string {
  const show = (value: unknown): unknown =>
    value instanceof Uint8Array ? Buffer.from(value).toString('hex') : value;
  return JSON.stringify(
    items.map(item =>
      'data' in item
        ? [item.stream, item.data.toString('hex')]
        : [
            item.stream,
            Object.entries(item.frame)
              .map(([name, value]) => [name, show(value)])
              .sort(),
          ],
    ),
  );
}

/** What a decoder makes of bytes: frames, and the error if it ended in one. */
export function decodeAll(bytes: Uint8Array, cuts: readonly number[] = []): { items: Item[]; error: string } {
  const collector = new FrameCollector();
  try {
    collector.push(bytes, cuts);
    return { items: collector.items, error: '' };
  } catch (error) {
    return { items: collector.items, error: (error as Error).message };
  }
}

function fieldArbitrary(field: Field): fc.Arbitrary<unknown> {
  switch (field.kind) {
    case 'uint':
      return fc.oneof(fc.constantFrom(0, 1, 127, 128, field.max), fc.nat(), fc.maxSafeNat()).map(n => {
        return Math.min(n, field.max);
      });
    case 'enum':
      return fc.constantFrom(...field.values.filter(value => value !== undefined));
    case 'blob':
      return fc.uint8Array({ maxLength: field.maxBytes }).map(Buffer.from);
    case 'bytes':
      return fc.uint8Array({ minLength: field.bytes, maxLength: field.bytes }).map(Buffer.from);
    case 'string':
      return fc
        .oneof(fc.string({ unit: 'grapheme', maxLength: 40 }), fc.constant('x'.repeat(field.maxBytes)))
        .filter(text => Buffer.byteLength(text) <= field.maxBytes);
  }
}

/** Any frame of one kind, its fields at and between their limits. */
export function frameArbitrary(message: Message): fc.Arbitrary<ControlFrame> {
  const fields: Record<string, fc.Arbitrary<unknown>> = { type: fc.constant(message.type) };
  for (const field of message.fields) fields[field.name] = fieldArbitrary(field);
  return fc.record(fields, { noNullPrototype: true }) as unknown as fc.Arbitrary<ControlFrame>;
}

export const streamArbitrary: fc.Arbitrary<number> = fc.oneof(
  fc.constantFrom(1, 2, 127, 128, 16_383, 16_384, maxStreamId),
  fc.integer({ min: 1, max: maxStreamId }),
);

export function itemArbitrary(types?: readonly FrameType[]): fc.Arbitrary<Item> {
  const control = messages
    .filter(({ type }) => types === undefined || types.includes(type))
    .map(message =>
      fc.record({
        stream: message.on === 'session' ? fc.constant(0) : streamArbitrary,
        frame: frameArbitrary(message),
      }),
    );
  const data = fc.record({
    stream: streamArbitrary,
    data: fc
      .oneof(fc.uint8Array({ minLength: 1, maxLength: 300 }), fc.constant(new Uint8Array(65_536).fill(7)))
      .map(bytes => Buffer.from(bytes)),
  });
  return fc.oneof(...control, { arbitrary: data, weight: 4 });
}
