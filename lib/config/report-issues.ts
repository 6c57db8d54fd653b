import type { z } from 'zod';
import type { JsonDocument } from './json-document.ts';
import { type JsonSchema, knownKeys } from './json-schema.ts';
import { nearMiss } from './near-miss.ts';
import type { ConfigPath } from './problem.ts';

type Issue = z.core.$ZodIssue;

/** Turns what the schema found into lines that a person can act on. */
export function reportIssues(document: JsonDocument, issues: readonly Issue[], schema: JsonSchema): void {
  for (const issue of issues) reportIssue(document, issue, schema);
}

function reportIssue(document: JsonDocument, issue: Issue, schema: JsonSchema): void {
  const path = issue.path.filter(part => typeof part !== 'symbol');
  if (issue.code === 'unrecognized_keys') {
    const known = knownKeys(schema, path);
    for (const key of issue.keys) reportUnknownKey(document, path, key, known);
    return;
  }
  if (!isOurs(issue.message) && reportKind(document, path, issue)) return;
  const [before, expected] = split(issue.message);
  // The value of a setting that is refused as a whole would add nothing, and may be a secret.
  if (expected === undefined) document.error(path, { message: issue.message, showValue: false });
  else if (issue.input === undefined) document.error(path, { message: 'missing', expected });
  else document.error(path, { message: before ?? kindMismatch(issue.input), expected });
}

/** zod's own messages start so; those of `fields.ts` do not. */
function isOurs(message: string): boolean {
  return !/^(Invalid|Too (big|small)|Unrecognized)/.test(message);
}

/** What zod says in its own words, in ours; false where there is nothing better than its message. */
function reportKind(document: JsonDocument, path: ConfigPath, issue: Issue): boolean {
  if (issue.code === 'invalid_value') reportChoice(document, path, issue.input, issue.values.map(String));
  else if (issue.code === 'invalid_type')
    document.error(path, {
      message: issue.input === undefined ? 'missing' : kindMismatch(issue.input),
      expected: describeKind(issue.expected),
    });
  else if (issue.code === 'too_small' && issue.origin === 'array')
    document.error(path, { message: kindMismatch(issue.input), expected: 'at least one entry' });
  else return false;
  return true;
}

/** Messages of our own fields: `expected …`, or `what is wrong; expected …`. */
function split(message: string): [string | undefined, string | undefined] {
  const match = /^(?:(.*); )?expected (.*)$/s.exec(message);
  return match === null ? [undefined, undefined] : [match[1], match[2]];
}

function reportUnknownKey(
  document: JsonDocument,
  path: ConfigPath,
  key: string,
  known: readonly string[],
): void {
  const near = nearMiss(key, known);
  const expected = near === undefined && known.length > 0 ? `one of ${known.join(', ')}` : undefined;
  document.keyError(path, key, { message: 'unknown key', near, expected });
}

function reportChoice(
  document: JsonDocument,
  path: ConfigPath,
  input: unknown,
  values: readonly string[],
): void {
  document.error(path, {
    message: input === undefined ? 'missing' : 'not one of the choices',
    expected: values.map(value => `"${value}"`).join(' or '),
    near: typeof input === 'string' ? nearMiss(input, values) : undefined,
  });
}

function kindMismatch(input: unknown): string {
  if (typeof input === 'string' || typeof input === 'number') return 'wrong value';
  return `wrong value: ${kindOf(input)}`;
}

function kindOf(input: unknown): string {
  if (input === null) return 'null';
  if (Array.isArray(input)) return input.length === 0 ? 'an empty list' : 'a list';
  return typeof input === 'object' ? 'an object' : `a ${typeof input}`;
}

function describeKind(expected: string): string {
  const kinds: Readonly<Record<string, string>> = {
    array: 'a list [ … ]',
    object: 'an object { … }',
    string: 'a text',
    boolean: 'true or false',
    int: 'a whole number',
  };
  return kinds[expected] ?? `a ${expected}`;
}
