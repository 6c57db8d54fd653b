import type { HpackEncoder } from '../../wire/hpack/encoder.ts';
import type { Field } from '../../wire/hpack/fields.ts';

/**
 * A header list to be sent, and how it was encoded last. As long as the encoder's table stays as it was the same list
 * has the same encoding, so most blocks are encoded once and then copied.
 */
export class Outgoing {
  readonly fields: readonly Field[];
  /** Its size as RFC 9113 section 6.5.2 counts: what the peer's SETTINGS_MAX_HEADER_LIST_SIZE is compared with. */
  readonly listBytes: number;
  #encoder: HpackEncoder | undefined;
  #generation = -1;
  #bytes: Uint8Array = new Uint8Array(0);

  constructor(fields: readonly Field[]) {
    this.fields = fields;
    let listBytes = 0;
    for (const { name, value } of fields) listBytes += name.length + value.length + 32;
    this.listBytes = listBytes;
  }

  encodedBy(encoder: HpackEncoder): Uint8Array {
    if (this.#encoder === encoder && this.#generation === encoder.generation) return this.#bytes;
    const before = encoder.generation;
    this.#bytes = encoder.encode(this.fields);
    this.#encoder = encoder;
    // A block that changed the table means something else the next time.
    this.#generation = encoder.generation === before ? before : -1;
    return this.#bytes;
  }
}
