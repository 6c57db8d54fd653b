import { createPrivateKey, type KeyObject, X509Certificate } from 'node:crypto';
import 'reflect-metadata';
import { X509Certificate as ParsedCertificate, X509Crl } from '@peculiar/x509';
import { hasDevelopmentMarker } from '../core/development.ts';
import { codeOf } from '../core/errors.ts';

/** Certificates that end within this time are worth a warning. */
const expiryWarningMs = 604_800_000;
/** RSA keys shorter than this are refused (NIST SP 800-57: 112 bits of security). */
const minRsaBits = 2048;
/** Most certificates or lists that one file may hold. */
const maxPemBlocks = 512;

/** What a check has to say. */
export interface Findings {
  readonly errors: readonly string[];
  readonly warnings: readonly string[];
}

export interface CheckedCertificates extends Findings {
  readonly certificates: readonly X509Certificate[];
  /** Marked as made by `lockwire up`. */
  readonly development: boolean;
}

/** The PEM blocks with this label, in order. */
function pemBlocks(text: string, label: string): readonly string[] {
  const block = new RegExp(`-----BEGIN ${label}-----[A-Za-z0-9+/=\\s]+-----END ${label}-----`, 'g');
  return text.match(block) ?? [];
}

/** A certificate chain, leaf first: all of it must be valid now. */
export function checkChain(text: string, nowMs: number): CheckedCertificates {
  const parsed = parseCertificates(text);
  const errors = [...parsed.errors];
  const warnings: string[] = [];
  for (const certificate of parsed.certificates) {
    const { error, warning } = judgeDates(certificate, nowMs);
    if (error) errors.push(error);
    if (warning) warnings.push(warning);
  }
  const [leaf] = parsed.certificates;
  if (leaf && leaf.subjectAltName === undefined)
    errors.push(`${nameOf(leaf)} has no subjectAltName, clients look at nothing else (RFC 9525 section 2)`);
  if (leaf) errors.push(...judgeKey(leaf.publicKey, nameOf(leaf)));
  return { ...parsed, errors, warnings };
}

/** A bundle of CAs: one that ran out is a warning while another is still good. */
export function checkBundle(text: string, nowMs: number): CheckedCertificates {
  const parsed = parseCertificates(text);
  const errors = [...parsed.errors];
  const warnings: string[] = [];
  const lapsed: string[] = [];
  for (const certificate of parsed.certificates) {
    const { error, warning } = judgeDates(certificate, nowMs);
    if (error) lapsed.push(error);
    if (warning) warnings.push(warning);
  }
  const allLapsed = lapsed.length > 0 && lapsed.length === parsed.certificates.length;
  return {
    ...parsed,
    errors: allLapsed ? [...errors, ...lapsed] : errors,
    warnings: allLapsed ? warnings : [...lapsed, ...warnings],
  };
}

/** Why this private key (PEM) does not do for that certificate; empty where it does. */
export function checkKey(keyText: string, leaf: X509Certificate | undefined): readonly string[] {
  if (/ENCRYPTED/.test(keyText))
    return ['the private key is encrypted with a passphrase; expected a plain PEM key'];
  let key: KeyObject;
  try {
    key = createPrivateKey(keyText);
  } catch (error) {
    // OpenSSL's own message says nothing of the content, but is of no use either.
    return [`holds no private key that can be read as PEM${codeOf(error) ? ` (${codeOf(error)})` : ''}`];
  }
  if (leaf && !leaf.checkPrivateKey(key)) return [`the private key is not that of ${nameOf(leaf)}`];
  return [];
}

