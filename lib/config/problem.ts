import { safeText } from '../core/bytes.ts';
import { LockwireError } from '../core/errors.ts';

/** Where in a document: keys and indices from its root. */
export type ConfigPath = readonly (string | number)[];

/** One thing that is wrong with a config, or that its owner should know. */
export interface Problem {
  readonly severity: 'error' | 'warning';
  readonly file: string;
  /** From 1; 0 where it concerns the file as a whole. */
  readonly line: number;
  readonly column: number;
  /** `listeners[0].tls.minVersion`; empty for the document. */
  readonly path: string;
  /** What is wrong. */
  readonly message: string;
  /** The value as JSON, shortened; absent where it may be a secret. */
  readonly value?: string;
  readonly expected?: string;
  /** The near miss: what the writer most likely meant. */
  readonly near?: string;
}

/** All that is wrong with a config, at once. */
export class ConfigError extends LockwireError {
  readonly problems: readonly Problem[];

  constructor(problems: readonly Problem[]) {
    super('config', problems.map(formatProblem).join('\n'));
    this.name = 'ConfigError';
    this.problems = problems;
  }

  /** A line a problem, in the order of the file. */
  format(): string {
    return this.message;
  }
}

/** `gateway.json:3:14 listeners[0].bind: is no address; value "x"; expected IP:PORT` */
export function formatProblem(problem: Problem): string {
  const { line, column, path, value, expected, near } = problem;
  const place = `${safeText(problem.file, 1024)}${line > 0 ? `:${line}:${column}` : ''}`;
  const parts = [problem.message];
  if (value !== undefined) parts.push(`value ${value}`);
  if (expected !== undefined) parts.push(`expected ${expected}`);
  if (near !== undefined) parts.push(`did you mean "${near}"?`);
  return `${place}${path ? ` ${path}` : ''}: ${problem.severity === 'warning' ? 'warning: ' : ''}${parts.join('; ')}`;
}

/** `['listeners', 0, 'bind']` → `listeners[0].bind`. */
export function formatPath(path: ConfigPath): string {
  let text = '';
  for (const part of path) {
    if (typeof part === 'number') text += `[${part}]`;
    else text += `${text ? '.' : ''}${safeText(part, 64)}`;
  }
  return text;
}

const secretName = /key|token|secret|password|passwd|credential|authorization|cookie/i;
// A PEM block, a JSON web token, a URL with a user in it.
const secretText = /-----BEGIN|^eyJ[\w-]{8}|\/\/[^/\s]*@/;

/** A value fit for an error: JSON, at most 80 characters; undefined where it is or may be a secret. */
export function showValue(path: ConfigPath, value: unknown): string | undefined {
  if (value === undefined || typeof value === 'object') return undefined;
  if (path.some(part => typeof part === 'string' && secretName.test(part))) return undefined;
  const text = JSON.stringify(value);
  return secretText.test(String(value)) ? undefined : safeText(text, 80);
}
