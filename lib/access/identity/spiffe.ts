import { maxSpiffeIdChars } from './options.ts';
import { Refusal } from './refusal.ts';

export interface SpiffeId {
  readonly trustDomain: string;
  /** Empty, or begins with `/`. */
  readonly path: string;
}

/** Reads a SPIFFE ID by the letter of its specification (SPIFFE-ID sections 2.1 and 2.2). Throws Refusal. */
export function parseSpiffeId(text: string): SpiffeId {
  if (text.length > maxSpiffeIdChars)
    throw new Refusal('name', `SPIFFE ID of ${text.length} characters is longer than ${maxSpiffeIdChars}`);
  const [, trustDomain, path = ''] =
    /^spiffe:\/\/([a-z0-9._-]{1,255})((?:\/[A-Za-z0-9._-]+)*)$/.exec(text) ?? [];
  if (trustDomain === undefined) throw new Refusal('name', 'URI name is not a SPIFFE ID');
  // Whoever compares such a path after resolving it would see another one.
  if (path.split('/').some(segment => segment === '.' || segment === '..'))
    throw new Refusal('name', `SPIFFE ID has a path segment '.' or '..'`);
  return { trustDomain, path };
}
