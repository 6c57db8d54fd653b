import { maxDataHeaderBytes, writeDataHeader } from '../wire/tunnel/encode.ts';

const slabBytes = 8_192;
/** Payloads below this are copied behind their header: one chunk to write instead of two. */
const copyPayloadBelowBytes = 1_024;

/** The frames of one write: headers and small payloads in a slab, large payloads by reference. */
export class FrameBatch {
  #chunks: Uint8Array[] = [];
  #bytes = 0;
  #slab: Buffer = Buffer.allocUnsafeSlow(slabBytes);
  #start = 0;
  #end = 0;

  get byteLength(): number {
    return this.#bytes;
  }

  addFrame(encoded: Uint8Array): void {
    this.#bytes += encoded.byteLength;
    if (encoded.byteLength > copyPayloadBelowBytes) {
      this.#seal();
      this.#chunks.push(encoded);
      return;
    }
    this.#reserve(encoded.byteLength);
    this.#slab.set(encoded, this.#end);
    this.#end += encoded.byteLength;
  }

  /** Returns the encoded size. */
  addData(stream: number, payload: readonly Uint8Array[], payloadBytes: number): number {
    this.#reserve(maxDataHeaderBytes);
    const headerEnd = writeDataHeader(this.#slab, this.#end, stream, payloadBytes);
    const frameBytes = headerEnd - this.#end + payloadBytes;
    this.#end = headerEnd;
    for (const chunk of payload) this.#addPayload(chunk);
    this.#bytes += frameBytes;
    return frameBytes;
  }

  /** All of it; the batch is empty then. */
  take(): Uint8Array[] {
    this.#seal();
    const chunks = this.#chunks;
    this.#chunks = [];
    this.#bytes = 0;
    return chunks;
  }

  #addPayload(chunk: Uint8Array): void {
    if (chunk.byteLength >= copyPayloadBelowBytes) {
      this.#seal();
      this.#chunks.push(chunk);
      return;
    }
    this.#reserve(chunk.byteLength);
    this.#slab.set(chunk, this.#end);
    this.#end += chunk.byteLength;
  }

  #reserve(bytes: number): void {
    if (this.#end + bytes <= slabBytes) return;
    this.#seal();
    // A fresh one: the old may be in flight still.
    this.#slab = Buffer.allocUnsafeSlow(slabBytes);
    this.#start = 0;
    this.#end = 0;
  }

  #seal(): void {
    if (this.#end === this.#start) return;
    this.#chunks.push(this.#slab.subarray(this.#start, this.#end));
    this.#start = this.#end;
  }
}
