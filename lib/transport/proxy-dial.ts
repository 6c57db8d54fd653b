import type { Socket } from 'node:net';
import { formatAddress, type HostPort } from '../core/address.ts';
import { safeText } from '../core/bytes.ts';
import { codeOf, LockwireError, messageOf } from '../core/errors.ts';

/** An HTTP proxy between here and the server (RFC 9110 section 9.3.6). */
export interface ProxyHop extends HostPort {
  /** Whether the proxy itself is spoken to over TLS. */
  readonly tls: boolean;
  /** Value of Proxy-Authorization; never logged. */
  readonly authorization?: string;
}

/** Status line and header of the proxy's answer. */
const maxProxyHeadBytes = 8192;

/**
 * Asks a proxy, over a connection to it, for a way to the server. Resolves when there is one: from then on the socket is
 * the server's. Throws `denied` where the proxy says no, `unavailable` where it can't or the connection breaks,
 * `protocol` where what it says is no HTTP.
 */
export async function requestTunnel(socket: Socket, proxy: ProxyHop, server: HostPort): Promise<void> {
  const authority = formatAddress(server);
  const lines = [
    `CONNECT ${authority} HTTP/1.1`,
    // RFC 9112 section 3.2.3: the same as the target.
    `Host: ${authority}`,
    ...(proxy.authorization === undefined ? [] : [`Proxy-Authorization: ${proxy.authorization}`]),
  ];
  socket.write(`${lines.join('\r\n')}\r\n\r\n`);
  const { head, rest } = await readHead(socket, proxy);
  const [, status = '', reason = ''] = /^HTTP\/1\.[01] ([0-9]{3})(?: ([^\r\n]*))?\r\n/.exec(head) ?? [];
  if (status === '') throw new LockwireError('protocol', `${where(proxy)} answered something else than HTTP`);
  // Any 2xx opens the way; content-length and transfer-encoding mean nothing then.
  if (!status.startsWith('2')) throw refused(proxy, authority, Number(status), reason);
  if (rest.length > 0) socket.unshift(rest);
}

function refused(proxy: ProxyHop, authority: string, status: number, reason: string): LockwireError {
  const said = `${where(proxy)} refused ${authority}: ${status} ${safeText(reason, 80)}`.trimEnd();
  if (status === 407) {
    const hint = proxy.authorization
      ? 'the user or password in HTTPS_PROXY is not accepted'
      : 'it wants a user: HTTPS_PROXY=http://USER:PASSWORD@HOST:PORT';
    return new LockwireError('denied', `${said}; ${hint}`);
  }
  // 408 and 429 pass by themselves, as do those of a proxy that can't reach the server now.
  const passes = status >= 500 || status === 408 || status === 429;
  return new LockwireError(passes ? 'unavailable' : 'denied', said);
}

function readHead(socket: Socket, proxy: ProxyHop): Promise<{ head: string; rest: Buffer }> {
  return new Promise((resolve, reject) => {
    let bytes: Buffer = Buffer.alloc(0);
    const settle = (error?: LockwireError, end = 0): void => {
      socket.off('data', look).off('end', ended).off('close', ended).off('error', broke);
      socket.pause();
      if (error) reject(error);
      else resolve({ head: bytes.toString('latin1', 0, end), rest: bytes.subarray(end) });
    };
    const look = (chunk: Buffer): void => {
      bytes = Buffer.concat([bytes, chunk]);
      const end = bytes.subarray(0, maxProxyHeadBytes).indexOf('\r\n\r\n');
      if (end >= 0) settle(undefined, end + 4);
      else if (bytes.length >= maxProxyHeadBytes) {
        settle(new LockwireError('limit', `${where(proxy)} answered with more than ${maxProxyHeadBytes} B`));
      }
    };
    const broke = (error: Error): void => settle(lost(proxy, codeOf(error) || messageOf(error)));
    const ended = (): void => settle(lost(proxy, 'it closed the connection without an answer'));
    socket.on('data', look).once('end', ended).once('close', ended).once('error', broke);
  });
}

function lost(proxy: ProxyHop, what: string): LockwireError {
  return new LockwireError('unavailable', `${where(proxy)}: ${what}`);
}

function where(proxy: ProxyHop): string {
  return `proxy ${formatAddress({ host: proxy.host, port: proxy.port })}`;
}
