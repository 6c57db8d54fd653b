/** One policy of a file, where it begins. */
export interface PolicyText {
  readonly text: string;
  /** Bytes (UTF-8) before it in the file: Cedar counts in bytes. */
  readonly startByte: number;
}

// A string with its escapes, a comment to the end of its line (a CR alone ends it too, as in Cedar), or the end of a
// policy. Cedar has no other place for ';'. A string without an end goes on to that of the file: looking for the end
// again behind each further quote would take minutes.
const tokens = /"(?:[^"\\]|\\[\s\S])*"?|\/\/[^\r\n]*|;/g;
const blank = /^(?:\s|\/\/[^\r\n]*(?:[\r\n]|$))*/;

/** Cuts a file into its policies, each without the white space and comments before it; what is no policy stays whole. */
export function splitPolicies(text: string): readonly PolicyText[] {
  const policies: PolicyText[] = [];
  let start = 0;
  for (const { 0: token, index } of text.matchAll(tokens)) {
    if (token !== ';') continue;
    add(index + 1);
    start = index + 1;
  }
  add(text.length);
  return policies;

  function add(end: number): void {
    const piece = text.slice(start, end);
    const skipped = blank.exec(piece)?.[0].length ?? 0;
    if (skipped === piece.length) return;
    policies.push({
      text: piece.slice(skipped),
      startByte: Buffer.byteLength(text.slice(0, start + skipped)),
    });
  }
}

/** `file:line:column` of a byte of a file's text. */
export function locate(file: string, text: string, byte: number): string {
  const { line, column } = position(text, byte);
  return `${file}:${line}:${column}`;
}

/** Line and column, both from 1. */
export function position(text: string, byte: number): { line: number; column: number } {
  const before = Buffer.from(text).subarray(0, byte).toString();
  const lines = before.split('\n');
  return { line: lines.length, column: [...(lines.at(-1) ?? '')].length + 1 };
}
