/**
 * What a policy is told of an HTTP request, and which paths no policy can be asked about. Nothing is normalised: what
 * is decided upon is byte for byte what is forwarded, so a path that servers read in two ways is refused instead.
 */

/** The context of the action `call`. */
export interface CallContext extends Readonly<Record<string, string>> {
  readonly method: string;
  /** The authority as the client wrote it, with its port where it wrote one; lower case (RFC 3986 section 3.2.2). */
  readonly host: string;
  /** Without the query. */
  readonly path: string;
}

/** Of a request whose path `ambiguousPath` has nothing against and whose authority `parseAuthority` knows. */
export function callContext(method: string, authority: string, path: string): CallContext {
  const query = path.indexOf('?');
  return { method, host: authority.toLowerCase(), path: query < 0 ? path : path.slice(0, query) };
}

/** What nearly every path is, all gRPC ones among them: looked at once, and nothing in it means anything else. */
const plainPath = /^(?:\/[A-Za-z0-9_-][A-Za-z0-9._-]*)+$/;

/**
 * In the path itself, before the query. Of the characters that RFC 3986 section 2.3 calls unreserved an escape is the
 * same path written in another way, which no honest client has a reason for.
 */
const ambiguities: readonly (readonly [RegExp, string])[] = [
  [/\/\//, 'an empty segment (//)'],
  [/\/\.{1,2}(?:\/|$)/, 'a segment of dots (/./ or /../)'],
  [/\\/, 'a backslash'],
  [/;/, 'parameters (;)'],
  [/#/, 'a fragment (#)'],
  [/%2f/i, 'an escaped slash (%2f)'],
  [/%5c/i, 'an escaped backslash (%5c)'],
  [/%2e/i, 'an escaped dot (%2e)'],
  [/%(?:[01][0-9a-f]|7f)/i, 'an escaped control character (%00 to %1f, %7f)'],
  [/%(?:[46][1-9a-f]|[57][0-9a]|3[0-9]|2d|5f|7e)/i, 'an escaped letter, digit, "-", "_" or "~"'],
];

/**
 * What is wrong with a request's path (`:path`, its query with it): one safe text that completes "the path has …".
 * Undefined where every server must read it in the same way.
 */
export function ambiguousPath(path: string, method = ''): string | undefined {
  if (plainPath.test(path)) return undefined;
  // Of the server as a whole (RFC 9110 section 7.1).
  if (path === '*' && method === 'OPTIONS') return undefined;
  if (!path.startsWith('/')) return 'no slash at its start';
  if (!/^[\x21-\x7e]*$/.test(path)) return 'a space, a control character or one beyond ASCII';
  const query = path.indexOf('?');
  const own = query < 0 ? path : path.slice(0, query);
  for (const [pattern, what] of ambiguities) if (pattern.test(own)) return what;
  // A percent sign without its digits, and bytes that are no UTF-8: overlong forms are how a slash hides.
  return isDecodable(own) ? undefined : 'an escape that is not UTF-8';
}

function isDecodable(path: string): boolean {
  try {
    decodeURIComponent(path);
    return true;
  } catch {
    return false;
  }
}
