/** Requests of a CONNECT proxy's clients (RFC 9110 section 9.3.6, RFC 9112 section 3.2.3): bytes to what was asked. */

export type ConnectRequest =
  /** The head has not ended yet. */
  | { readonly kind: 'partial' }
  | {
      readonly kind: 'connect';
      /** Lower case; IPv6 without brackets. */
      readonly host: string;
      readonly port: number;
      /** Of the head, with the empty line. */
      readonly headBytes: number;
    }
  | { readonly kind: 'refused'; readonly status: string; readonly text: string };

/** Request line and header together. */
export const maxConnectHeadBytes = 8192;

// RFC 9110 section 5.6.2.
const token = "[!#$%&'*+.^_`|~0-9A-Za-z-]+";
const requestLine = new RegExp(`^(${token}) ([^ ]+) HTTP/1\\.([01])$`);
// RFC 9112 section 5: no space before the colon, no folded lines; no controls but the tab in a value.
const headerLine = new RegExp(`^(${token}):[\\t ]*([\\t\\x20-\\x7e\\x80-\\xff]*)$`);
const authority = /^(?:\[([0-9a-f:.]{2,45})\]|([a-z0-9._-]{1,253})):([1-9][0-9]{0,4})$/;

/** Looks at a connection's first bytes. */
export function parseConnectRequest(bytes: Buffer): ConnectRequest {
  const end = bytes.subarray(0, maxConnectHeadBytes).indexOf('\r\n\r\n');
  if (end < 0) {
    if (bytes.length >= maxConnectHeadBytes) {
      const text = `the request's head has more than ${maxConnectHeadBytes} B`;
      return { kind: 'refused', status: '431 Request Header Fields Too Large', text };
    }
    // Said at once where it can only be something else: TLS, HTTP/2, rubbish that no line ends.
    const first = bytes.toString('latin1', 0, 24);
    return /^[!#$%&'*+.^_`|~0-9A-Za-z-]*($| )/.test(first) ? { kind: 'partial' } : bad('this is not HTTP/1');
  }
  const [first = '', ...lines] = bytes.toString('latin1', 0, end).split('\r\n');
  const [, method, target = '', minor] = requestLine.exec(first) ?? [];
  if (method === undefined) return bad('the request line is malformed');
  if (method !== 'CONNECT') {
    return {
      kind: 'refused',
      status: '405 Method Not Allowed',
      text: 'This port is a CONNECT proxy of Lockwire; it takes no other method.',
    };
  }
  const wrong = headerFault(lines, minor === '1');
  return wrong === undefined ? asked(target, end + 4) : bad(wrong);
}

function asked(target: string, headBytes: number): ConnectRequest {
  const [, bracketed, name, digits] = authority.exec(target.toLowerCase()) ?? [];
  const host = bracketed ?? name;
  const port = Number(digits);
  if (host === undefined || port > 65_535) return bad('expected CONNECT HOST:PORT');
  return { kind: 'connect', host, port, headBytes };
}

/** Nothing in the header is used, so that nothing in it can be read in two ways; but it must be one. */
function headerFault(lines: readonly string[], needsHost: boolean): string | undefined {
  let hosts = 0;
  for (const line of lines) {
    const name = headerLine.exec(line)?.[1]?.toLowerCase();
    if (name === undefined) return 'a header line is malformed';
    if (name === 'host') hosts += 1;
    // RFC 9110 section 9.3.6: a CONNECT has no content; what follows the head is the tunnel's.
    if (name === 'content-length' || name === 'transfer-encoding') return 'a CONNECT has no content';
  }
  // RFC 9112 section 3.2.
  return hosts > 1 || (needsHost && hosts === 0) ? `expected one Host header, got ${hosts}` : undefined;
}

function bad(text: string): ConnectRequest {
  return { kind: 'refused', status: '400 Bad Request', text };
}
