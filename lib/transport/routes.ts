import { LockwireError } from '../core/errors.ts';
import type { Route } from '../core/ports.ts';
import type { ListenerOptions, TcpRoute } from './options.ts';

const tunnelProtocol = 'lockwire/1';
/** HTTP/2 over TLS (RFC 9113 section 3.2). */
const http2Protocol = 'h2';

export type Chosen =
  | { readonly route: Route; readonly alpn: string; readonly clientCertificate: boolean }
  | { readonly route: undefined; readonly why: string };

/** Which way a connection goes: its server name first, then what it offers by ALPN. */
export class Routes {
  readonly #tunnel: boolean;
  readonly #http2: boolean;
  readonly #exact = new Map<string, TcpRoute>();
  /** By what stands behind `*`, with its dot. */
  readonly #wildcards = new Map<string, TcpRoute>();

  constructor(listener: string, { tunnel, http2, tcp }: ListenerOptions['routes']) {
    this.#tunnel = tunnel;
    this.#http2 = http2;
    for (const route of tcp) for (const name of route.serverNames) this.#add(listener, name, route);
  }

  #add(listener: string, name: string, route: TcpRoute): void {
    const lower = name.toLowerCase();
    const wildcard = lower.startsWith('*.');
    const labels = wildcard ? lower.slice(2) : lower;
    if (!/^[a-z0-9_-]+(\.[a-z0-9_-]+)*$/.test(labels)) {
      throw new LockwireError(
        'config',
        `listener ${listener}: "${name}" is not a server name; expected a host name or *.DOMAIN`,
      );
    }
    const map = wildcard ? this.#wildcards : this.#exact;
    const key = wildcard ? lower.slice(1) : lower;
    const other = map.get(key);
    if (other) {
      throw new LockwireError(
        'config',
        `listener ${listener}: server name "${name}" leads to both ${other.target} and ${route.target}`,
      );
    }
    map.set(key, route);
  }

  /** The TCP target of a server name (lower case); an exact name goes before a wildcard. */
  tcpRoute(serverName: string): TcpRoute | undefined {
    const exact = this.#exact.get(serverName);
    if (exact) return exact;
    const dot = serverName.indexOf('.');
    return dot > 0 ? this.#wildcards.get(serverName.slice(dot)) : undefined;
  }

  /** A TCP target speaks its own protocol, so whatever its client offers first is agreed to. */
  choose(serverName: string, offered: readonly string[]): Chosen {
    const tcp = this.tcpRoute(serverName);
    if (tcp) {
      return {
        route: { kind: 'tcp', target: tcp.target },
        // GREASE values (RFC 8701) are no text and mean nothing.
        alpn: offered.find(protocol => /^[\x21-\x7e]+$/.test(protocol)) ?? '',
        clientCertificate: tcp.clientCertificate,
      };
    }
    if (this.#tunnel && offered.includes(tunnelProtocol)) {
      return { route: { kind: 'tunnel' }, alpn: tunnelProtocol, clientCertificate: false };
    }
    // Who it is from may stand in each request, so no certificate is wanted here that the listener does not want.
    if (this.#http2 && offered.includes(http2Protocol)) {
      return { route: { kind: 'http2' }, alpn: http2Protocol, clientCertificate: false };
    }
    return { route: undefined, why: 'no route for its server name and ALPN protocols' };
  }
}
