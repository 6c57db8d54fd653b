import hpack from 'hpack.js';
import type { Field } from '../../lib/wire/hpack/fields.ts';

/** hpack.js, which was not written by us, behind the same two calls. */
export class HpackJs {
  readonly #decompressor = hpack.decompressor.create({ table: { maxSize: 4_096 } });
  readonly #compressor = hpack.compressor.create({ table: { maxSize: 4_096 } });

  decode(block: Uint8Array): Field[] {
    let failed: unknown;
    this.#decompressor.once('error', error => {
      failed = error;
    });
    this.#decompressor.write(Buffer.from(block));
    this.#decompressor.execute();
    if (failed !== undefined) throw failed;
    const fields: Field[] = [];
    for (;;) {
      const header = this.#decompressor.read() as { name: string; value: string; neverIndex: boolean } | null;
      if (header === null) break;
      fields.push({ name: header.name, value: header.value, sensitive: header.neverIndex });
    }
    this.#decompressor.removeAllListeners('error');
    return fields;
  }

  encode(fields: readonly Field[]): Buffer {
    this.#compressor.write(
      fields.map(({ name, value, sensitive }) => ({ name, value, neverIndex: sensitive, huffman: true })),
    );
    return (this.#compressor.read() as Buffer | null) ?? Buffer.alloc(0);
  }
}
