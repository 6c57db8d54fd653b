import { LockwireError } from '../../core/errors.ts';

/** An issuer of tokens that this gateway believes. */
export interface IssuerOptions {
  /** Names the issuer in policy (`User::"name|sub"`, `Group::"name/group"`): without `/` and `|`. */
  readonly name: string;
  /** `iss`, compared exactly. */
  readonly issuer: string;
  /** `aud`, compared exactly; one of several is enough. */
  readonly audience: string | readonly string[];
  /** What kind of token is taken. The other kind is refused (RFC 9068 section 4, RFC 8725 section 3.12). */
  readonly token: 'access' | 'id';
  /** Signature algorithms, asymmetric ones only; the token's header never widens them. Default: `defaultAlgorithms`. */
  readonly algorithms?: readonly string[];
  /** Clients (`azp`, else `client_id`) whose tokens are taken. */
  readonly authorizedParties?: readonly string[];
  /** The claim that holds the groups, an array of strings. Default: none is read. */
  readonly groups?: string;
  /** `workload` for CI tokens: the subject is a program. Default `user`. */
  readonly principal?: 'user' | 'workload';
  /** Longest `exp - iat`. Default 24 h. */
  readonly maxLifetimeMs?: number;
  readonly jwks: JwksSource;
}

export type JwksSource =
  | { readonly kind: 'file'; readonly path: string; readonly text: string }
  | { readonly kind: 'url'; readonly url: string; readonly ca?: string }
  /** From `<issuer>/.well-known/openid-configuration`. */
  | { readonly kind: 'discovery'; readonly ca?: string };

/** A certificate authority whose client certificates are workloads. */
export interface AuthorityOptions {
  /** Names the authority in policy (`Workload::"name|san"`): without `/` and `|`. */
  readonly name: string;
  /** Trust anchors as PEM, one or several. */
  readonly ca: string;
  /** CRLs as PEM, one for each CA on the way from a leaf to an anchor. */
  readonly crl?: string;
}

export interface AuthenticatorOptions {
  readonly issuers: readonly IssuerOptions[];
  readonly authorities: readonly AuthorityOptions[];
  /** When this program was built: a clock that says it is earlier is wrong, and no date can be judged by it. */
  readonly builtAtMs: number;
}

/** RFC 7518, RFC 8037, RFC 9864: only signatures whose verifying key can't sign. */
export const defaultAlgorithms: readonly string[] = [
  'ES256',
  'ES384',
  'ES512',
  'EdDSA',
  'Ed25519',
  'RS256',
  'RS384',
  'RS512',
  'PS256',
  'PS384',
  'PS512',
];

/** Clock difference that is forgiven between issuer and gateway. */
export const clockSkewMs = 60_000;
export const defaultMaxLifetimeMs: number = 24 * 3_600_000;
/** How long a verified token is believed without checking its signature again. */
export const tokenCacheMs: number = 5 * 60_000;
export const maxCachedTokens = 4096;
/** Signatures checked at once: more would only queue in the thread pool, before file reads and name look-ups. */
export const maxSignatureChecks = 8;
/** Tokens that wait for a signature check; the next one is refused with `limit`. */
export const maxPendingChecks = 1024;
/** Tokens that wait for one issuer's keys to be fetched; the next one is refused with `limit`. */
export const maxKeyWaiters = 1024;
export const maxSubjectChars = 255;
export const maxGroups = 256;
export const maxGroupChars = 256;
export const maxEmailChars = 254;
export const maxTokenIdChars = 128;
export const maxKidChars = 256;

/** Key sets: one answer's size, the whole request's time, and how often one is asked for. */
export const maxJwksBytes = 262_144;
export const jwksTimeoutMs = 5_000;
export const jwksRefetchMs = 30_000;
/** While there are no keys at all, a failed fetch is tried again sooner. */
export const jwksRetryMs = 5_000;
/** Older keys are fetched again in the background, so that a withdrawn key stops working. */
export const jwksFreshMs: number = 10 * 60_000;
/** Keys that could not be fetched again for so long are believed no more. */
export const jwksStaleMs: number = 6 * 3_600_000;
export const maxKeys = 128;
/** Keys with the same kid that are tried for one token. */
export const maxKeyCandidates = 4;

/** Certificates of one chain that are looked at, and signatures from a leaf to its anchor. */
export const maxChainCertificates = 8;
export const maxPathDepth = 4;
export const maxCertificateBytes = 16_384;
/** Signatures checked while looking for a path: bounds what cross-signed look-alikes can cost. */
export const maxPathChecks = 16;
export const maxCachedPaths = 1024;
export const maxDnsNameChars = 253;
export const maxSpiffeIdChars = 2048;

/** Throws `config` with all that is wrong. */
export function checkAuthenticatorOptions(options: AuthenticatorOptions): void {
  const problems: string[] = [];
  const names = new Set<string>();
  for (const { name } of [...options.issuers, ...options.authorities]) {
    if (!isSourceName(name))
      problems.push(`name '${name}': 1 to 128 of letters, digits, '.', '_' and '-' wanted`);
    // Issuers and authorities share the namespace of `Workload::"name|…"`.
    if (names.has(name)) problems.push(`name '${name}' is used twice`);
    names.add(name);
  }
  const issuers = new Set<string>();
  for (const issuer of options.issuers) {
    if (issuers.has(issuer.issuer)) problems.push(`issuer '${issuer.issuer}' is configured twice`);
    issuers.add(issuer.issuer);
    for (const problem of issuerProblems(issuer)) problems.push(`issuer '${issuer.name}': ${problem}`);
  }
  if (problems.length > 0) throw new LockwireError('config', problems.join('; '));
}

/** What may name an issuer or an authority: nothing that could be taken for a separator. */
function isSourceName(name: string): boolean {
  return /^[A-Za-z0-9._-]{1,128}$/.test(name);
}

/** The audiences as an array, whichever way they were given. */
export function audiencesOf(issuer: IssuerOptions): readonly string[] {
  return typeof issuer.audience === 'string' ? [issuer.audience] : issuer.audience;
}

function issuerProblems(issuer: IssuerOptions): string[] {
  const problems: string[] = [];
  if (issuer.issuer === '') problems.push('issuer is empty');
  const audiences = audiencesOf(issuer);
  if (audiences.length === 0 || audiences.includes('')) problems.push('audience is empty');
  if (issuer.algorithms?.length === 0) problems.push('algorithms are empty');
  for (const algorithm of issuer.algorithms ?? []) {
    if (!defaultAlgorithms.includes(algorithm))
      problems.push(`algorithm '${algorithm}' is not one of ${defaultAlgorithms.join(', ')}`);
  }
  if (issuer.authorizedParties?.length === 0)
    problems.push('authorizedParties are empty: nobody could enter');
  const lifetimeMs = issuer.maxLifetimeMs ?? defaultMaxLifetimeMs;
  if (!(lifetimeMs > 0)) problems.push(`maxLifetimeMs ${lifetimeMs} is not above 0`);
  const { jwks } = issuer;
  if (jwks.kind === 'url' && !isHttps(jwks.url)) problems.push(`jwks '${jwks.url}' is not an https URL`);
  if (jwks.kind === 'discovery' && !isHttps(issuer.issuer))
    problems.push(`issuer '${issuer.issuer}' is not an https URL, so its keys can't be discovered`);
  return problems;
}

/** True for an https URL without user or password in it. */
export function isHttps(text: string): boolean {
  const url = URL.parse(text);
  return url !== null && url.protocol === 'https:' && url.username === '' && url.password === '';
}
