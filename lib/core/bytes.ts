/** Moves bytes and shows text safely. */

/** Chunks smaller than this are copied rather than kept: a small view would pin the whole buffer it was cut from. */
export const copyBelowBytes = 4096;

/**
 * Bytes that can be kept for long: the same view where it covers at least half of its buffer, else a copy.
 * So what a queue pins is at most twice what it counts.
 */
export function compact(chunk: Uint8Array): Uint8Array {
  if (chunk.byteLength * 2 >= chunk.buffer.byteLength) return chunk;
  const copy = Buffer.allocUnsafeSlow(chunk.byteLength);
  copy.set(chunk);
  return copy;
}

// Controls, format characters (zero-width, bidirectional: Unicode UAX 9, UTR 36), line and paragraph separators.
const unsafeText = /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu;

/** Text of a peer's made fit for a log or a terminal: at most `maxChars`, controls and bidi marks escaped. */
export function safeText(text: string, maxChars = 256): string {
  const cut = text.length > maxChars ? `${text.slice(0, maxChars)}…` : text;
  return cut.replace(unsafeText, c => `\\u{${c.codePointAt(0)?.toString(16)}}`);
}

/** `1536` → `1.5 KiB`. */
export function formatBytes(bytes: number): string {
  const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB'];
  let value = bytes;
  let unit = 0;
  while (value >= 1024 && unit < units.length - 1) {
    value /= 1024;
    unit += 1;
  }
  return `${unit === 0 ? value : value.toFixed(1)} ${units[unit]}`;
}
