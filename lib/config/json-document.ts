import { createScanner, type Node, type ParseError, parseTree, printParseErrorCode } from 'jsonc-parser';
import { type ConfigPath, formatPath, type Problem, showValue } from './problem.ts';

/** Largest config file. */
export const maxConfigBytes = 1_048_576;
/** Deepest nesting; a config has six levels. */
const maxConfigDepth = 32;
/** A file that is not JSON at all gives an error a token: these are enough to see that. */
const maxSyntaxProblems = 10;

/** What a problem says beside its place. */
export interface ProblemText {
  readonly message: string;
  readonly expected?: string | undefined;
  readonly near?: string | undefined;
  /** False where the value would add nothing or may be a secret. */
  readonly showValue?: boolean;
}

/** A JSON document with comments and trailing commas, that knows where each of its values stands. */
export class JsonDocument {
  readonly file: string;
  /** The document's plain value; undefined where the text could not be read as one. */
  readonly value: unknown;
  readonly #text: string;
  readonly #root: Node | undefined;
  readonly #problems: Problem[] = [];

  constructor(file: string, text: string) {
    this.file = file;
    this.#text = text.startsWith('\uFEFF') ? ` ${text.slice(1)}` : text;
    this.#root = this.#parse();
    this.value = this.#root && plainValue(this.#root);
  }

  /** In the order of the file, errors and warnings. */
  get problems(): readonly Problem[] {
    return this.#problems.toSorted((a, b) => a.line - b.line || a.column - b.column);
  }

  get failed(): boolean {
    return this.#problems.some(({ severity }) => severity === 'error');
  }

  /** True where something stands at exactly this path. */
  has(path: ConfigPath): boolean {
    return this.#lookUp(path).exact;
  }

  /** `listeners[0].bind (line 3)`. */
  describe(path: ConfigPath): string {
    return `${formatPath(path)} (line ${this.#place(this.#find(path)?.offset ?? 0).line})`;
  }

  error(path: ConfigPath, text: ProblemText): void {
    this.#report('error', path, this.#find(path), text);
  }

  warn(path: ConfigPath, text: ProblemText): void {
    this.#report('warning', path, this.#find(path), text);
  }

  /** An error that stands at a key rather than at its value. */
  keyError(objectPath: ConfigPath, key: string, text: ProblemText): void {
    const property = this.#find(objectPath)?.children?.find(child => child.children?.[0]?.value === key);
    this.#report('error', [...objectPath, key], property ?? this.#find(objectPath), {
      ...text,
      showValue: false,
    });
  }

  #parse(): Node | undefined {
    const deep = tooDeepAt(this.#text);
    if (deep !== undefined) {
      this.#reportAt(deep, `nested deeper than ${maxConfigDepth} levels`);
      return undefined;
    }
    const errors: ParseError[] = [];
    const root = parseTree(this.#text, errors, { allowTrailingComma: true });
    for (const { offset, error } of errors.slice(0, maxSyntaxProblems))
      this.#reportAt(offset, `not JSON: ${printParseErrorCode(error)}`);
    if (errors.length > 0) return undefined;
    if (root === undefined) {
      this.#reportAt(0, 'empty; expected a JSON object');
      return undefined;
    }
    this.#checkKeys(root, []);
    return root;
  }

  /** JSON lets a key stand twice and readers differ about which counts (RFC 8259 section 4): here neither does. */
  #checkKeys(node: Node, path: ConfigPath): void {
    const seen = new Set<string>();
    for (const [index, child] of (node.children ?? []).entries()) {
      if (node.type === 'array') {
        this.#checkKeys(child, [...path, index]);
        continue;
      }
      const [key, value] = child.children ?? [];
      const name = String(key?.value);
      const here = [...path, name];
      if (seen.has(name))
        this.#report('error', here, child, { message: 'the key stands twice', showValue: false });
      if (name === '__proto__')
        this.#report('error', here, child, { message: 'unknown key', showValue: false });
      seen.add(name);
      if (value) this.#checkKeys(value, here);
    }
  }

  /** What a problem at this path points to: where the value is missing, what would hold it. */
  #find(path: ConfigPath): Node | undefined {
    return this.#lookUp(path).node;
  }

  #lookUp(path: ConfigPath): { readonly node: Node | undefined; readonly exact: boolean } {
    let node = this.#root;
    for (const part of path) {
      const next = node && childAt(node, part);
      if (next === undefined) return { node, exact: false };
      node = next;
    }
    return { node, exact: node !== undefined };
  }

  #report(severity: Problem['severity'], path: ConfigPath, node: Node | undefined, text: ProblemText): void {
    const shown = text.showValue === false ? undefined : showValue(path, valueAt(this.value, path));
    this.#problems.push({
      severity,
      file: this.file,
      ...this.#place(node?.offset ?? 0),
      path: formatPath(path),
      message: text.message,
      ...(shown !== undefined && { value: shown }),
      ...(text.expected !== undefined && { expected: text.expected }),
      ...(text.near !== undefined && { near: text.near }),
    });
  }

  #reportAt(offset: number, message: string): void {
    this.#problems.push({ severity: 'error', file: this.file, ...this.#place(offset), path: '', message });
  }

  #place(offset: number): { line: number; column: number } {
    const before = this.#text.slice(0, offset);
    const lineStart = before.lastIndexOf('\n') + 1;
    return { line: before.split('\n').length, column: offset - lineStart + 1 };
  }
}

// jsonc-parser's SyntaxKind, which is a const enum and so not to be imported here.
const openBrace = 1;
const closeBrace = 2;
const openBracket = 3;
const closeBracket = 4;
const endOfText = 17;

/** jsonc-parser recurses: depth is checked before it, without recursion. */
function tooDeepAt(text: string): number | undefined {
  const scanner = createScanner(text, true);
  let depth = 0;
  for (let token: number = scanner.scan(); token !== endOfText; token = scanner.scan()) {
    if (token === openBrace || token === openBracket) depth += 1;
    if (token === closeBrace || token === closeBracket) depth -= 1;
    if (depth > maxConfigDepth) return scanner.getTokenOffset();
  }
  return undefined;
}

function childAt(node: Node, part: string | number): Node | undefined {
  if (typeof part === 'number') return node.type === 'array' ? node.children?.[part] : undefined;
  return node.children?.find(child => child.children?.[0]?.value === part)?.children?.[1];
}

function plainValue(node: Node): unknown {
  if (node.type === 'array') return (node.children ?? []).map(plainValue);
  if (node.type !== 'object') return node.value;
  const entries = (node.children ?? []).flatMap(({ children: [key, value] = [] }) =>
    key && value && key.value !== '__proto__' ? [[String(key.value), plainValue(value)] as const] : [],
  );
  return Object.fromEntries(entries);
}

function valueAt(value: unknown, path: ConfigPath): unknown {
  let current = value;
  for (const part of path) {
    if (typeof current !== 'object' || current === null || !Object.hasOwn(current, part)) return undefined;
    current = (current as Record<string | number, unknown>)[part];
  }
  return current;
}
