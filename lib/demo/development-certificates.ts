// @peculiar/x509 wants it loaded first.
import 'reflect-metadata';

import { randomBytes, type webcrypto } from 'node:crypto';
import {
  AuthorityKeyIdentifierExtension,
  BasicConstraintsExtension,
  ExtendedKeyUsage,
  ExtendedKeyUsageExtension,
  Extension,
  KeyUsageFlags,
  KeyUsagesExtension,
  SubjectAlternativeNameExtension,
  SubjectKeyIdentifierExtension,
  X509CertificateGenerator,
} from '@peculiar/x509';
import { developmentMarkerOid } from '../core/development.ts';
import { developmentLimits } from './options.ts';

const keyAlgorithm = { name: 'ECDSA', namedCurve: 'P-256' } as const;
const signingAlgorithm = { name: 'ECDSA', hash: 'SHA-256' } as const;
const caName = 'CN=Lockwire DEVELOPMENT CA';
const leafName = 'CN=Lockwire DEVELOPMENT gateway';

/** What the gateway's certificate is good for. */
const loopbackNames = [
  { type: 'dns', value: 'localhost' },
  { type: 'ip', value: '127.0.0.1' },
  { type: 'ip', value: '::1' },
] as const;

type Names = readonly { readonly type: 'dns' | 'ip'; readonly value: string }[];

export interface DevelopmentCertificates {
  /** PEM of the CA's certificate. Its key is gone: nothing else can ever be signed with it. */
  readonly ca: string;
  readonly cert: string;
  readonly key: string;
}

/** A CA and the one certificate it signs, for loopback names only. */
export async function makeDevelopmentCertificates(nowMs: number): Promise<DevelopmentCertificates> {
  const authority = await DevelopmentAuthority.make(nowMs);
  return { ca: authority.certificate, ...(await authority.issue(loopbackNames)) };
}

/** The CA while its key is in memory. */
export class DevelopmentAuthority {
  readonly certificate: string;
  readonly #keys: webcrypto.CryptoKeyPair;
  readonly #validity: { readonly notBefore: Date; readonly notAfter: Date };

  private constructor(
    certificate: string,
    keys: webcrypto.CryptoKeyPair,
    validity: { notBefore: Date; notAfter: Date },
  ) {
    this.certificate = certificate;
    this.#keys = keys;
    this.#validity = validity;
  }

  static async make(nowMs: number): Promise<DevelopmentAuthority> {
    const { backdateMs, certificateLifeMs } = developmentLimits;
    const validity = {
      notBefore: new Date(nowMs - backdateMs),
      notAfter: new Date(nowMs + certificateLifeMs),
    };
    const keys = await makeKeys();
    const certificate = await X509CertificateGenerator.createSelfSigned({
      ...validity,
      serialNumber: serialNumber(),
      name: caName,
      keys,
      signingAlgorithm,
      extensions: [
        new BasicConstraintsExtension(true, 0, true),
        new KeyUsagesExtension(KeyUsageFlags.keyCertSign | KeyUsageFlags.cRLSign, true),
        await SubjectKeyIdentifierExtension.create(keys.publicKey),
        nameConstraints(),
        marker(),
      ],
    });
    return new DevelopmentAuthority(`${certificate.toString('pem')}\n`, keys, validity);
  }

  /** Signs for any names; beyond loopback no client accepts what comes of it. */
  async issue(names: Names): Promise<{ readonly cert: string; readonly key: string }> {
    const keys = await makeKeys();
    const certificate = await X509CertificateGenerator.create({
      ...this.#validity,
      serialNumber: serialNumber(),
      subject: leafName,
      issuer: caName,
      publicKey: keys.publicKey,
      signingKey: this.#keys.privateKey,
      signingAlgorithm,
      extensions: [
        new BasicConstraintsExtension(false, undefined, true),
        new KeyUsagesExtension(KeyUsageFlags.digitalSignature, true),
        new ExtendedKeyUsageExtension([ExtendedKeyUsage.serverAuth]),
        new SubjectAlternativeNameExtension([...names]),
        await SubjectKeyIdentifierExtension.create(keys.publicKey),
        await AuthorityKeyIdentifierExtension.create(this.#keys.publicKey),
        marker(),
      ],
    });
    return { cert: `${certificate.toString('pem')}\n`, key: await privateKeyPem(keys.privateKey) };
  }
}

async function makeKeys(): Promise<webcrypto.CryptoKeyPair> {
  return crypto.subtle.generateKey(keyAlgorithm, true, ['sign', 'verify']);
}

/** A new ES256 key pair's private half, PKCS #8. */
export async function makePrivateKeyPem(): Promise<string> {
  return privateKeyPem((await makeKeys()).privateKey);
}

async function privateKeyPem(key: CryptoKey): Promise<string> {
  const der = Buffer.from(await crypto.subtle.exportKey('pkcs8', key));
  const lines = der.toString('base64').match(/.{1,64}/g) ?? [];
  return `-----BEGIN PRIVATE KEY-----\n${lines.join('\n')}\n-----END PRIVATE KEY-----\n`;
}

/** 16 random bytes, positive (RFC 5280 section 4.1.2.2). */
function serialNumber(): string {
  const bytes = randomBytes(16);
  bytes[0] = ((bytes[0] ?? 0) & 0x7f) | 0x40;
  return bytes.toString('hex');
}

function marker(): Extension {
  return new Extension(
    developmentMarkerOid,
    false,
    der(0x0c, Buffer.from('made by lockwire up, for development')),
  );
}

/** Critical: a client that can't obey it must refuse the certificate (RFC 5280 section 4.2.1.10). */
function nameConstraints(): Extension {
  const dnsName = der(0x82, Buffer.from('localhost'));
  const ipv4 = der(0x87, Buffer.from([127, 0, 0, 1, 255, 255, 255, 255]));
  const ipv6 = der(0x87, Buffer.concat([Buffer.alloc(15), Buffer.from([1]), Buffer.alloc(16, 255)]));
  const permitted = der(0xa0, ...[dnsName, ipv4, ipv6].map(name => der(0x30, name)));
  return new Extension('2.5.29.30', true, der(0x30, permitted));
}

/** One DER value; all of ours are shorter than 128 bytes, so the length is one byte (X.690 section 8.1.3.4). */
function der(tag: number, ...parts: Buffer[]): Buffer<ArrayBuffer> {
  const content = Buffer.concat(parts);
  return Buffer.concat([Buffer.from([tag, content.byteLength]), content]);
}
