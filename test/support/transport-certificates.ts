// Must come first: @peculiar/x509 needs the polyfill when it loads.
import 'reflect-metadata';
import { KeyObject, type webcrypto } from 'node:crypto';
import * as x509 from '@peculiar/x509';

type CryptoKey = webcrypto.CryptoKey;
type CryptoKeyPair = webcrypto.CryptoKeyPair;

type KeyType = 'p256' | 'p384' | 'rsa1024' | 'rsa2048' | 'ed25519';

export interface AuthorityOptions {
  /** Common name. */
  name: string;
  keyType?: KeyType;
  notBefore?: Date;
  notAfter?: Date;
  /** Sub-authorities it may have below it; unlimited where absent. */
  pathLength?: number;
  extensions?: x509.Extension[];
}

export interface IssueOptions {
  commonName?: string;
  dns?: string[];
  ips?: string[];
  uris?: string[];
  emails?: string[];
  notBefore?: Date;
  notAfter?: Date;
  /** Extended key usages; both where absent, none at all for an empty list. */
  usages?: ('server' | 'client')[];
  keyType?: KeyType;
  isCa?: boolean;
  /** Hexadecimal; random where absent. */
  serial?: string;
  extensions?: x509.Extension[];
}

export interface Issued {
  certPem: string;
  keyPem: string;
  der: Buffer;
  /** Hexadecimal, lower case. */
  serial: string;
}

export interface Authority extends Issued {
  name: string;
  issue(options: IssueOptions): Promise<Issued>;
  /** An authority below this one. */
  subordinate(options: AuthorityOptions): Promise<Authority>;
  /** A revocation list as PEM; good for a day where `nextUpdate` is absent. */
  crl(options: { serials: string[]; thisUpdate?: Date; nextUpdate?: Date }): Promise<string>;
}

const dayMs = 86_400_000;

