import type { X509Certificate } from 'node:crypto';
import { connect as connectTcp, isIP, type Socket } from 'node:net';
import {
  checkServerIdentity,
  connect as connectTls,
  createSecureContext,
  getCACertificates,
  type SecureContext,
  type TLSSocket,
} from 'node:tls';
import { formatAddress } from '../core/address.ts';
import { safeText } from '../core/bytes.ts';
import type { Clock, Timer } from '../core/clock.ts';
import { codeOf, LockwireError, messageOf } from '../core/errors.ts';
import type { DialledConnection, TlsFacts } from '../core/ports.ts';
import {
  assertKeyMatches,
  certificateDates,
  fingerprint,
  issuerName,
  isValidAt,
  splitPem,
} from './certificates.ts';
import { exporterOf } from './exporter.ts';
import { type DialerOptions, type DialStep, defaultDialTimeoutMs, type SeenCertificate } from './options.ts';
import { requestTunnel } from './proxy-dial.ts';
import { SocketCarrier } from './socket-carrier.ts';
import { handshakeFailure } from './tls-failure.ts';
import { commonTlsOptions, keepAliveDelayMs } from './tls-settings.ts';

/**
 * Dials one TLS server, again and again. Its certificate is always verified, and its name: there is no way to turn
 * that off. All dials share one context and the last session, which halves what a handshake costs.
 */
export class TlsDialer {
  readonly #options: DialerOptions;
  readonly #clock: Clock;
  readonly #context: SecureContext;
  /** The last ticket, with the certificate it was given under: a resumed handshake shows none (RFC 8446 section 2.2). */
  #session: { readonly ticket: Buffer; readonly leaf: X509Certificate | undefined } | undefined;

  /** Throws `config` where authorities, certificate or key are no good. */
  constructor(options: DialerOptions, { clock }: { clock: Clock }) {
    this.#options = options;
    this.#clock = clock;
    this.#context = makeContext(options);
  }

