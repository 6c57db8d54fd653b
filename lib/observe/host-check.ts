import { isIP } from 'node:net';

/**
 * True where the Host of a request to a loopback address names that address. A web page whose own name was made to
 * resolve to 127.0.0.1 (DNS rebinding) sends its own name, and is told apart by it.
 */
export function isAllowedHost(
  hosts: readonly string[] | undefined,
  boundHost: string,
  boundPort: number,
): boolean {
  // Exactly one (RFC 9112 section 3.2).
  if (hosts?.length !== 1) return false;
  const [, bracketed, plain, port] =
    /^(?:\[([0-9a-f:.]+)\]|([^:[\]]+))(?::([0-9]{1,5}))?$/i.exec(hosts[0] ?? '') ?? [];
  if (port !== undefined && Number(port) !== boundPort) return false;
  if (bracketed !== undefined) return bracketed === '::1' || bracketed === boundHost;
  const name = plain?.toLowerCase() ?? '';
  return name === 'localhost' || name === boundHost || (isIP(name) === 4 && name.startsWith('127.'));
}
