/** Text as the UTF-8 of a string field; a lone surrogate becomes U+FFFD. */

/** Up to here ASCII is written character by character: a native call costs more. */
const loopUpToChars = 64;

export function textBytes(text: string): number {
  return isShortAscii(text) ? text.length : Buffer.byteLength(text, 'utf8');
}

/** Writes at `at`; returns the offset behind it. */
export function writeText(out: Buffer, at: number, text: string): number {
  if (!isShortAscii(text)) return at + out.write(text, at, 'utf8');
  for (let index = 0; index < text.length; index += 1) out[at + index] = text.charCodeAt(index);
  return at + text.length;
}

function isShortAscii(text: string): boolean {
  if (text.length > loopUpToChars) return false;
  for (let index = 0; index < text.length; index += 1) {
    if (text.charCodeAt(index) >= 0x80) return false;
  }
  return true;
}
