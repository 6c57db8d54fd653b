import type { Authority } from './authority.ts';
import { type Certificate, keyUsageBits, signatureAlgorithms } from './certificate.ts';
import { checkNameConstraints } from './name-constraints.ts';
import { maxPathChecks, maxPathDepth } from './options.ts';
import { Refusal } from './refusal.ts';

/** The way from a leaf to an anchor. */
export interface CertificatePath {
  readonly authority: Authority;
  /** Leaf first, anchor last. */
  readonly certificates: readonly Certificate[];
}

const clientAuth = '2b06010505070302';
const anyPurpose = '551d2500';
const curves: ReadonlySet<string | undefined> = new Set(['prime256v1', 'secp384r1', 'secp521r1']);

/** Finds the shortest way by names and signatures. Throws Refusal where there is none. */
export function findPath(
  leaf: Certificate,
  intermediates: readonly Certificate[],
  authorities: readonly Authority[],
): CertificatePath {
  let checks = 0;
  const issued = (issuer: Certificate, subject: Certificate): boolean => {
    if (issuer.subjectDer !== subject.issuerDer || !subject.x509.checkIssued(issuer.x509)) return false;
    checks += 1;
    if (checks > maxPathChecks)
      throw new Refusal('chain', `more than ${maxPathChecks} signatures on the way to a known CA`);
    return subject.x509.verify(issuer.publicKey);
  };
  // Breadth first: an anchor that issued the leaf itself is nearer the truth than one behind a cross-signature.
  let paths: (readonly Certificate[])[] = [[leaf]];
  for (let depth = 1; depth <= maxPathDepth; depth += 1) {
    for (const path of paths) {
      const anchored = anchor(path, authorities, issued);
      if (anchored !== undefined) return anchored;
    }
    paths = paths.flatMap(path => extend(path, intermediates, issued));
  }
  throw new Refusal(
    'chain',
    `certificate '${leaf.label}' leads to no known CA within ${maxPathDepth} signatures`,
  );
}

function anchor(
  path: readonly Certificate[],
  authorities: readonly Authority[],
  issued: (issuer: Certificate, subject: Certificate) => boolean,
): CertificatePath | undefined {
  const last = path.at(-1);
  for (const authority of authorities) {
    const found = authority.anchors.find(candidate => last !== undefined && issued(candidate, last));
    if (found !== undefined) return { authority, certificates: [...path, found] };
  }
  return undefined;
}

function extend(
  path: readonly Certificate[],
  intermediates: readonly Certificate[],
  issued: (issuer: Certificate, subject: Certificate) => boolean,
): (readonly Certificate[])[] {
  const last = path.at(-1);
  return intermediates
    .filter(candidate => !path.includes(candidate) && last !== undefined && issued(candidate, last))
    .map(candidate => [...path, candidate]);
}

/** All that a path must be apart from dates and revocation, which change with time. Throws Refusal. */
export function checkPath({ certificates }: CertificatePath): void {
  for (const [i, certificate] of certificates.entries()) {
    checkStrength(certificate);
    if (certificate.unknownCritical !== undefined)
      throw new Refusal(
        'chain',
        `'${certificate.label}' has the critical extension ${certificate.unknownCritical}, which is not understood`,
      );
    if (i === 0) checkLeaf(certificate);
    else checkIssuer(certificate, certificates.slice(0, i));
  }
}

/** Dates of the whole way, the anchor's too. Throws Refusal. */
export function checkDates({ certificates }: CertificatePath, nowMs: number): void {
  for (const { label, notBeforeMs, notAfterMs } of certificates) {
    if (nowMs > notAfterMs)
      throw new Refusal('expired', `certificate '${label}' expired at ${new Date(notAfterMs).toISOString()}`);
    if (nowMs < notBeforeMs)
      throw new Refusal(
        'not-yet-valid',
        `certificate '${label}' is not valid before ${new Date(notBeforeMs).toISOString()}`,
      );
  }
}

/** Throws Refusal where one of the way is revoked or can't be shown not to be. */
export function checkRevocation({ authority, certificates }: CertificatePath, nowMs: number): void {
  for (const [i, certificate] of certificates.entries()) {
    const issuer = certificates[i + 1];
    if (issuer !== undefined) authority.checkRevocation(certificate, issuer, nowMs);
  }
}

function checkStrength({ label, publicKey, signatureOid }: Certificate): void {
  if (!Object.hasOwn(signatureAlgorithms, signatureOid))
    throw new Refusal('chain', `'${label}' is signed by algorithm ${signatureOid}, which is not taken`);
  const { asymmetricKeyType: type, asymmetricKeyDetails: details } = publicKey;
  const bits = details?.modulusLength ?? 0;
  const strong =
    type === 'ed25519' ||
    (type === 'ec' && curves.has(details?.namedCurve)) ||
    (type === 'rsa' && bits >= 2048 && bits <= 8192);
  if (!strong)
    throw new Refusal(
      'chain',
      `'${label}' has a key of ${type ?? 'unknown type'} ${details?.namedCurve ?? bits}: RSA of 2048 to 8192 bits, P-256, P-384, P-521 or Ed25519 wanted`,
    );
}

/** RFC 5280 section 4.2.1: what says nothing of its purpose has any, what says something is held to it. */
function checkLeaf({ label, basicConstraints, keyUsage, extendedKeyUsage }: Certificate): void {
  if (basicConstraints?.ca) throw new Refusal('usage', `'${label}' is a CA, not a client`);
  if (keyUsage !== undefined && !keyUsage.has(keyUsageBits.digitalSignature))
    throw new Refusal('usage', `'${label}' may not sign (keyUsage without digitalSignature)`);
  // X509-SVID section 4.3: a leaf must not set these two.
  if (keyUsage?.has(keyUsageBits.keyCertSign) || keyUsage?.has(keyUsageBits.crlSign))
    throw new Refusal('usage', `'${label}' may sign certificates or CRLs, as no client may`);
  if (extendedKeyUsage !== undefined && !extendedKeyUsage.includes(clientAuth))
    throw new Refusal('usage', `'${label}' is not for clients (extendedKeyUsage without clientAuth)`);
}

function checkIssuer(issuer: Certificate, below: readonly Certificate[]): void {
  const { label, basicConstraints, keyUsage, extendedKeyUsage, nameConstraints } = issuer;
  if (!basicConstraints?.ca) throw new Refusal('chain', `'${label}' issued a certificate but is not a CA`);
  if (keyUsage !== undefined && !keyUsage.has(keyUsageBits.keyCertSign))
    throw new Refusal('chain', `'${label}' may not sign certificates (keyUsage)`);
  if (
    extendedKeyUsage !== undefined &&
    !extendedKeyUsage.some(use => use === clientAuth || use === anyPurpose)
  )
    throw new Refusal('chain', `'${label}' issues no client certificates (extendedKeyUsage)`);
  // Self-issued intermediates don't count (RFC 5280 section 4.2.1.9); the leaf never does.
  const intermediates = below.slice(1).filter(({ issuerDer, subjectDer }) => issuerDer !== subjectDer);
  if (intermediates.length > basicConstraints.maxPathLength)
    throw new Refusal(
      'chain',
      `more CAs under '${label}' than its path length ${basicConstraints.maxPathLength}`,
    );
  if (nameConstraints === undefined) return;
  for (const { altNames } of below) checkNameConstraints(nameConstraints, altNames);
}
