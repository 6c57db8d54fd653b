import { isIP } from 'node:net';
import type { HostPort } from '../core/address.ts';
import type { Environment } from './environment.ts';

/** True where the environment asks for a proxy on the way to this host over TLS. */
export function proxyApplies(env: Environment, gateway: HostPort): boolean {
  // Lower case wins where both are set, as in curl.
  const proxy = env.https_proxy ?? env.HTTPS_PROXY ?? '';
  if (proxy === '') return false;
  const exceptions = (env.no_proxy ?? env.NO_PROXY ?? '').split(/[\s,]+/).filter(Boolean);
  return !exceptions.some(exception => covers(exception, gateway));
}

function covers(exception: string, { host, port }: HostPort): boolean {
  if (exception === '*') return true;
  const [, name = '', digits] =
    /^\[?(.*?)\]?(?::([0-9]+))?$/.exec(isIP(exception) ? `[${exception}]` : exception) ?? [];
  if (digits !== undefined && Number(digits) !== port) return false;
  const wanted = name.toLowerCase().replace(/^\*?\./, '');
  const actual = host.toLowerCase();
  if (actual === wanted) return true;
  return isIP(host) === 0 && actual.endsWith(`.${wanted}`);
}
