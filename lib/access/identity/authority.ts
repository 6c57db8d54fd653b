import { LockwireError, messageOf } from '../../core/errors.ts';
import { type Certificate, keyUsageBits, parseCertificate } from './certificate.ts';
import { type Crl, parseCrl, signedBy } from './crl.ts';
import { type AuthorityOptions, clockSkewMs } from './options.ts';
import { Refusal } from './refusal.ts';

/** A configured certificate authority: its anchors, and the revocation lists that go with them. */
export class Authority {
  readonly name: string;
  readonly anchors: readonly Certificate[];
  /** Absent where none are configured: then nothing is ever revoked. */
  readonly #crls: readonly Crl[] | undefined;
  /** Lists that were found to be signed by an issuer, by its fingerprint; issuers come from verified paths only. */
  readonly #verified = new Map<string, readonly Crl[]>();

  /** Throws `config` where the PEM is not what it should be. */
  constructor({ name, ca, crl }: AuthorityOptions) {
    this.name = name;
    this.anchors = readPem(ca, 'CERTIFICATE', `ca of '${name}'`, parseCertificate);
    for (const anchor of this.anchors) {
      if (!anchor.basicConstraints?.ca || anchor.keyUsage?.has(keyUsageBits.keyCertSign) === false)
        throw new LockwireError('config', `ca of '${name}': '${anchor.label}' is not a CA certificate`);
    }
    this.#crls = crl === undefined ? undefined : readPem(crl, 'X509 CRL', `crl of '${name}'`, parseCrl);
  }

  /** When the first of the lists runs out: from then on its issuer's certificates are refused. */
  get crlExpiresAtMs(): number {
    return Math.min(...(this.#crls ?? []).map(({ nextUpdateMs }) => nextUpdateMs));
  }

  /** Throws Refusal where the certificate is revoked, or where that can't be known. */
  checkRevocation(certificate: Certificate, issuer: Certificate, nowMs: number): void {
    if (this.#crls === undefined) return;
    let newest: Crl | undefined;
    for (const crl of this.#signedBy(issuer, this.#crls)) {
      if (crl.thisUpdateMs > nowMs + clockSkewMs) continue;
      if (newest === undefined || crl.thisUpdateMs > newest.thisUpdateMs) newest = crl;
    }
    if (newest === undefined)
      throw new Refusal('revocation', `no CRL of '${issuer.label}' is configured for '${this.name}'`);
    if (newest.nextUpdateMs <= nowMs)
      throw new Refusal(
        'revocation',
        `the CRL of '${issuer.label}' was to be replaced by ${new Date(newest.nextUpdateMs).toISOString()}`,
      );
    if (newest.revoked.has(certificate.serial))
      throw new Refusal('revocation', `certificate '${certificate.label}' is revoked`);
  }

  #signedBy(issuer: Certificate, crls: readonly Crl[]): readonly Crl[] {
    const known = this.#verified.get(issuer.fingerprint);
    if (known !== undefined) return known;
    const found = crls.filter(crl => signedBy(crl, issuer));
    if (this.#verified.size >= maxVerifiedIssuers) this.#verified.clear();
    this.#verified.set(issuer.fingerprint, found);
    return found;
  }
}

/** Issuers whose lists are remembered as verified. */
const maxVerifiedIssuers = 64;

function readPem<T>(text: string, label: string, what: string, parse: (der: Uint8Array) => T): readonly T[] {
  const blocks = [...text.matchAll(/-----BEGIN ([A-Z0-9 ]+)-----([\s\S]*?)-----END \1-----/g)];
  const wanted = blocks.filter(([, found]) => found === label);
  if (wanted.length === 0) throw new LockwireError('config', `${what} has no PEM block '${label}'`);
  return wanted.map(([, , body = ''], i) => {
    try {
      return parse(Buffer.from(body, 'base64'));
    } catch (error) {
      throw new LockwireError('config', `${what}, block ${i + 1}: ${messageOf(error)}`, { cause: error });
    }
  });
}
