import type { Field } from '../../wire/hpack/fields.ts';

/** Fields that speak of a connection and not of a message (RFC 9113 section 8.2.2): a message that has one is malformed. */
const connectionFields = new Set([
  'connection',
  'keep-alive',
  'proxy-connection',
  'transfer-encoding',
  'upgrade',
]);

/** A client's credentials are for the gateway, and what it says of where it came from is no proof. */
const ownFields = new Set(['authorization', 'proxy-authorization', 'cookie', 'forwarded', 'x-real-ip']);

/** Characters of a field name: RFC 9110 section 5.6.2, less upper case (RFC 9113 section 8.2.1). */
const nameCharacters = tableOf("!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyz");

function tableOf(characters: string): Uint8Array {
  const table = new Uint8Array(256);
  for (const character of characters) table[character.charCodeAt(0)] = 1;
  return table;
}

/** What is wrong with a regular field (not a pseudo-header), as a safe text; undefined where nothing is. */
export function fieldFault({ name, value }: Field): string | undefined {
  if (name === '') return 'an empty field name';
  for (let i = 0; i < name.length; i += 1) {
    if (nameCharacters[name.charCodeAt(i)] !== 1)
      return 'a field name with a character that may not be in one';
  }
  if (connectionFields.has(name)) return `the connection-specific field ${name}`;
  if (name === 'te' && value !== 'trailers') return 'te with another value than trailers';
  return valueFault(value) ? `a value of ${name} with a character that may not be in one` : undefined;
}

/** NUL, CR, LF; white space at either end (RFC 9113 section 8.2.1). */
export function valueFault(value: string): boolean {
  for (let i = 0; i < value.length; i += 1) {
    const code = value.charCodeAt(i);
    if (code === 0 || code === 10 || code === 13) return true;
  }
  return isSpace(value.charCodeAt(0)) || isSpace(value.charCodeAt(value.length - 1));
}

function isSpace(code: number): boolean {
  return code === 32 || code === 9;
}

/** Whether a client's field stays here. Servers that take `_` for `-` must not be fooled by it either. */
export function staysHere(name: string): boolean {
  const plain = name.includes('_') ? name.replaceAll('_', '-') : name;
  return ownFields.has(plain) || plain.startsWith('x-lockwire-') || plain.startsWith('x-forwarded-');
}

/** Whether an upstream's field stays here: what Lockwire says of itself can't come from anyone else. */
export function staysUpstream(name: string): boolean {
  return (name.includes('_') ? name.replaceAll('_', '-') : name).startsWith('x-lockwire-');
}

/** A length in digits; undefined where it is none (RFC 9110 section 8.6). */
export function contentLength(value: string): number | undefined {
  return /^\d{1,15}$/.test(value) ? Number(value) : undefined;
}
