/** The part of hpack.js that the tests use: its package carries no types. */
declare module 'hpack.js' {
  import type { Duplex } from 'node:stream';

  interface Header {
    readonly name: string;
    readonly value: string;
    readonly neverIndex: boolean;
  }

  interface Options {
    readonly table: { readonly maxSize: number };
  }

  interface Decompressor extends Duplex {
    execute(): void;
  }

  const hpack: {
    readonly compressor: { create(options: Options): Duplex };
    readonly decompressor: { create(options: Options): Decompressor };
    /** Length and code of each octet, and last of EOS. */
    readonly huffman: { readonly encode: readonly (readonly [bits: number, code: number])[] };
    readonly 'static-table': { readonly table: readonly { readonly name: string; readonly value: string }[] };
  };
  export = hpack;
}
