/** Text as the UTF-8 of a string field; a lone surrogate becomes U+FFFD. */

export function textBytes(text: string): number {
  return Buffer.byteLength(text, 'utf8');
}

/** Writes text of so many bytes (`textBytes`) at `at`; returns the offset behind it. */
export function writeText(out: Buffer, at: number, text: string, bytes: number): number {
  // A byte a character is ASCII, and that is written faster.
  return at + out.write(text, at, bytes, bytes === text.length ? 'latin1' : 'utf8');
}