  /**
   * Throws `unavailable` where the name is unknown or the network fails, `tls` where the handshake does or the
   * certificate is no good, `timeout` where it takes too long.
   */
  async dial(onStep: (step: DialStep) => void = () => {}): Promise<DialledConnection> {
    const timeoutMs = this.#options.timeoutMs ?? defaultDialTimeoutMs;
    const deadline = new Deadline(this.#clock, timeoutMs);
    try {
      const raw = await this.#connect(deadline, onStep);
      const way = await this.#throughProxy(raw, deadline);
      if (way !== raw || this.#options.proxy) onStep({ kind: 'proxied' });
      return await this.#secure(way, raw, deadline, onStep);
    } catch (error) {
      if (!deadline.passed) throw error;
      const { proxy } = this.#options;
      const through = proxy ? ` through proxy ${formatAddress({ host: proxy.host, port: proxy.port })}` : '';
      throw new LockwireError('timeout', `${this.#where}${through} did not answer within ${timeoutMs} ms`);
    } finally {
      deadline.cancel();
    }
  }

  get #where(): string {
    return formatAddress({ host: this.#options.host, port: this.#options.port });
  }

  /** Resolves the name once and connects to what it gave, whichever family answers first (RFC 8305). */
  #connect(deadline: Deadline, onStep: (step: DialStep) => void): Promise<Socket> {
    const { host, port } = this.#options.proxy ?? this.#options;
    const where = this.#options.proxy ? `proxy ${formatAddress({ host, port })}` : this.#where;
    const keepAlive = { keepAlive: true, keepAliveInitialDelay: keepAliveDelayMs };
    const raw = connectTcp({ host, port, allowHalfOpen: true, noDelay: true, ...keepAlive });
    deadline.watch(raw);
    raw.on('lookup', (error: Error | null, address: string) => {
      if (!error && isIP(host) === 0) onStep({ kind: 'resolved', address });
    });
    return new Promise((resolve, reject) => {
      // Stays attached: under TLS the socket has no other listener for errors.
      raw.on('error', error => reject(unreachable(where, error)));
      raw.once('close', () => reject(unreachable(where, new Error('the connection was closed'))));
      raw.once('connect', () => {
        onStep({ kind: 'connected', address: formatAddress({ host: raw.remoteAddress ?? host, port }) });
        resolve(raw);
      });
    });
  }

  /** The name goes to the proxy as it is: what it is an address of is the proxy's to know. */
  async #throughProxy(raw: Socket, deadline: Deadline): Promise<Socket> {
    const { proxy, host, port } = this.#options;
    if (proxy === undefined) return raw;
    const socket = proxy.tls ? await secureProxy(raw, proxy.host) : raw;
    deadline.watch(socket);
    try {
      await requestTunnel(socket, proxy, { host, port });
    } catch (error) {
      socket.destroy();
      raw.destroy();
      throw error;
    }
    return socket;
  }

  #secure(
    way: Socket,
    raw: Socket,
    deadline: Deadline,
    onStep: (step: DialStep) => void,
  ): Promise<DialledConnection> {
    const name = this.#options.serverName ?? this.#options.host;
    const earlier = this.#session;
    const tls = connectTls({
      socket: way,
      secureContext: this.#context,
      host: name,
      // Addresses are no server names (RFC 6066 section 3); Node then verifies `host`.
      ...(isIP(name) === 0 ? { servername: name } : {}),
      ALPNProtocols: [...this.#options.alpn],
      // Said aloud, so that NODE_TLS_REJECT_UNAUTHORIZED is never asked.
      rejectUnauthorized: true,
      checkServerIdentity,
      ...(earlier ? { session: earlier.ticket } : {}),
    });
    deadline.watch(tls);
    let leaf: X509Certificate | undefined;
    // Before Node's own listener, which verifies and destroys: after that there is no certificate to name.
    tls.prependListener('secure', () => {
      leaf = tls.getPeerX509Certificate() ?? (tls.isSessionReused() ? earlier?.leaf : undefined);
      if (leaf) onStep({ kind: 'certificate', certificate: seen(leaf) });
    });
    tls.on('session', ticket => {
      this.#session = { ticket, leaf };
    });
    return new Promise((resolve, reject) => {
      const failed = (error: Error): void => {
        this.#session = undefined;
        tls.destroy();
        reject(handshakeFailure(error, { where: this.#where, name, leaf, offered: this.#options.alpn }));
      };
      const closed = (): void => failed(Object.assign(new Error('closed'), { code: 'ECONNRESET' }));
      tls.once('error', failed);
      tls.once('close', closed);
      tls.once('secureConnect', () => {
        const problem = this.#resumedTooLate(tls, leaf);
        if (problem) return failed(problem);
        if (this.#options.alpnRequired && !tls.alpnProtocol) return failed(noneAgreed());
        tls.off('close', closed);
        const carrier = new SocketCarrier(tls, raw);
        tls.off('error', failed);
        resolve({
          carrier,
          facts: factsOf(tls, leaf),
          exporter: () => exporterOf(tls),
        });
      });
    });
  }

  /** OpenSSL verified when the session was new and doesn't look at the dates again. */
  #resumedTooLate(tls: TLSSocket, leaf: X509Certificate | undefined): Error | undefined {
    if (leaf && (!tls.isSessionReused() || isValidAt(leaf, this.#clock.now()))) return undefined;
    if (!leaf) return new Error('the server showed no certificate');
    return Object.assign(new Error('expired since the session began'), { code: 'CERT_HAS_EXPIRED' });
  }
}

/** TLS to the proxy itself, verified against the system's roots. */
function secureProxy(raw: Socket, host: string): Promise<TLSSocket> {
  const tls = connectTls({
    socket: raw,
    secureContext: createSecureContext({ ...commonTlsOptions('TLSv1.2'), ca: systemRoots() }),
    host,
    ...(isIP(host) === 0 ? { servername: host } : {}),
    ALPNProtocols: ['http/1.1'],
    rejectUnauthorized: true,
    checkServerIdentity,
  });
  const leafNow = (): X509Certificate | undefined => tls.getPeerX509Certificate();
  return new Promise((resolve, reject) => {
    // Stays attached, as on the socket below.
    tls.on('error', error =>
      reject(handshakeFailure(error, { where: `proxy ${host}`, name: host, leaf: leafNow() })),
    );
    tls.once('close', () => reject(unreachable(`proxy ${host}`, new Error('the connection was closed'))));
    tls.once('secureConnect', () => resolve(tls));
  });
}

/** One deadline over all steps of a dial: it destroys what is under way, and that fails the step. */
class Deadline {
  readonly #timer: Timer;
  readonly #sockets: Socket[] = [];
  passed = false;

  constructor(clock: Clock, timeoutMs: number) {
    this.#timer = clock.after(timeoutMs, () => {
      this.passed = true;
      for (const socket of this.#sockets) socket.destroy();
    });
  }

  watch(socket: Socket): void {
    this.#sockets.push(socket);
  }

  cancel(): void {
    this.#timer.cancel();
  }
}

function makeContext(options: DialerOptions): SecureContext {
  const what = `dialling ${options.serverName ?? options.host}`;
  const { cert, key } = options;
  if ((cert === undefined) !== (key === undefined)) {
    throw new LockwireError('config', `${what}: a client certificate needs both certificate and key`);
  }
  if (cert !== undefined && key !== undefined) assertKeyMatches(cert, key, what);
  const ca = options.ca?.flatMap(bundle => splitPem(bundle, `${what}: the authorities`)) ?? systemRoots();
  // Without any, OpenSSL would fall back to Node's own list.
  if (ca.length === 0) throw new LockwireError('config', `${what}: no authority is given`);
  try {
    return createSecureContext({
      ...commonTlsOptions(options.minVersion),
      ca,
      ...(cert === undefined ? {} : { cert, key }),
    });
  } catch (error) {
    throw new LockwireError('config', `${what}: ${messageOf(error)}`);
  }
}

/** The machine's own; those that come with Node only where it has none, lest one that was removed come back. */
function systemRoots(): string[] {
  const system = getCACertificates('system');
  return system.length > 0 ? system : getCACertificates('bundled');
}

function unreachable(where: string, error: Error): LockwireError {
  const code = codeOf(error);
  const text =
    code === 'ENOTFOUND' || code === 'EAI_AGAIN'
      ? `${where} cannot be found: no address for its name (${code})`
      : `${where} cannot be reached: ${code || messageOf(error)}`;
  return new LockwireError('unavailable', text, { cause: error });
}

function seen(leaf: X509Certificate): SeenCertificate {
  const names = safeText(leaf.subjectAltName ?? 'no name at all', 300);
  return { names, issuer: issuerName(leaf), ...certificateDates(leaf) };
}

/** A server without ALPN goes on without a word where others send the alert; both are told alike. */
function noneAgreed(): Error {
  return Object.assign(new Error('no protocol agreed'), {
    code: 'ERR_SSL_TLSV1_ALERT_NO_APPLICATION_PROTOCOL',
  });
}

function factsOf(tls: TLSSocket, leaf: X509Certificate | undefined): TlsFacts {
  const group = groupOf(tls);
  return {
    version: tls.getProtocol() ?? '',
    cipher: tls.getCipher().name,
    resumed: tls.isSessionReused(),
    ...(group === undefined ? {} : { group }),
    ...(typeof tls.servername === 'string' && tls.servername !== '' ? { serverName: tls.servername } : {}),
    ...(typeof tls.alpnProtocol === 'string' ? { alpn: tls.alpnProtocol } : {}),
    ...(leaf ? { peerCertificateSha256: fingerprint(leaf.raw), peerIssuer: issuerName(leaf) } : {}),
  };
}

function groupOf(tls: TLSSocket): string | undefined {
  const info = tls.getEphemeralKeyInfo();
  return info !== null && 'name' in info && typeof info.name === 'string' && info.name !== ''
    ? info.name
    : undefined;
}
