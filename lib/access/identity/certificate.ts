import { type KeyObject, X509Certificate } from 'node:crypto';
import { safeText } from '../../core/bytes.ts';
import {
  type DerElement,
  DerError,
  derTags,
  expectTag,
  readChildren,
  readDer,
  readTime,
  toAscii,
  toHex,
} from './der.ts';
import { maxCertificateBytes } from './options.ts';

/** Object identifiers as hex of their content octets. */
const oids = {
  subjectKeyId: '551d0e',
  keyUsage: '551d0f',
  subjectAltName: '551d11',
  basicConstraints: '551d13',
  nameConstraints: '551d1e',
  crlDistributionPoints: '551d1f',
  certificatePolicies: '551d20',
  authorityKeyId: '551d23',
  extendedKeyUsage: '551d25',
} as const;

/** Extensions that may be critical here, because they are obeyed or only inform (RFC 5280 section 4.2). */
const understood: ReadonlySet<string> = new Set(Object.values(oids));

/** Signature algorithms by object identifier; SHA-1 and MD5 are not among them, nor RSASSA-PSS, whose hash hides in parameters. */
export const signatureAlgorithms: Readonly<Record<string, string | null>> = {
  '2a864886f70d01010b': 'sha256',
  '2a864886f70d01010c': 'sha384',
  '2a864886f70d01010d': 'sha512',
  '2a8648ce3d040302': 'sha256',
  '2a8648ce3d040303': 'sha384',
  '2a8648ce3d040304': 'sha512',
  // Ed25519 hashes by itself.
  '2b6570': null,
};

/** GeneralName (RFC 5280 section 4.2.1.6): its tag number and its content. */
export interface AltName {
  readonly kind: number;
  readonly content: Uint8Array;
}

export const altNameKinds = { email: 1, dns: 2, directory: 4, uri: 6, ip: 7 } as const;

/** Bits of keyUsage (RFC 5280 section 4.2.1.3), numbered from the first. */
export const keyUsageBits = { digitalSignature: 0, keyCertSign: 5, crlSign: 6 } as const;

export interface Extension {
  readonly critical: boolean;
  readonly value: Uint8Array;
}

/** A certificate, parsed by OpenSSL and, for what Node doesn't show, by ourselves. Nothing of it is verified. */
export interface Certificate {
  readonly x509: X509Certificate;
  readonly publicKey: KeyObject;
  /** SHA-256 of the DER, hex. */
  readonly fingerprint: string;
  /** For people: safe, short. */
  readonly label: string;
  readonly serial: string;
  readonly issuerDer: string;
  readonly subjectDer: string;
  readonly notBeforeMs: number;
  readonly notAfterMs: number;
  readonly signatureOid: string;
  /** Absent where the extension is. */
  readonly basicConstraints: { readonly ca: boolean; readonly maxPathLength: number } | undefined;
  readonly keyUsage: ReadonlySet<number> | undefined;
  readonly extendedKeyUsage: readonly string[] | undefined;
  readonly altNames: readonly AltName[];
  readonly nameConstraints: Uint8Array | undefined;
  /** A critical extension that is not understood, as hex of its identifier. */
  readonly unknownCritical: string | undefined;
}

/** Throws an Error that says what is wrong with the bytes. */
export function parseCertificate(der: Uint8Array): Certificate {
  if (der.byteLength > maxCertificateBytes)
    throw new DerError(`certificate of ${der.byteLength} B is longer than ${maxCertificateBytes} B`);
  const x509 = new X509Certificate(der);
  const [tbs, outerAlgorithm] = readChildren(readDer(der), derTags.sequence);
  const fields = readChildren(tbs, derTags.sequence);
  // v3 is [0] { INTEGER 2 }; v1 and v2 have no extensions, so nothing says what they may be used for.
  if (toHex(fields[0]?.whole ?? new Uint8Array()) !== 'a003020102')
    throw new DerError('certificate is not v3');
  const [, serial, innerAlgorithm, issuer, validity, subject] = fields;
  // RFC 5280 section 4.1.1.2: the algorithm that is signed must be the one that is used.
  if (
    outerAlgorithm === undefined ||
    toHex(outerAlgorithm.whole) !== toHex(innerAlgorithm?.whole ?? tbsNothing)
  )
    throw new DerError('certificate names two signature algorithms');
  const [notBefore, notAfter] = readChildren(validity, derTags.sequence);
  const extensions = readExtensions(fields.find(({ tag }) => tag === 0xa3));
  return {
    x509,
    publicKey: x509.publicKey,
    fingerprint: x509.fingerprint256.replaceAll(':', '').toLowerCase(),
    label: safeText(x509.subject.replaceAll('\n', ', ') || `serial ${x509.serialNumber}`, 128),
    serial: toHex(expectTag(serial, derTags.integer).content),
    issuerDer: toHex(expectTag(issuer, derTags.sequence).whole),
    subjectDer: toHex(expectTag(subject, derTags.sequence).whole),
    notBeforeMs: readTime(notBefore),
    notAfterMs: readTime(notAfter),
    signatureOid: readAlgorithm(outerAlgorithm),
    ...readKnown(extensions),
  };
}

