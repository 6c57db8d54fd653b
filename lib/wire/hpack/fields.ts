/** One header field. Instances are shared (static table, dynamic table, cache): never changed. */
export interface Field {
  /** Latin-1: one character a byte, as `value`. */
  readonly name: string;
  readonly value: string;
  /** Never to be indexed by anyone on the way (RFC 7541 7.1.3). */
  readonly sensitive: boolean;
}

/** What a field counts beyond its bytes, in tables (RFC 7541 4.1) and in lists (RFC 9113 6.5.2). */
export const fieldOverheadBytes = 32;

/** SETTINGS_HEADER_TABLE_SIZE of a peer that has not said another (RFC 9113 6.5.2). */
export const defaultTableBytes = 4_096;

/** A field's size in tables and lists. */
export function fieldBytes(field: Field): number {
  return field.name.length + field.value.length + fieldOverheadBytes;
}
