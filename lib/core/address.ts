import { isIP } from 'node:net';
import { safeText } from './bytes.ts';
import { LockwireError } from './errors.ts';

/** An IP address and a port; port 0 where the system is to choose one. */
export interface HostPort {
  readonly host: string;
  readonly port: number;
}

/** Where `connect` listens or `expose` dials: loopback TCP or a unix socket, nothing else carries plaintext. */
export type LocalAddress =
  | ({ readonly kind: 'tcp' } & HostPort)
  | { readonly kind: 'unix'; readonly path: string };

/** What fits `sun_path` without its terminating zero: 108 bytes on Linux, 104 on macOS. */
export const maxUnixPathBytes: number = process.platform === 'linux' ? 107 : 103;

const hostPort = /^(?:\[([^\]]+)\]|([^:[\]]+)):(0|[1-9][0-9]{0,4})$/;
// RFC 1123 section 2.1; a whole name of digits and dots is no name but a mistyped address.
const dnsLabel = '[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?';
const dnsName = new RegExp(`^(?=.{1,253}$)(?![0-9.]+$)${dnsLabel}(?:\\.${dnsLabel})*$`);

/** `host:port` or `[ipv6]:port`, any host; undefined where the text is neither. */
function splitHostPort(text: string): HostPort | undefined {
  const [, bracketed, plain, digits] = hostPort.exec(text) ?? [];
  const host = bracketed ?? plain;
  const port = Number(digits);
  if (host === undefined || port > 65_535) return undefined;
  if (bracketed !== undefined ? isIP(bracketed) !== 6 : isIP(host) === 6) return undefined;
  return { host, port };
}

/** An address to bind: an IP address (or `localhost`, which is 127.0.0.1) and a port. */
export function parseBind(text: string): HostPort | undefined {
  const address = splitHostPort(text);
  if (address?.host.toLowerCase() === 'localhost') return { host: '127.0.0.1', port: address.port };
  return address !== undefined && isIP(address.host) !== 0 ? address : undefined;
}

/** An address to dial: an IP address or a DNS name, and a port other than 0. */
export function parseHostPort(text: string): HostPort | undefined {
  const address = splitHostPort(text);
  if (address === undefined || address.port === 0) return undefined;
  return isIP(address.host) !== 0 || isDnsName(address.host) ? address : undefined;
}

export function isDnsName(text: string): boolean {
  return dnsName.test(text);
}

/** True for addresses that never leave this machine, and for the name `localhost`; other names are not looked up. */
export function isLoopback(host: string): boolean {
  return (
    host === '::1' ||
    host.toLowerCase() === 'localhost' ||
    (isIP(host) === 4 && host.startsWith('127.')) ||
    /^::ffff:127\./i.test(host)
  );
}

/** `127.0.0.1:8443`, `[::1]:8443`, `unix:/run/x.sock`. */
export function formatAddress(address: HostPort | LocalAddress): string {
  if ('path' in address) return `unix:${address.path}`;
  const { host, port } = address;
  return isIP(host) === 6 ? `[${host}]:${port}` : `${host}:${port}`;
}

/** `::ffff:192.0.2.1`, as dual-stack sockets report IPv4 peers (RFC 4291 section 2.5.5.2), as `192.0.2.1`. */
export function plainAddress(address: string): string {
  const mapped = /^::ffff:(\d+\.\d+\.\d+\.\d+)$/i.exec(address);
  return mapped?.[1] ?? address;
}

/** `127.0.0.1:PORT`, `[::1]:PORT` or `unix:PATH`; throws `usage` naming what was given. */
export function parseLocalAddress(text: string, what: string): LocalAddress {
  if (text.startsWith('unix:')) return unixAddress(text.slice('unix:'.length), what);
  const address = parseBind(text);
  if (address === undefined)
    throw new LockwireError(
      'usage',
      `${what} "${safeText(text, 120)}": expected 127.0.0.1:PORT, [::1]:PORT or unix:PATH`,
    );
  if (!isLoopback(address.host))
    throw new LockwireError(
      'usage',
      `${what} "${safeText(text, 120)}" is not loopback: plaintext never leaves this machine; expected 127.0.0.1:PORT, [::1]:PORT or unix:PATH`,
    );
  return { kind: 'tcp', ...address };
}

function unixAddress(path: string, what: string): LocalAddress {
  // gRPC writes absolute paths as unix:///run/x.sock.
  const plain = path.startsWith('///') ? path.slice(2) : path;
  const bytes = Buffer.byteLength(plain);
  if (bytes === 0 || plain.includes('\0'))
    throw new LockwireError('usage', `${what} "unix:${path}": expected unix:PATH`);
  if (bytes > maxUnixPathBytes)
    throw new LockwireError(
      'usage',
      `${what}: the socket path is ${bytes} bytes long, the system takes at most ${maxUnixPathBytes}: ${plain}`,
    );
  return { kind: 'unix', path: plain };
}
