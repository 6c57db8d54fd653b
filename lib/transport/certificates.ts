import { createHash, createPrivateKey, type KeyObject, X509Certificate } from 'node:crypto';
import { statSync } from 'node:fs';
import { safeText } from '../core/bytes.ts';
import { LockwireError, messageOf } from '../core/errors.ts';

const pemCertificate = /-----BEGIN CERTIFICATE-----[^-]*-----END CERTIFICATE-----/g;
/** Certificates in one bundle. A system's roots are about 150. */
const maxBundleCertificates = 1024;

/**
 * The certificates of a PEM bundle, one a string. Node looks at the first one only in several places where it takes a
 * bundle, so a bundle never reaches it whole. `what` names the bundle in errors (`config`).
 */
export function splitPem(bundle: string, what: string): string[] {
  const found = bundle.match(pemCertificate) ?? [];
  if (found.length === 0) throw new LockwireError('config', `${what} holds no PEM certificate`);
  if (found.length > maxBundleCertificates) {
    throw new LockwireError(
      'config',
      `${what} holds ${found.length} certificates, the limit is ${maxBundleCertificates}`,
    );
  }
  return found.map((pem, i) => {
    parseCertificate(pem, found.length > 1 ? `certificate ${i + 1} of ${what}` : what);
    return `${pem}\n`;
  });
}

/** Reads one certificate, PEM or DER. Throws `config`. */
export function parseCertificate(certificate: string | Uint8Array, what: string): X509Certificate {
  try {
    return new X509Certificate(certificate);
  } catch (error) {
    throw new LockwireError('config', `${what} is not an X.509 certificate: ${messageOf(error)}`);
  }
}

/** SHA-256 of DER, hex. */
export function fingerprint(der: Uint8Array): string {
  return createHash('sha256').update(der).digest('hex');
}

export interface Validity {
  readonly notBeforeMs: number;
  readonly notAfterMs: number;
}

export function certificateDates(certificate: X509Certificate): Validity {
  return {
    notBeforeMs: certificate.validFromDate.getTime(),
    notAfterMs: certificate.validToDate.getTime(),
  };
}

/** True between the certificate's dates, both included (RFC 5280 section 4.1.2.5). */
export function isValidAt(certificate: X509Certificate, nowMs: number): boolean {
  const { notBeforeMs, notAfterMs } = certificateDates(certificate);
  // Node gives whole seconds; the last one counts to its end.
  return nowMs >= notBeforeMs && nowMs < notAfterMs + 1000;
}

/** Checks that the first certificate of `certPem` was made for `keyPem`. Throws `config`; never quotes the key. */
export function assertKeyMatches(certPem: string, keyPem: string, what: string): void {
  let key: KeyObject;
  try {
    key = createPrivateKey(keyPem);
  } catch (error) {
    throw new LockwireError('config', `${what}: the key is not a PEM private key: ${messageOf(error)}`);
  }
  const leaf = parseCertificate(splitPem(certPem, `${what}: the certificate`)[0] ?? '', what);
  if (!leaf.checkPrivateKey(key)) {
    throw new LockwireError(
      'config',
      `${what}: the key does not belong to the certificate of ${subjectName(leaf)}`,
    );
  }
}

/** Common name, else the whole subject, else its first alternative name: for people. */
export function subjectName(certificate: X509Certificate): string {
  return nameOf(certificate.subject) || safeText(certificate.subjectAltName ?? 'a nameless subject', 120);
}

export function issuerName(certificate: X509Certificate): string {
  return nameOf(certificate.issuer) || 'a nameless issuer';
}

/** Node prints a name one attribute a line, most general first. */
function nameOf(printed: string | undefined): string {
  const lines = (printed ?? '').split('\n').filter(line => line !== '');
  const common = lines.findLast(line => line.startsWith('CN='));
  return safeText(common ? common.slice(3) : lines.join(', '), 120);
}

/**
 * Checks that a secret's file is a regular one (links are followed) that belongs to this user or to root and that
 * nobody else can read. Throws `config` with the command that puts it right.
 */
export function assertPrivateFile(path: string): void {
  const shown = safeText(path, 200);
  let stat: ReturnType<typeof statSync>;
  try {
    stat = statSync(path);
  } catch (error) {
    throw new LockwireError('config', `${shown} cannot be read: ${messageOf(error)}`);
  }
  if (!stat?.isFile()) throw new LockwireError('config', `${shown} is not a regular file`);
  const uid = process.getuid?.();
  if (uid === undefined) return;
  if (stat.uid !== uid && stat.uid !== 0) {
    throw new LockwireError(
      'config',
      `${shown} belongs to user ${stat.uid}, not to ${uid} or root: chown ${uid} ${shellWord(path)}`,
    );
  }
  if ((stat.mode & 0o077) !== 0) {
    const mode = (stat.mode & 0o777).toString(8).padStart(4, '0');
    throw new LockwireError(
      'config',
      `${shown} has mode ${mode}, so others may read it: chmod 600 ${shellWord(path)}`,
    );
  }
}

function shellWord(path: string): string {
  return /^[\w./+@%:=-]+$/.test(path) ? path : `'${path.replaceAll("'", "'\\''")}'`;
}
