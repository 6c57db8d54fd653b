import { BlockList, isIP } from 'node:net';
import { type HostPort, isLoopback } from '../core/address.ts';
import { LockwireError } from '../core/errors.ts';
import type { Environment } from './environment.ts';

/** An HTTP proxy on the way to the gateway. */
export interface ForwardProxy extends HostPort {
  /** Whether the proxy itself is spoken to over TLS. */
  readonly tls: boolean;
  /** Value of Proxy-Authorization; never to be logged. */
  readonly authorization?: string;
}

/**
 * The proxy that the environment asks for on the way to this host over TLS, if any. Throws `usage` where its URL is no
 * good; the message never has the URL, which may hold a password.
 */
export function forwardProxy(env: Environment, gateway: HostPort): ForwardProxy | undefined {
  // Lower case wins where both are set, as in curl.
  const name = env.https_proxy === undefined ? 'HTTPS_PROXY' : 'https_proxy';
  const text = env[name] ?? '';
  if (text === '' || isExempt(env, gateway)) return undefined;
  return parseProxy(text, name);
}

/** As Go does: no proxy ever leads to this machine itself, or `lockwire up` would fail behind one. */
function isExempt(env: Environment, gateway: HostPort): boolean {
  if (gateway.host.toLowerCase() === 'localhost' || isLoopback(gateway.host)) return true;
  const exceptions = (env.no_proxy ?? env.NO_PROXY ?? '').split(/[\s,]+/).filter(Boolean);
  return exceptions.some(exception => covers(exception, gateway));
}

function parseProxy(text: string, name: string): ForwardProxy {
  const wrong = new LockwireError(
    'usage',
    `${name}: expected http://[USER:PASSWORD@]HOST[:PORT], or https://`,
  );
  // Without a scheme it is http, as in curl.
  const url = URL.parse(/^[a-z][a-z0-9+.-]*:\/\//i.test(text) ? text : `http://${text}`);
  if (url === null || (url.protocol !== 'http:' && url.protocol !== 'https:')) throw wrong;
  if (url.hostname === '' || url.port === '0' || url.pathname.length > 1 || url.search || url.hash)
    throw wrong;
  const tls = url.protocol === 'https:';
  const port = url.port === '' ? (tls ? 443 : 80) : Number(url.port);
  const host = url.hostname.replace(/^\[(.*)\]$/, '$1');
  const authorization = basic(url, wrong);
  return { host, port, tls, ...(authorization !== undefined && { authorization }) };
}

/** RFC 7617 section 2. */
function basic({ username, password }: URL, wrong: LockwireError): string | undefined {
  if (username === '' && password === '') return undefined;
  try {
    const pair = `${decodeURIComponent(username)}:${decodeURIComponent(password)}`;
    return `Basic ${Buffer.from(pair, 'utf8').toString('base64')}`;
  } catch {
    throw wrong;
  }
}

/** A name and all below it, an address, a range of addresses (CIDR), each perhaps with a port; or `*`. */
function covers(exception: string, { host, port }: HostPort): boolean {
  if (exception === '*') return true;
  const range = /^(.+)\/([0-9]{1,3})$/.exec(exception);
  if (range) return inRange(host, range[1] ?? '', Number(range[2]));
  const [, name = '', digits] =
    /^\[?(.*?)\]?(?::([0-9]+))?$/.exec(isIP(exception) ? `[${exception}]` : exception) ?? [];
  if (digits !== undefined && Number(digits) !== port) return false;
  const wanted = name.toLowerCase().replace(/^\*?\./, '');
  const actual = host.toLowerCase();
  if (actual === wanted) return true;
  if (isIP(host) !== 0) return isIP(wanted) !== 0 && inRange(host, wanted, isIP(wanted) === 4 ? 32 : 128);
  return wanted !== '' && actual.endsWith(`.${wanted}`);
}

function inRange(host: string, network: string, bits: number): boolean {
  const [family, own] = [isIP(network), isIP(host)];
  if (family === 0 || family !== own || bits > (family === 4 ? 32 : 128)) return false;
  const list = new BlockList();
  const kind = family === 4 ? 'ipv4' : 'ipv6';
  list.addSubnet(network, bits, kind);
  return list.check(host, kind);
}
