import { randomBytes } from 'node:crypto';
import { type AddressInfo, createServer, type Server, type Socket } from 'node:net';
import type { TLSSocket } from 'node:tls';
import { formatAddress, plainAddress } from '../core/address.ts';
import type { Clock } from '../core/clock.ts';
import { codeOf, LockwireError, messageOf } from '../core/errors.ts';
import type { AcceptedConnection, Log, Metrics } from '../core/ports.ts';
import { exporterOf } from './exporter.ts';
import { type Complete, readFirstBytes } from './first-bytes.ts';
import { LeakyBuckets } from './leaky-buckets.ts';
import { ListenerEvents, type RefusalKind } from './listener-events.ts';
import { defaultListenerLimits, type ListenerLimits, type ListenerOptions } from './options.ts';
import { type Chosen, Routes } from './routes.ts';
import { SocketCarrier } from './socket-carrier.ts';
import { sourceOf } from './source.ts';
import { TlsServers } from './tls-servers.ts';
import { keepAliveDelayMs } from './tls-settings.ts';
import { type Pending, Unfinished } from './unfinished.ts';

export interface ListenerPorts {
  readonly clock: Clock;
  readonly log: Log;
  readonly metrics: Metrics;
  /** Called once the handshake is done and a route is found. Nothing is read until the carrier is started. */
  onConnection(connection: AcceptedConnection): void;
}

/**
 * A connection on its way to a session:
 *
 *     accepted ──first bytes──▶ handshaking ──secure──▶ handed over ──permitted()──▶ permitted
 *        └───────────┴───────────────┴── deadline, crowded out, too many bytes, refused ──▶ destroyed
 */
interface Arrival extends Pending {
  readonly raw: Socket;
  readonly peerAddress: string;
  readonly peerPort: number;
  readonly acceptedAtMs: number;
  hello?: Complete;
}

/** The kernel's queue of connections not yet accepted; it caps it at its own `somaxconn`. */
const backlog = 1024;

const plainHttpBody = 'this port speaks TLS\n';
/** Fixed: nothing of the request comes back. */
const plainHttpResponse = `HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: ${plainHttpBody.length}\r\nConnection: close\r\n\r\n${plainHttpBody}`;

/** A public port: TLS only, every limit before identity, and the route that server name and ALPN choose. */
export class Listener {
  readonly #options: ListenerOptions;
  readonly #ports: ListenerPorts;
  readonly #limits: ListenerLimits;
  readonly #server: Server;
  readonly #tls: TlsServers;
  #routes: Routes;
  readonly #unfinished: Unfinished;
  readonly #failures: LeakyBuckets;
  readonly #events: ListenerEvents;
  /** By the TCP socket under each TLS socket, until the handshake is done. */
  readonly #arrivals = new WeakMap<Socket, Arrival>();
  #connections = 0;

