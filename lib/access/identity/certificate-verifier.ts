import { createHash } from 'node:crypto';
import { messageOf } from '../../core/errors.ts';
import type { Identity } from '../../core/session.ts';
import { Lru } from '../lru.ts';
import type { Authority } from './authority.ts';
import { type Certificate, parseCertificate } from './certificate.ts';
import {
  type CertificatePath,
  checkDates,
  checkPath,
  checkRevocation,
  findPath,
} from './certificate-path.ts';
import { maxCachedPaths, maxChainCertificates } from './options.ts';
import { Refusal } from './refusal.ts';
import { workloadName } from './workload-name.ts';

interface KnownPath {
  readonly path: CertificatePath;
  readonly identity: Identity;
}

/**
 * Judges client certificates from nothing but their bytes and the configured authorities: what TLS says of them is
 * not enough (Node takes RSA of 1024 bits, a CA as a leaf, several URI names, and resumes past a removed CA).
 */
export class CertificateVerifier {
  readonly #authorities: readonly Authority[];
  /** Paths whose lasting parts were found right, by the chain's SHA-256. Dates and revocation are judged each time. */
  readonly #known = new Lru<KnownPath>(maxCachedPaths);

  constructor(authorities: readonly Authority[]) {
    this.#authorities = authorities;
  }

  /** Throws Refusal. */
  verify(chain: readonly Uint8Array[], nowMs: number): Identity {
    if (chain.length === 0) throw new Refusal('malformed', 'no certificate');
    if (chain.length > maxChainCertificates)
      throw new Refusal(
        'limit',
        `chain of ${chain.length} certificates, at most ${maxChainCertificates} are read`,
      );
    const key = chainKey(chain);
    const known = this.#known.get(key) ?? this.#judge(chain);
    checkDates(known.path, nowMs);
    checkRevocation(known.path, nowMs);
    this.#known.set(key, known);
    return known.identity;
  }

  #judge(chain: readonly Uint8Array[]): KnownPath {
    const [leaf, ...intermediates] = chain.map(parse);
    if (leaf === undefined) throw new Refusal('malformed', 'no certificate');
    const path = findPath(leaf, intermediates, this.#authorities);
    try {
      checkPath(path);
      return { path, identity: identify(path, leaf) };
    } catch (error) {
      if (error instanceof Refusal) throw error;
      // Names and constraints are read only here; what can't be read is refused.
      throw new Refusal('malformed', `certificate '${leaf.label}' can't be read: ${messageOf(error)}`);
    }
  }
}

function identify({ authority, certificates }: CertificatePath, leaf: Certificate): Identity {
  return {
    principal: { kind: 'workload', source: authority.name, name: workloadName(certificates), groups: [] },
    credential: {
      kind: 'certificate',
      id: leaf.fingerprint,
      // The way is as good as its shortest-lived part.
      expiresAtMs: Math.min(...certificates.map(({ notAfterMs }) => notAfterMs)),
      issuedAtMs: leaf.notBeforeMs,
    },
  };
}

function parse(der: Uint8Array): Certificate {
  try {
    return parseCertificate(der);
  } catch (error) {
    throw new Refusal('malformed', `certificate can't be read: ${messageOf(error)}`);
  }
}

function chainKey(chain: readonly Uint8Array[]): string {
  const hash = createHash('sha256');
  // Each is hashed with its length, so that no two chains are the same bytes.
  for (const der of chain) hash.update(`${der.byteLength}:`).update(der);
  return hash.digest('base64url');
}