const keyAlgorithms = {
  p256: { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' },
  p384: { name: 'ECDSA', namedCurve: 'P-384', hash: 'SHA-384' },
  rsa1024: rsa(1024),
  rsa2048: rsa(2048),
  ed25519: { name: 'Ed25519' },
} as const;

function rsa(modulusLength: number) {
  return {
    name: 'RSASSA-PKCS1-v1_5',
    hash: 'SHA-256',
    modulusLength,
    publicExponent: new Uint8Array([1, 0, 1]),
  };
}

/** A self-signed certificate authority. Everything it issues is signed in this process and lives in memory. */
export async function makeAuthority(options: AuthorityOptions): Promise<Authority> {
  const keys = await makeKeys(options.keyType ?? 'p256');
  return authority(options, keys, undefined);
}

/** A self-signed leaf, as somebody without any authority would make one. */
export async function selfSigned(options: IssueOptions): Promise<Issued> {
  const keys = await makeKeys(options.keyType ?? 'p256');
  const keyType = options.keyType ?? 'p256';
  return sign(options, keys, { name: commonNameOf(options), key: keys.privateKey, keyType });
}

interface Signer {
  name: string;
  key: CryptoKey;
  keyType: KeyType;
}

async function authority(
  options: AuthorityOptions,
  keys: CryptoKeyPair,
  parent: Signer | undefined,
): Promise<Authority> {
  const signer: Signer = { name: options.name, key: keys.privateKey, keyType: options.keyType ?? 'p256' };
  const own = await sign(
    {
      commonName: options.name,
      isCa: true,
      usages: [],
      ...(options.notBefore ? { notBefore: options.notBefore } : {}),
      ...(options.notAfter ? { notAfter: options.notAfter } : {}),
      ...(options.extensions ? { extensions: options.extensions } : {}),
    },
    keys,
    parent ?? signer,
    options.pathLength,
  );
  return {
    ...own,
    name: options.name,
    issue: async wanted => sign(wanted, await makeKeys(wanted.keyType ?? 'p256'), signer),
    subordinate: async below => authority(below, await makeKeys(below.keyType ?? 'p256'), signer),
    crl: wanted => makeCrl(signer, wanted),
  };
}

async function sign(
  options: IssueOptions,
  keys: CryptoKeyPair,
  signer: Signer,
  pathLength?: number,
): Promise<Issued> {
  const certificate = await x509.X509CertificateGenerator.create({
    subject: [{ CN: [commonNameOf(options)] }],
    issuer: [{ CN: [signer.name] }],
    serialNumber: options.serial ?? randomSerial(),
    notBefore: options.notBefore ?? new Date(Date.now() - dayMs),
    notAfter: options.notAfter ?? new Date(Date.now() + 30 * dayMs),
    publicKey: keys.publicKey,
    signingKey: signer.key,
    signingAlgorithm: keyAlgorithms[signer.keyType],
    extensions: [...(await extensionsOf(options, keys, pathLength)), ...(options.extensions ?? [])],
  });
  return {
    certPem: `${certificate.toString('pem')}\n`,
    keyPem: KeyObject.from(keys.privateKey).export({ type: 'pkcs8', format: 'pem' }).toString(),
    der: Buffer.from(certificate.rawData),
    serial: certificate.serialNumber,
  };
}

async function extensionsOf(
  options: IssueOptions,
  keys: CryptoKeyPair,
  pathLength: number | undefined,
): Promise<x509.Extension[]> {
  const isCa = options.isCa ?? false;
  const { digitalSignature, keyCertSign, cRLSign } = x509.KeyUsageFlags;
  const extensions: x509.Extension[] = [
    new x509.BasicConstraintsExtension(isCa, pathLength, true),
    new x509.KeyUsagesExtension(isCa ? keyCertSign | cRLSign : digitalSignature, true),
    await x509.SubjectKeyIdentifierExtension.create(keys.publicKey),
  ];
  const usages = (options.usages ?? ['server', 'client']).map(usage =>
    usage === 'server' ? x509.ExtendedKeyUsage.serverAuth : x509.ExtendedKeyUsage.clientAuth,
  );
  if (usages.length > 0) extensions.push(new x509.ExtendedKeyUsageExtension(usages));
  const names: x509.JsonGeneralNames = [
    ...(options.dns ?? []).map(value => ({ type: 'dns' as const, value })),
    ...(options.ips ?? []).map(value => ({ type: 'ip' as const, value })),
    ...(options.uris ?? []).map(value => ({ type: 'url' as const, value })),
    ...(options.emails ?? []).map(value => ({ type: 'email' as const, value })),
  ];
  if (names.length > 0) extensions.push(new x509.SubjectAlternativeNameExtension(names));
  return extensions;
}

async function makeCrl(
  signer: Signer,
  { serials, thisUpdate, nextUpdate }: { serials: string[]; thisUpdate?: Date; nextUpdate?: Date },
): Promise<string> {
  const crl = await x509.X509CrlGenerator.create({
    issuer: [{ CN: [signer.name] }],
    thisUpdate: thisUpdate ?? new Date(Date.now() - dayMs),
    nextUpdate: nextUpdate ?? new Date(Date.now() + dayMs),
    entries: serials.map(serialNumber => ({ serialNumber, revocationDate: new Date(Date.now() - dayMs) })),
    signingAlgorithm: keyAlgorithms[signer.keyType],
    signingKey: signer.key,
  });
  // OpenSSL and RFC 7468 section 6 want the label `X509 CRL`; the library writes `CRL`.
  return `${x509.PemConverter.encode(crl.rawData, 'X509 CRL')}\n`;
}

async function makeKeys(keyType: KeyType): Promise<CryptoKeyPair> {
  return (await crypto.subtle.generateKey(keyAlgorithms[keyType], true, ['sign', 'verify'])) as CryptoKeyPair;
}

function commonNameOf(options: IssueOptions): string {
  return options.commonName ?? options.dns?.[0] ?? options.uris?.[0] ?? options.ips?.[0] ?? 'nameless';
}

/** 16 bytes, positive and without a leading zero (RFC 5280 section 4.1.2.2). */
function randomSerial(): string {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  bytes[0] = ((bytes[0] ?? 0) & 0x3f) | 0x40;
  return Buffer.from(bytes).toString('hex');
}
