import { LockwireError } from '../core/errors.ts';
import { maxTokenBytes } from '../core/limits.ts';
import { readTextFile } from './read-file.ts';

/**
 * Reads the token anew: whoever renews it replaces the file. Errors name the path, never the content.
 */
export async function readToken(path: string): Promise<string> {
  const token = (await readTextFile(path, { secret: true, maxBytes: maxTokenBytes })).trim();
  if (token === '') throw new LockwireError('config', `holds no token: ${path}`);
  // What a token may consist of (RFC 6750 section 2.1); also, nothing that could end a header or a line.
  if (!/^[A-Za-z0-9\-._~+/]+=*$/.test(token))
    throw new LockwireError('config', `holds something else than one token: ${path}`);
  return token;
}
