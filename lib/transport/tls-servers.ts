import { constants, createHash, type X509Certificate } from 'node:crypto';
import { createServer, type Server, type TLSSocket } from 'node:tls';
import type { Clock } from '../core/clock.ts';
import { LockwireError } from '../core/errors.ts';
import { assertKeyMatches, parseCertificate, splitPem } from './certificates.ts';
import { ClientChains } from './client-chain.ts';
import type { ListenerLimits, ListenerTls } from './options.ts';
import { TicketKeys } from './ticket-keys.ts';
import { commonTlsOptions } from './tls-settings.ts';

export interface TlsEvents {
  secure(socket: TLSSocket): void;
  failed(error: Error, socket: TLSSocket): void;
  /** The protocol to agree on; undefined refuses the handshake with `no_application_protocol`. */
  alpn(serverName: string, offered: readonly string[]): string | undefined;
}

/**
 * The TLS side of one listener: a server that never listens for each server name, because OpenSSL compares a ticket's
 * session id context before any SNI callback could set another (RFC 8446 section 4.2.11 leaves that to us). So a
 * ticket is good for the listener, the server name and the client authorities that it was made for, and nothing else.
 */
export class TlsServers {
  readonly #listener: string;
  readonly #events: TlsEvents;
  readonly #clock: Clock;
  readonly #limits: ListenerLimits;
  readonly #keys: TicketKeys;
  #tls: ListenerTls;
  #authorities: readonly string[];
  #leaf: X509Certificate;
  #chains: ClientChains;
  #servers = new Map<string, Server>();

  constructor(listener: string, tls: ListenerTls, limits: ListenerLimits, clock: Clock, events: TlsEvents) {
    this.#listener = listener;
    this.#events = events;
    this.#clock = clock;
    this.#limits = limits;
    this.#keys = new TicketKeys(clock, limits.ticketKeyLifeMs);
    const loaded = load(listener, tls);
    this.#tls = tls;
    this.#authorities = loaded.authorities;
    this.#leaf = loaded.leaf;
    this.#chains = this.#chainsOf(loaded.authorities);
    // A certificate that OpenSSL can't use must fail here and not with the first client.
    this.serverFor('');
  }

  get clientCertificates(): ListenerTls['clientCertificates'] {
    return this.#tls.clientCertificates;
  }

  get chains(): ClientChains {
    return this.#chains;
  }

  /**
   * Makes new settings ready, or throws `config`. The function that it gives puts them in force for connections made from
   * then on, and cannot fail; it is for the same turn, since the keys of tickets change by themselves.
   */
  prepare(tls: ListenerTls): () => void {
    const { authorities, leaf } = load(this.#listener, tls);
    const sameClients =
      authorities.join('') === this.#authorities.join('') &&
      tls.clientCertificates === this.#tls.clientCertificates;
    const server = this.#makeServer('', tls, authorities);
    const chains = sameClients ? this.#chains : this.#chainsOf(authorities);
    return () => {
      this.#tls = tls;
      this.#authorities = authorities;
      this.#leaf = leaf;
      this.#chains = chains;
      if (!sameClients) this.#keys.replace();
      this.#servers = new Map(sameClients ? [['', server]] : []);
    };
  }

  /** Names that the certificate doesn't cover, and more of them than are kept, share a server without tickets. */
  serverFor(serverName: string): Server {
    if (this.#keys.expired) {
      this.#keys.replace();
      this.#servers.clear();
    }
    const key = this.#ticketName(serverName);
    const known = this.#servers.get(key);
    if (known) return known;
    const server = this.#makeServer(key, this.#tls, this.#authorities);
    this.#servers.set(key, server);
    return server;
  }

  #ticketName(serverName: string): string {
    if (serverName === '' || this.#servers.has(serverName)) return serverName;
    // Names written out in the certificate are few; those of a wildcard are as many as a stranger cares to make up.
    const few = this.#servers.size < this.#limits.maxTicketNames;
    return this.#leaf.checkHost(serverName, { wildcards: few }) === undefined ? otherNames : serverName;
  }

  #makeServer(name: string, tls: ListenerTls, authorities: readonly string[]): Server {
    const common = commonTlsOptions(tls.minVersion);
    const server = createServer({
      ...common,
      // Without tickets TLS 1.3 falls back to sessions in memory, and Node keeps none.
      secureOptions: (common.secureOptions ?? 0) | (name === otherNames ? constants.SSL_OP_NO_TICKET : 0),
      cert: tls.cert,
      key: tls.key,
      // An empty list would mean the system's roots.
      ...(authorities.length > 0 ? { ca: [...authorities] } : {}),
      requestCert: tls.clientCertificates !== 'none',
      // Judged in `secure`, where the reason can be told and logged.
      rejectUnauthorized: false,
      allowHalfOpen: true,
      ticketKeys: this.#keys.current,
      sessionIdContext: this.#sessionIdContext(name, tls, authorities),
      sessionTimeout: Math.floor(this.#limits.ticketKeyLifeMs / 1000),
      ALPNCallback: ({ servername, protocols }) => this.#alpn(servername, protocols),
    });
    server.on('secureConnection', socket => this.#events.secure(socket));
    server.on('tlsClientError', (error, socket) => this.#events.failed(error, socket));
    return server;
  }

  /** Never throws: in this place that would be an uncaught exception and the end of the process (CVE-2026-21637). */
  #alpn(serverName: string | false, offered: readonly string[]): string | undefined {
    try {
      return this.#events.alpn((serverName || '').toLowerCase(), offered);
    } catch {
      return undefined;
    }
  }

  /** At most 32 bytes. */
  #sessionIdContext(name: string, tls: ListenerTls, authorities: readonly string[]): string {
    return createHash('sha256')
      .update(`${this.#listener}\0${name}\0${tls.clientCertificates}\0${authorities.join('')}`)
      .digest('hex')
      .slice(0, 32);
  }

  #chainsOf(authorities: readonly string[]): ClientChains {
    const certificates = authorities.map(pem => parseCertificate(pem, 'a client authority'));
    return new ClientChains(certificates, this.#clock, this.#limits.maxRememberedChains);
  }
}

/** No server name looks like this. */
const otherNames = '*';

function load(listener: string, tls: ListenerTls): { authorities: string[]; leaf: X509Certificate } {
  assertKeyMatches(tls.cert, tls.key, `listener ${listener}`);
  const [leaf = ''] = splitPem(tls.cert, `listener ${listener}: the certificate`);
  const authorities = tls.clientAuthorities.flatMap(bundle =>
    splitPem(bundle, `listener ${listener}: a client authority`),
  );
  if (tls.clientCertificates !== 'none' && authorities.length === 0) {
    // OpenSSL would take the system's roots: anybody with a public certificate would be let in.
    throw new LockwireError(
      'config',
      `listener ${listener}: client certificates are ${tls.clientCertificates}, but no authority for them is given`,
    );
  }
  return { authorities, leaf: parseCertificate(leaf, `listener ${listener}: the certificate`) };
}