const tbsNothing = new Uint8Array();

/** The identifier of an AlgorithmIdentifier. */
export function readAlgorithm(element: DerElement | undefined): string {
  return toHex(expectTag(readChildren(element, derTags.sequence)[0], derTags.objectId).content);
}

/** Extensions within their explicit tag, by identifier. One that comes twice is refused (RFC 5280 section 4.2). */
export function readExtensions(explicit: DerElement | undefined): ReadonlyMap<string, Extension> {
  const found = new Map<string, Extension>();
  if (explicit === undefined) return found;
  for (const element of readChildren(readDer(explicit.content), derTags.sequence)) {
    const parts = readChildren(element, derTags.sequence);
    const oid = toHex(expectTag(parts[0], derTags.objectId).content);
    if (found.has(oid)) throw new DerError(`extension ${oid} comes twice`);
    const critical = parts[1]?.tag === derTags.boolean && parts[1].content[0] === 0xff;
    found.set(oid, { critical, value: expectTag(parts.at(-1), derTags.octetString).content });
  }
  return found;
}

type Known = Pick<
  Certificate,
  'basicConstraints' | 'keyUsage' | 'extendedKeyUsage' | 'altNames' | 'nameConstraints' | 'unknownCritical'
>;

function readKnown(extensions: ReadonlyMap<string, Extension>): Known {
  const value = (oid: string): Uint8Array | undefined => extensions.get(oid)?.value;
  const basicConstraints = value(oids.basicConstraints);
  const keyUsage = value(oids.keyUsage);
  const extendedKeyUsage = value(oids.extendedKeyUsage);
  const altNames = value(oids.subjectAltName);
  return {
    basicConstraints: basicConstraints && readBasicConstraints(basicConstraints),
    keyUsage: keyUsage && readKeyUsage(keyUsage),
    extendedKeyUsage:
      extendedKeyUsage &&
      readChildren(readDer(extendedKeyUsage), derTags.sequence).map(purpose =>
        toHex(expectTag(purpose, derTags.objectId).content),
      ),
    altNames: altNames ? readAltNames(altNames) : [],
    nameConstraints: value(oids.nameConstraints),
    unknownCritical: [...extensions].find(([oid, { critical }]) => critical && !understood.has(oid))?.[0],
  };
}

function readBasicConstraints(value: Uint8Array): { ca: boolean; maxPathLength: number } {
  const parts = readChildren(readDer(value), derTags.sequence);
  const ca = parts[0]?.tag === derTags.boolean && parts[0].content[0] === 0xff;
  const length = parts.find(({ tag }) => tag === derTags.integer)?.content;
  if (length === undefined) return { ca, maxPathLength: Number.POSITIVE_INFINITY };
  // One octet is enough: no path here is longer than a few certificates.
  const [octet = 0] = length;
  if (length.byteLength !== 1 || octet > 0x7f) throw new DerError('path length is out of bounds');
  return { ca, maxPathLength: octet };
}

function readKeyUsage(value: Uint8Array): ReadonlySet<number> {
  const { content } = expectTag(readDer(value), derTags.bitString);
  const bits = new Set<number>();
  for (let bit = 0; bit < (content.byteLength - 1) * 8; bit += 1) {
    if (((content[1 + (bit >> 3)] ?? 0) << (bit & 7)) & 0x80) bits.add(bit);
  }
  return bits;
}

function readAltNames(value: Uint8Array): readonly AltName[] {
  return readChildren(readDer(value), derTags.sequence).map(({ tag, content }) => ({
    kind: tag & 0x1f,
    content,
  }));
}

/** The names of one kind that are IA5String, as text. */
export function textNames(certificate: Certificate, kind: number): readonly string[] {
  return certificate.altNames.filter(name => name.kind === kind).map(({ content }) => toAscii(content));
}