  /** Throws `config` where certificate, key, authorities or routes are no good. */
  constructor(options: ListenerOptions, ports: ListenerPorts) {
    this.#options = options;
    this.#ports = ports;
    this.#limits = { ...defaultListenerLimits, ...options.limits };
    this.#routes = new Routes(options.name, options.routes);
    this.#unfinished = new Unfinished(ports.clock, this.#limits);
    this.#events = new ListenerEvents(options.name, ports, this.#limits);
    this.#failures = new LeakyBuckets(ports.clock, {
      size: this.#limits.maxFailuresPerMinute,
      periodMs: 60_000,
      maxKeys: this.#limits.maxSources,
    });
    this.#tls = new TlsServers(options.name, options.tls, this.#limits, ports.clock, {
      secure: socket => this.#secure(socket),
      failed: (error, socket) => this.#handshakeFailed(error, socket),
      alpn: (serverName, offered) => {
        const chosen = this.#routes.choose(serverName, offered);
        return chosen.route && chosen.alpn !== '' ? chosen.alpn : undefined;
      },
    });
    this.#server = createServer({ allowHalfOpen: true, noDelay: true }, raw => this.#accept(raw));
  }

  /** Connections that are not yet permitted. */
  get unfinished(): number {
    return this.#unfinished.size;
  }

  get connections(): number {
    return this.#connections;
  }

  /** Resolves with the real port. Throws `usage` where the address can't be had. */
  listen(): Promise<{ host: string; port: number }> {
    const { bind, name } = this.#options;
    return new Promise((resolve, reject) => {
      const failed = (error: Error): void => {
        const busy = codeOf(error) === 'EADDRINUSE';
        const why = busy ? 'is in use; choose another in "bind"' : `cannot be had: ${messageOf(error)}`;
        reject(
          new LockwireError('usage', `listener ${name}: ${formatAddress(bind)} ${why}`, { cause: error }),
        );
      };
      this.#server.once('error', failed);
      this.#server.listen({ host: bind.host, port: bind.port, backlog }, () => {
        this.#server.off('error', failed);
        this.#server.on('error', error => this.#events.failed(error));
        resolve({ host: bind.host, port: (this.#server.address() as AddressInfo).port });
      });
    });
  }

  /** Stops accepting and drops what is still in its handshake. Connections already handed over live on. */
  async close(): Promise<void> {
    this.#server.close();
    for (const pending of this.#unfinished.list()) {
      const { raw } = pending as Arrival;
      if (this.#arrivals.has(raw)) raw.destroy();
    }
  }

  /**
   * Makes new settings ready, or throws `config`. The function that it gives puts them in force, for connections and
   * handshakes that come from then on; it is called in the same turn and cannot fail.
   */
  prepare({ tls, routes }: Pick<ListenerOptions, 'tls' | 'routes'>): () => void {
    const commitTls = this.#tls.prepare(tls);
    const prepared = new Routes(this.#options.name, routes);
    return () => {
      commitTls();
      this.#routes = prepared;
    };
  }

  #accept(raw: Socket): void {
    this.#events.accepted();
    // First of all: a socket without it takes the process down with its first error.
    raw.on('error', () => undefined);
    const { remoteAddress, remotePort } = raw;
    if (remoteAddress === undefined || remotePort === undefined) {
      raw.destroy();
      return;
    }
    const peerAddress = plainAddress(remoteAddress);
    const source = sourceOf(peerAddress);
    if (this.#failures.isFull(source)) return this.#turnAway(raw, 'too-many-failures', source);
    if (this.#connections >= this.#limits.maxConnections && !this.#unfinished.dropOldest()) {
      return this.#turnAway(raw, 'too-many-connections', source);
    }
    raw.setKeepAlive(true, keepAliveDelayMs);
    const arrival: Arrival = {
      raw,
      source,
      peerAddress,
      peerPort: remotePort,
      acceptedAtMs: this.#ports.clock.now(),
      drop: why => this.#refuse(arrival, why),
    };
    this.#connections += 1;
    raw.once('close', () => {
      this.#connections -= 1;
      this.#unfinished.remove(arrival);
    });
    this.#arrivals.set(raw, arrival);
    this.#unfinished.add(arrival);
    this.#look(arrival);
  }

  #turnAway(raw: Socket, kind: RefusalKind, source: string): void {
    raw.destroy();
    this.#events.refused(kind, source);
  }

  #refuse(arrival: Arrival, kind: RefusalKind, detail?: Record<string, unknown>): void {
    if (arrival.raw.destroyed) return;
    arrival.raw.destroy();
    this.#events.refused(kind, arrival.source, detail);
  }

  #look(arrival: Arrival): void {
    const { raw } = arrival;
    // A half-open socket whose peer ended before it said anything would wait for the deadline.
    const gone = (): void => {
      raw.destroy();
    };
    raw.once('end', gone);
    readFirstBytes(raw, this.#limits.maxClientHelloBytes, found => {
      raw.off('end', gone);
      if (found.kind === 'tls') this.#handshake(arrival, found.hello);
      else if (found.kind === 'http') this.#answerPlainHttp(arrival);
      else this.#refuse(arrival, 'not-tls', { detail: found.reason });
    });
  }

  #handshake(arrival: Arrival, hello: Complete): void {
    arrival.hello = hello;
    this.#tls.serverFor(hello.serverName).emit('connection', arrival.raw);
  }

  /** Closing at once, with bytes unread, would be a reset that takes the answer with it. */
  #answerPlainHttp(arrival: Arrival): void {
    const { raw, source } = arrival;
    this.#events.refused('plain-http', source);
    raw.end(plainHttpResponse);
    raw.on('data', () => {
      if (raw.bytesRead > this.#limits.maxBytesBeforePermitted) raw.destroy();
    });
    raw.once('end', () => raw.destroy());
    raw.resume();
  }

  #handshakeFailed(error: Error, socket: TLSSocket): void {
    const arrival = this.#arrivalOf(socket);
    // With this listener in place Node leaves the socket open.
    socket.destroy();
    if (arrival) this.#refuse(arrival, 'handshake', { detail: error.message, code: codeOf(error) });
  }

  #arrivalOf(socket: TLSSocket): Arrival | undefined {
    // Node has no public name for the socket under a TLS socket. Were this one gone, every connection would be refused.
    const { _parent } = socket as TLSSocket & { _parent?: Socket };
    return _parent && this.#arrivals.get(_parent);
  }

  #secure(socket: TLSSocket): void {
    socket.on('error', () => undefined);
    const arrival = this.#arrivalOf(socket);
    if (!arrival || arrival.raw.destroyed) {
      socket.destroy();
      return;
    }
    const serverName = arrival.hello?.serverName ?? '';
    const refuse = (kind: RefusalKind, reason: string): void =>
      this.#refuse(arrival, kind, { detail: reason, serverName });
    const seen = (socket.servername || '').toLowerCase();
    // A session resumed over TLS 1.2 has none to show; its id context ties it to the name all the same.
    if (seen !== '' && seen !== serverName)
      return refuse('handshake', `server name is ${seen}, not ${serverName}`);
    const chosen = this.#routes.choose(serverName, offeredBy(socket, arrival));
    if (!chosen.route) return refuse('no-route', chosen.why);
    if ((socket.alpnProtocol || '') !== chosen.alpn) return refuse('no-route', 'ALPN and route differ');
    const client = this.#tls.chains.of(socket);
    if (client.state === 'refused') return refuse('client-certificate', client.reason);
    const needed = chosen.clientCertificate || this.#tls.clientCertificates === 'required';
    if (client.state === 'none' && needed) return refuse('client-certificate', 'no client certificate');
    const chain = client.state === 'verified' ? client.chain.map(certificate => certificate.raw) : [];
    this.#handOver(arrival, socket, chosen, chain);
  }

  #handOver(
    arrival: Arrival,
    socket: TLSSocket,
    chosen: Extract<Chosen, { alpn: string }>,
    certificates: readonly Uint8Array[],
  ): void {
    this.#arrivals.delete(arrival.raw);
    const carrier = new SocketCarrier(socket, arrival.raw);
    const { maxBytesBeforePermitted, maxHttp2BytesBeforePermitted } = this.#limits;
    carrier.limit(
      chosen.route.kind === 'http2' ? maxHttp2BytesBeforePermitted : maxBytesBeforePermitted,
      () => this.#refuse(arrival, 'too-many-bytes'),
    );
    let settled = false;
    this.#give(arrival, {
      facts: {
        session: randomBytes(8).toString('hex'),
        listener: this.#options.name,
        acceptedAtMs: arrival.acceptedAtMs,
        peerAddress: arrival.peerAddress,
        peerPort: arrival.peerPort,
        serverName: arrival.hello?.serverName ?? '',
        alpn: chosen.alpn,
        tlsVersion: socket.getProtocol() ?? '',
        cipher: socket.getCipher().name,
        resumed: socket.isSessionReused(),
      },
      carrier,
      route: chosen.route,
      certificates,
      exporter: () => exporterOf(socket),
      permitted: () => {
        if (settled) return;
        settled = true;
        this.#unfinished.remove(arrival);
        carrier.limit(Number.POSITIVE_INFINITY);
        this.#events.permitted();
      },
      failed: () => {
        this.#failures.add(arrival.source);
      },
    });
  }

  /** A fault of ours in one connection ends that one, with a line in the log, and no other. */
  #give(arrival: Arrival, connection: AcceptedConnection): void {
    try {
      this.#ports.onConnection(connection);
    } catch (error) {
      arrival.raw.destroy();
      this.#events.faulted(error, connection.facts.session);
    }
  }
}

/** What the client offered; the handshake agreed to one of them, or to none where it offered none. */
function offeredBy(socket: TLSSocket, arrival: Arrival): readonly string[] {
  return socket.alpnProtocol === false ? [] : (arrival.hello?.alpn ?? []);
}
