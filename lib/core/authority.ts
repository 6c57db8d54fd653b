import { parseHostPort } from './address.ts';

/** The authority of a request or of the config: lower case, an IPv6 address without its brackets. */
export interface Authority {
  readonly host: string;
  readonly port?: number;
}

/** Longest that is looked at: a DNS name of 253 characters and a port. */
export const maxAuthorityChars = 259;

/**
 * `HOST` or `HOST:PORT` (RFC 3986 section 3.2), an IPv6 address in brackets. Undefined for anything else: userinfo,
 * which HTTP/2 forbids (RFC 9113 section 8.3.1), an empty port, port 0, a name that ends in a dot.
 */
export function parseAuthority(text: string): Authority | undefined {
  if (text.length > maxAuthorityChars) return undefined;
  const lower = text.toLowerCase();
  const whole = parseHostPort(lower);
  if (whole !== undefined) return whole;
  const host = parseHostPort(`${lower}:1`)?.host;
  return host === undefined ? undefined : { host };
}

/** As a key: `a.example`, `a.example:8443`, `[::1]:8443`. */
export function formatAuthority({ host, port }: Authority): string {
  const name = host.includes(':') ? `[${host}]` : host;
  return port === undefined ? name : `${name}:${port}`;
}
