import type { X509Certificate } from 'node:crypto';
import type { TLSSocket } from 'node:tls';
import type { Clock } from '../core/clock.ts';
import { certificateDates, fingerprint, isValidAt, subjectName } from './certificates.ts';

/** An authority, some intermediates, a leaf: what OpenSSL follows by default is 100 and no honest chain is half as long as this. */
const maxChainCertificates = 10;

export type ClientChain =
  | { readonly state: 'none' }
  | { readonly state: 'verified'; readonly chain: readonly X509Certificate[] }
  | { readonly state: 'refused'; readonly reason: string };

/**
 * The client's certificates, leaf first up to one of the authorities. A resumed session brings the leaf only, and
 * OpenSSL looks at nothing again: dates and descent are checked here each time, resumed or not.
 */
export class ClientChains {
  readonly #authorities: readonly X509Certificate[];
  readonly #clock: Clock;
  readonly #maxRemembered: number;
  /** By the leaf's fingerprint, longest unused first. */
  readonly #remembered = new Map<string, readonly X509Certificate[]>();

  constructor(authorities: readonly X509Certificate[], clock: Clock, maxRemembered: number) {
    this.#authorities = authorities;
    this.#clock = clock;
    this.#maxRemembered = maxRemembered;
  }

  of(socket: TLSSocket): ClientChain {
    const leaf = socket.getPeerX509Certificate();
    if (!leaf) return { state: 'none' };
    if (!socket.authorized) {
      return { state: 'refused', reason: `client certificate not verified: ${verdict(socket)}` };
    }
    const key = fingerprint(leaf.raw);
    const chain = this.#remembered.get(key) ?? this.#build(leaf);
    if (!chain) return { state: 'refused', reason: 'client certificate of no authority of this listener' };
    const bad = chain.find(certificate => !isValidAt(certificate, this.#clock.now()));
    if (bad) return { state: 'refused', reason: dates(bad) };
    this.#remember(key, chain);
    return { state: 'verified', chain };
  }

  /** Follows names and signatures upward; what the client sent may hold more, or look-alikes. */
  #build(leaf: X509Certificate): X509Certificate[] | undefined {
    const chain = [leaf];
    let sent = leaf.issuerCertificate;
    while (chain.length < maxChainCertificates) {
      const last = chain.at(-1) as X509Certificate;
      if (this.#authorities.some(authority => authority.raw.equals(last.raw))) return chain;
      const authority = this.#authorities.find(candidate => isIssuedBy(last, candidate));
      if (authority) return [...chain, authority];
      if (!sent || !isIssuedBy(last, sent)) return undefined;
      chain.push(sent);
      sent = sent.issuerCertificate;
    }
    return undefined;
  }

  #remember(key: string, chain: readonly X509Certificate[]): void {
    this.#remembered.delete(key);
    this.#remembered.set(key, chain);
    if (this.#remembered.size <= this.#maxRemembered) return;
    for (const oldest of this.#remembered.keys()) {
      this.#remembered.delete(oldest);
      return;
    }
  }
}

function isIssuedBy(certificate: X509Certificate, issuer: X509Certificate): boolean {
  try {
    return issuer.ca && certificate.checkIssued(issuer) && certificate.verify(issuer.publicKey);
  } catch {
    // A key of a kind that this build can't read verifies nothing.
    return false;
  }
}

/** Node's types say `Error`; it is OpenSSL's code, such as `CERT_HAS_EXPIRED`. */
function verdict(socket: TLSSocket): string {
  return String(socket.authorizationError ?? 'unknown reason');
}

function dates(certificate: X509Certificate): string {
  const { notBeforeMs, notAfterMs } = certificateDates(certificate);
  const span = `${new Date(notBeforeMs).toISOString()} to ${new Date(notAfterMs).toISOString()}`;
  return `certificate of ${subjectName(certificate)} is good from ${span}`;
}
