import { verify } from 'node:crypto';
import {
  type Certificate,
  keyUsageBits,
  readAlgorithm,
  readExtensions,
  signatureAlgorithms,
} from './certificate.ts';
import {
  type DerElement,
  DerError,
  derTags,
  expectTag,
  readChildren,
  readDer,
  readElements,
  readTime,
  toHex,
} from './der.ts';

/** A certificate revocation list (RFC 5280 section 5). Nothing of it is believed before `signedBy`. */
export interface Crl {
  readonly issuerDer: string;
  readonly thisUpdateMs: number;
  readonly nextUpdateMs: number;
  /** Serial numbers as hex of their content octets. */
  readonly revoked: ReadonlySet<string>;
  readonly signed: Uint8Array;
  readonly signature: Uint8Array;
  readonly signatureOid: string;
}

const invalidityDate = '551d18';
const reasonCode = '551d15';
const holdInstruction = '551d17';
/** Critical extensions of an entry that change nothing: revoked is revoked. */
const harmlessEntryExtensions: ReadonlySet<string> = new Set([invalidityDate, reasonCode, holdInstruction]);

/** Throws an Error that says why a list can't be used whole: half a list would let revoked certificates in. */
export function parseCrl(der: Uint8Array): Crl {
  const [tbs, algorithm, signature] = readChildren(readDer(der), derTags.sequence);
  const fields = readChildren(tbs, derTags.sequence);
  if (fields[0]?.tag === derTags.integer) fields.shift();
  const [innerAlgorithm, issuer, thisUpdate, nextUpdate, ...rest] = fields;
  const signatureOid = readAlgorithm(algorithm);
  if (readAlgorithm(innerAlgorithm) !== signatureOid)
    throw new DerError('CRL names two signature algorithms');
  if (!Object.hasOwn(signatureAlgorithms, signatureOid))
    throw new DerError(`CRL is signed by algorithm ${signatureOid}, which is not taken`);
  if (nextUpdate?.tag !== derTags.utcTime && nextUpdate?.tag !== derTags.generalizedTime)
    throw new DerError('CRL has no nextUpdate, so it would never grow old');
  checkListExtensions(rest.find(({ tag }) => tag === 0xa0));
  return {
    issuerDer: toHex(expectTag(issuer, derTags.sequence).whole),
    thisUpdateMs: readTime(thisUpdate),
    nextUpdateMs: readTime(nextUpdate),
    revoked: readRevoked(rest.find(({ tag }) => tag === derTags.sequence)),
    signed: expectTag(tbs, derTags.sequence).whole,
    signature: readSignature(signature),
    signatureOid,
  };
}

/** True where this CA issued and signed the list and may sign lists. */
export function signedBy(crl: Crl, issuer: Certificate): boolean {
  if (crl.issuerDer !== issuer.subjectDer) return false;
  if (issuer.keyUsage !== undefined && !issuer.keyUsage.has(keyUsageBits.crlSign)) return false;
  return verify(signatureAlgorithms[crl.signatureOid], crl.signed, issuer.publicKey, crl.signature);
}

/** Delta and partitioned lists are marked by a critical extension (RFC 5280 sections 5.2.4 and 5.2.5). */
function checkListExtensions(explicit: DerElement | undefined): void {
  for (const [oid, { critical }] of readExtensions(explicit)) {
    if (critical)
      throw new DerError(`CRL has the critical extension ${oid}: delta and partial lists are not taken`);
  }
}

function readRevoked(list: DerElement | undefined): ReadonlySet<string> {
  const revoked = new Set<string>();
  if (list === undefined) return revoked;
  for (const entry of readElements(list.content)) {
    const [serial, , extensions] = readChildren(entry, derTags.sequence);
    if (extensions !== undefined) checkEntryExtensions(extensions);
    revoked.add(toHex(expectTag(serial, derTags.integer).content));
  }
  return revoked;
}

/** An indirect list names another issuer for some entries by a critical extension (RFC 5280 section 5.3.3). */
function checkEntryExtensions(extensions: DerElement): void {
  for (const extension of readChildren(extensions, derTags.sequence)) {
    const [oid, critical] = readChildren(extension, derTags.sequence);
    const name = toHex(expectTag(oid, derTags.objectId).content);
    if (
      critical?.tag === derTags.boolean &&
      critical.content[0] === 0xff &&
      !harmlessEntryExtensions.has(name)
    )
      throw new DerError(
        `an entry of the CRL has the critical extension ${name}: indirect lists are not taken`,
      );
  }
}

function readSignature(element: DerElement | undefined): Uint8Array {
  const { content } = expectTag(element, derTags.bitString);
  if (content[0] !== 0) throw new DerError('signature is not whole octets');
  return content.subarray(1);
}
