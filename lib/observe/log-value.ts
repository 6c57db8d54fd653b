import { safeText } from '../core/bytes.ts';
import { codeOf } from '../core/errors.ts';
import type { LogFields } from '../core/ports.ts';
import { maxLogDepth, maxLogFields, maxLogValueChars } from './options.ts';

/** What a log line may hold: text without controls, bounded, and nothing that a field's name says is secret. */
export type LogValue =
  | string
  | number
  | boolean
  | null
  | readonly LogValue[]
  | { readonly [key: string]: LogValue };

const redacted = '[redacted]';

const secretWords = new Set([
  'authorization',
  'bearer',
  'cookie',
  'credential',
  'credentials',
  'jwt',
  'passphrase',
  'passwd',
  'password',
  'pem',
  'proof',
  'secret',
  'secrets',
  'token',
  'tokens',
]);
/** `key` alone, or a key of these kinds; a key's id or an agent's key is no secret. */
const secretKeys = new Set([
  'api',
  'instance',
  'key',
  'private',
  'secret',
  'session',
  'signing',
  'ticket',
  'tls',
]);
/** Facts about a secret that are none. */
const publicFacts = new Set([
  'id',
  'kind',
  'file',
  'path',
  'hash',
  'sha256',
  'bytes',
  'count',
  'type',
  'expires',
]);
// No part can fail after it has matched much, so the time is linear. What a secret looks like under any name: a JSON web token, a private key, an Authorization header.
const secretText =
  /eyJ[\w-]{8,}(?:\.[\w-]*)*|-----BEGIN [A-Z ]*PRIVATE KEY-----[\s\S]*?(?:-----END [A-Z ]*PRIVATE KEY-----|$)|\b(?:bearer|basic)\s+[\w+/=.~-]{8,}/gi;

/** The fields of a line, fit to be written. */
export function safeFields(fields: LogFields): Record<string, LogValue> {
  return safeObject(fields, 0, new Set());
}

/** Text without controls, bidirectional marks and anything that looks like a credential. */
export function safeLogText(text: string, maxChars: number = maxLogValueChars): string {
  // Cut before the search, so that a peer's megabyte costs nothing; cut again by safeText.
  const head = text.length > maxChars * 2 ? text.slice(0, maxChars * 2) : text;
  return safeText(head.replace(secretText, redacted), maxChars);
}

/** True where a field of this name is not shown: `token`, `privateKey`, `proxy-authorization`; not `tokenId`. */
export function isSecretName(name: string): boolean {
  const words = name
    .replace(/([a-z0-9])([A-Z])/g, '$1 $2')
    .toLowerCase()
    .split(/[^a-z0-9]+/)
    .filter(Boolean);
  const last = words.at(-1) ?? '';
  if (words.length > 1 && publicFacts.has(last)) return false;
  if (words.some(word => secretWords.has(word))) return true;
  return last === 'key' && (words.length === 1 || secretKeys.has(words.at(-2) ?? ''));
}

function safeValue(value: unknown, depth: number, above: ReadonlySet<object>): LogValue {
  if (value === null || value === undefined) return null;
  if (typeof value === 'string') return safeLogText(value);
  if (typeof value === 'boolean') return value;
  if (typeof value === 'number') return Number.isFinite(value) ? value : String(value);
  if (typeof value === 'bigint') return String(value);
  if (typeof value !== 'object') return `[${typeof value}]`;
  if (value instanceof Error) return safeError(value);
  if (value instanceof Uint8Array) return `[${value.byteLength} bytes]`;
  if (above.has(value) || depth >= maxLogDepth) return '[…]';
  const here = new Set(above).add(value);
  if (!Array.isArray(value)) return safeObject(value as LogFields, depth, here);
  const shown: LogValue[] = value.slice(0, maxLogFields).map(item => safeValue(item, depth + 1, here));
  if (value.length > maxLogFields) shown.push(`… ${value.length - maxLogFields} more`);
  return shown;
}

function safeObject(fields: LogFields, depth: number, above: ReadonlySet<object>): Record<string, LogValue> {
  const shown: [string, LogValue][] = [];
  const keys = Object.keys(fields);
  for (const key of keys.slice(0, maxLogFields)) {
    const value = fields[key];
    if (value === undefined) continue;
    shown.push([safeText(key, 64), isSecretName(key) ? redacted : safeValue(value, depth + 1, above)]);
  }
  if (keys.length > maxLogFields) shown.push(['more', keys.length - maxLogFields]);
  return Object.fromEntries(shown);
}

/** No stack: it says nothing to the reader of a log, and its first lines repeat a peer's text. */
function safeError(error: Error): LogValue {
  const code = codeOf(error) || error.name;
  return { code: safeText(code, 64), message: safeLogText(error.message) };
}
