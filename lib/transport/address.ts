import { BlockList, isIP } from 'node:net';
import { safeText } from '../core/bytes.ts';
import { LockwireError } from '../core/errors.ts';

/** Where plaintext may be: this machine only. */
export type LocalAddress =
  | { readonly kind: 'tcp'; readonly host: string; readonly port: number }
  | { readonly kind: 'unix'; readonly path: string };

export interface HostPort {
  /** A name or an address; IPv6 without brackets. */
  readonly host: string;
  readonly port: number;
}

/** `sun_path` holds 108 bytes with its NUL on Linux, 104 on macOS. */
export const maxUnixPathBytes: number = process.platform === 'linux' ? 107 : 103;
/** RFC 1035 section 2.3.4. */
const maxHostChars = 255;

const accepted = 'expected 127.0.0.1:PORT, [::1]:PORT, localhost:PORT or unix:PATH';

const loopback = new BlockList();
loopback.addSubnet('127.0.0.0', 8, 'ipv4');
loopback.addAddress('::1', 'ipv6');

/** True for addresses of 127.0.0.0/8, `::1` and the name `localhost`; other names are not looked up. */
export function isLoopback(host: string): boolean {
  const bare = plainAddress(host);
  const family = isIP(bare);
  if (family === 0) return bare.toLowerCase() === 'localhost';
  return loopback.check(bare, family === 6 ? 'ipv6' : 'ipv4');
}

/** `::ffff:192.0.2.1`, as dual-stack sockets report IPv4 peers (RFC 4291 section 2.5.5.2), as `192.0.2.1`. */
export function plainAddress(address: string): string {
  const mapped = /^::ffff:(\d+\.\d+\.\d+\.\d+)$/i.exec(address);
  return mapped?.[1] ?? address;
}

/** Reads an ADDR of the command line. Throws `usage` for anything that would carry plaintext off this machine. */
export function parseLocalAddress(text: string): LocalAddress {
  if (text.startsWith('unix:')) return { kind: 'unix', path: unixPath(text) };
  const { host, port } = split(text, accepted);
  if (!isLoopback(host)) {
    throw new LockwireError(
      'usage',
      `${quoted(text)} is not on loopback, and plaintext may not leave this machine: ${accepted}`,
    );
  }
  return { kind: 'tcp', host: host.toLowerCase() === 'localhost' ? '127.0.0.1' : host, port };
}

/** Reads HOST:PORT; the host may be a name, an IPv4 address or an IPv6 address in brackets. Throws `usage`. */
export function parseHostPort(text: string): HostPort {
  return split(text, 'expected HOST:PORT or [IPV6]:PORT');
}

export function formatAddress(address: LocalAddress | HostPort): string {
  if ('path' in address) return `unix:${address.path}`;
  return `${isIP(address.host) === 6 ? `[${address.host}]` : address.host}:${address.port}`;
}

function unixPath(text: string): string {
  const path = text.slice('unix:'.length);
  if (path === '' || path.includes('\0')) {
    throw new LockwireError('usage', `${quoted(text)} names no socket: ${accepted}`);
  }
  const bytes = Buffer.byteLength(path);
  if (bytes > maxUnixPathBytes) {
    throw new LockwireError(
      'usage',
      `the path of ${quoted(text)} has ${bytes} bytes, a unix socket's may have ${maxUnixPathBytes}`,
    );
  }
  return path;
}

function split(text: string, expected: string): HostPort {
  const match = /^(?:\[([^\]]+)\]|([^:[\]\s]+)):(\d{1,5})$/.exec(text);
  const port = Number(match?.[3]);
  const host = match?.[1] ?? match?.[2] ?? '';
  const bracketed = match?.[1] !== undefined;
  if (!match || host.length > maxHostChars || (bracketed && isIP(host) !== 6)) {
    throw new LockwireError('usage', `${quoted(text)} is not an address: ${expected}`);
  }
  if (port > 65_535) {
    throw new LockwireError('usage', `${quoted(text)} has port ${port}, the highest is 65535`);
  }
  return { host, port };
}

function quoted(text: string): string {
  return `"${safeText(text, 120)}"`;
}