/** Revocation lists: one for each CA, or all its certificates would be refused. */
export function checkCrls(text: string, authorities: readonly X509Certificate[], nowMs: number): Findings {
  const crls = pemBlocks(text, 'X509 CRL');
  if (crls.length === 0 || crls.length > maxPemBlocks)
    return {
      errors: [`holds ${crls.length} revocation lists (PEM "X509 CRL"), expected 1 to ${maxPemBlocks}`],
      warnings: [],
    };
  const errors: string[] = [];
  const warnings: string[] = [];
  const issuers = new Set<string>();
  for (const [index, pem] of crls.entries()) {
    const crl = parseCrl(pem);
    if (crl === undefined) {
      errors.push(`revocation list ${index + 1} cannot be read`);
      continue;
    }
    issuers.add(Buffer.from(crl.issuerName.toArrayBuffer()).toString('hex'));
    if (crl.nextUpdate && crl.nextUpdate.getTime() < nowMs)
      // No error: what needs no client certificate goes on, and a certificate is refused by TLS itself.
      warnings.push(
        `revocation list of "${crl.issuer}" ran out on ${crl.nextUpdate.toISOString()}: all certificates of that CA are refused`,
      );
  }
  if (errors.length === 0) errors.push(...uncovered(authorities, issuers));
  return { errors, warnings };
}

/** The dates of each list; those that cannot be read are left out. */
export function crlDates(
  text: string,
): { readonly issuer: string; readonly thisUpdateMs: number; readonly nextUpdateMs: number | undefined }[] {
  return pemBlocks(text, 'X509 CRL')
    .map(parseCrl)
    .filter(crl => crl !== undefined)
    .map(({ issuer, thisUpdate, nextUpdate }) => ({
      issuer,
      thisUpdateMs: thisUpdate.getTime(),
      nextUpdateMs: nextUpdate?.getTime(),
    }));
}

/** Without its list, no certificate of a CA can be known to be good. */
function uncovered(authorities: readonly X509Certificate[], issuers: ReadonlySet<string>): string[] {
  return authorities
    .filter(authority => !issuers.has(subjectDer(authority)))
    .map(authority => `no revocation list of ${nameOf(authority)}: all its certificates would be refused`);
}

function subjectDer(certificate: X509Certificate): string {
  const parsed = new ParsedCertificate(certificate.raw);
  return Buffer.from(parsed.subjectName.toArrayBuffer()).toString('hex');
}

function parseCrl(pem: string): X509Crl | undefined {
  try {
    return new X509Crl(pem);
  } catch {
    return undefined;
  }
}

/** The certificates of a PEM chain, leaf first; those that cannot be read are left out. */
export function readChain(text: string): readonly X509Certificate[] {
  return parseCertificates(text).certificates;
}

function parseCertificates(text: string): CheckedCertificates {
  const blocks = pemBlocks(text, 'CERTIFICATE');
  const none = { certificates: [], development: false, warnings: [] };
  if (blocks.length === 0) return { ...none, errors: ['holds no certificate (PEM "BEGIN CERTIFICATE")'] };
  if (blocks.length > maxPemBlocks)
    return { ...none, errors: [`holds ${blocks.length} certificates, at most ${maxPemBlocks} are read`] };
  const certificates: X509Certificate[] = [];
  const errors: string[] = [];
  for (const [index, block] of blocks.entries()) {
    try {
      certificates.push(new X509Certificate(block));
    } catch {
      errors.push(`certificate ${index + 1} cannot be read`);
    }
  }
  const development = certificates.some(({ raw }) => hasDevelopmentMarker(raw));
  return { certificates, errors, warnings: [], development };
}

function judgeDates(certificate: X509Certificate, nowMs: number): { error?: string; warning?: string } {
  const until = certificate.validToDate.getTime();
  if (certificate.validFromDate.getTime() > nowMs)
    return { error: `${nameOf(certificate)} is valid only from ${certificate.validFromDate.toISOString()}` };
  if (until <= nowMs)
    return { error: `${nameOf(certificate)} ran out on ${certificate.validToDate.toISOString()}` };
  if (until - nowMs < expiryWarningMs)
    return { warning: `${nameOf(certificate)} runs out on ${certificate.validToDate.toISOString()}` };
  return {};
}

function judgeKey(key: KeyObject, name: string): string[] {
  const bits = key.asymmetricKeyDetails?.modulusLength;
  return bits !== undefined && bits < minRsaBits
    ? [`${name} has an RSA key of ${bits} bits, expected at least ${minRsaBits}`]
    : [];
}

/** `certificate "CN=gateway"`, on one line. */
function nameOf(certificate: X509Certificate): string {
  return `certificate "${certificate.subject?.replaceAll('\n', ', ') ?? ''}"`;
}
