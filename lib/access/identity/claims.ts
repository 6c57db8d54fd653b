import { safeText } from '../../core/bytes.ts';
import type { CredentialFacts, Identity, Principal } from '../../core/session.ts';
import { type Confirmation, readConfirmation } from './confirmation.ts';
import {
  audiencesOf,
  clockSkewMs,
  defaultMaxLifetimeMs,
  type IssuerOptions,
  maxEmailChars,
  maxGroupChars,
  maxGroups,
  maxSubjectChars,
  maxTokenIdChars,
} from './options.ts';
import { Refusal } from './refusal.ts';
import { isObject, type JsonObject } from './token.ts';

/** What a verified token says, judged by its issuer's rules. */
export interface TokenFacts extends Identity {
  readonly confirmation: Confirmation | undefined;
  readonly notBeforeMs: number;
}

/** Judges the claims of a token whose signature was verified. Throws Refusal. */
export function readClaims(
  payload: JsonObject,
  type: string | undefined,
  issuer: IssuerOptions,
  nowMs: number,
  tokenHash: string,
): TokenFacts {
  checkType(payload, type, issuer.token);
  checkAudience(payload.aud, issuer);
  checkParty(payload, issuer);
  const times = readTimes(payload, issuer, nowMs);
  const confirmation = readConfirmation(payload.cnf);
  const credential: CredentialFacts = {
    kind: 'token',
    id: readTokenId(payload.jti) ?? tokenHash.slice(0, 16),
    expiresAtMs: times.expiresAtMs,
    issuedAtMs: times.issuedAtMs,
  };
  return {
    principal: readPrincipal(payload, issuer),
    credential,
    confirmation,
    notBeforeMs: times.notBeforeMs,
  };
}

/** Throws Refusal where a token can't be used at this time. */
export function checkTimes(notBeforeMs: number, expiresAtMs: number, nowMs: number): void {
  if (nowMs >= expiresAtMs + clockSkewMs)
    throw new Refusal('expired', `token expired at ${iso(expiresAtMs)}`);
  if (nowMs < notBeforeMs - clockSkewMs)
    throw new Refusal('not-yet-valid', `token is not valid before ${iso(notBeforeMs)}; it is ${iso(nowMs)}`);
}

/** Claims that only ID tokens have (OpenID Connect Core sections 2 and 3.3.2.11). */
const idTokenClaims = ['nonce', 'at_hash', 'c_hash', 's_hash'] as const;

/** What Keycloak calls its kinds in the claim `typ`; `DPoP` is an access token bound to a key. */
const keycloakKinds: Readonly<Record<'access' | 'id', readonly unknown[]>> = {
  access: ['Bearer', 'DPoP'],
  id: ['ID'],
};

/**
 * Keeps the two kinds apart (RFC 8725 section 3.12). `at+jwt` is an access token (RFC 9068 section 2.1); `JWT` or
 * nothing may be either, so the payload decides: Keycloak's `typ` and Cognito's `token_use` must name the kind that is
 * wanted, and where neither is there, claims that only ID tokens have make it one. Any other type (`dpop+jwt`,
 * `logout+jwt`, …) is neither.
 */
function checkType(payload: JsonObject, type: string | undefined, wanted: 'access' | 'id'): void {
  const plain = type === undefined || type === 'jwt';
  if (!plain && !(type === 'at+jwt' && wanted === 'access'))
    throw new Refusal('type', `token is of type '${type}', ${article(wanted)} token is wanted`);
  const { token_use: use, typ } = payload;
  if (use !== undefined && use !== wanted)
    throw new Refusal('type', `token_use says another use, ${article(wanted)} token is wanted`);
  const named = keycloakKinds[wanted].includes(typ);
  if (typ !== undefined && typ !== 'JWT' && !named)
    throw new Refusal('type', `claim typ says another kind, ${article(wanted)} token is wanted`);
  // Older Keycloaks write a nonce into access tokens as well: there the kind is named.
  if (wanted === 'id' || !plain || named || use !== undefined) return;
  const found = idTokenClaims.find(claim => payload[claim] !== undefined);
  if (found !== undefined)
    throw new Refusal('type', `token has '${found}' as only ID tokens do, an access token is wanted`);
}

function article(kind: 'access' | 'id'): string {
  return kind === 'access' ? 'an access' : 'an ID';
}

function audienceList(aud: unknown): readonly string[] {
  const list = typeof aud === 'string' ? [aud] : aud;
  if (!Array.isArray(list) || !list.every(entry => typeof entry === 'string'))
    throw new Refusal('audience', 'aud is neither a string nor an array of strings');
  return list;
}

function checkAudience(aud: unknown, issuer: IssuerOptions): void {
  const list = audienceList(aud);
  if (!audiencesOf(issuer).some(audience => list.includes(audience)))
    throw new Refusal(
      'audience',
      `token is for audience '${safeText(list.join(' '), 128)}', not for this gateway`,
    );
}

/**
 * Which client the token was given to. An ID token's own client is its audience (OpenID Connect Core section
 * 3.1.3.7), so there `azp` must be one of the audiences unless parties are configured.
 */
function checkParty(payload: JsonObject, issuer: IssuerOptions): void {
  const party = payload.azp ?? (issuer.token === 'access' ? payload.client_id : undefined);
  const several = audienceList(payload.aud).length > 1;
  const parties = issuer.authorizedParties ?? (issuer.token === 'id' ? audiencesOf(issuer) : undefined);
  if (parties === undefined) return;
  if (party === undefined && issuer.authorizedParties === undefined && !several) return;
  if (typeof party !== 'string' || !parties.includes(party))
    throw new Refusal(
      'authorized-party',
      typeof party === 'string'
        ? `token was given to client '${safeText(party, 128)}', which is not permitted here`
        : 'token does not say which client it was given to (azp)',
    );
}

interface Times {
  readonly issuedAtMs: number;
  readonly expiresAtMs: number;
  readonly notBeforeMs: number;
}

function readTimes(payload: JsonObject, issuer: IssuerOptions, nowMs: number): Times {
  const issuedAtMs = readDate(payload.iat, 'iat');
  const expiresAtMs = readDate(payload.exp, 'exp');
  const notBeforeMs = payload.nbf === undefined ? issuedAtMs : readDate(payload.nbf, 'nbf');
  checkTimes(Math.max(notBeforeMs, issuedAtMs), expiresAtMs, nowMs);
  const lifetimeMs = expiresAtMs - issuedAtMs;
  const maxLifetimeMs = issuer.maxLifetimeMs ?? defaultMaxLifetimeMs;
  if (lifetimeMs <= 0 || lifetimeMs > maxLifetimeMs)
    throw new Refusal(
      'lifetime',
      `token lives ${lifetimeMs / 1000} s from iat to exp, at most ${maxLifetimeMs / 1000} s are taken`,
    );
  return { issuedAtMs, expiresAtMs, notBeforeMs: Math.max(notBeforeMs, issuedAtMs) };
}

/** NumericDate (RFC 7519 section 2), in seconds; whoever writes milliseconds is refused by the lifetime. */
function readDate(value: unknown, claim: string): number {
  if (typeof value !== 'number' || !(value > 0 && value < 1e13))
    throw new Refusal('claims', `${claim} is missing or no date in seconds`);
  return value * 1000;
}

function readTokenId(jti: unknown): string | undefined {
  if (typeof jti !== 'string' || jti.length > maxTokenIdChars) return undefined;
  return isCleanText(jti) ? jti : undefined;
}

function readPrincipal(payload: JsonObject, issuer: IssuerOptions): Principal {
  const subject = payload.sub;
  if (typeof subject !== 'string' || subject.length > maxSubjectChars || !isCleanText(subject))
    throw new Refusal(
      'subject',
      `sub is missing, longer than ${maxSubjectChars} characters, or has control characters in it`,
    );
  const groups = readGroups(payload, issuer.groups);
  if (issuer.principal === 'workload')
    return { kind: 'workload', source: issuer.name, name: subject, groups };
  const email = readEmail(payload);
  return {
    kind: 'user',
    issuer: issuer.name,
    subject,
    groups,
    ...(email === undefined ? {} : { email }),
  };
}

/** Only an e-mail that the issuer vouches for is anybody's; `"true"` is not `true`. */
function readEmail({ email, email_verified: verified }: JsonObject): string | undefined {
  if (verified !== true || typeof email !== 'string' || email.length > maxEmailChars) return undefined;
  return isCleanText(email) ? email : undefined;
}

/** Never cut short: a group that is left out may be the one that a `forbid` names. */
function readGroups(payload: JsonObject, claim: string | undefined): readonly string[] {
  if (claim === undefined) return [];
  checkOverage(payload, claim);
  const groups = Object.hasOwn(payload, claim) ? payload[claim] : [];
  if (!Array.isArray(groups)) throw new Refusal('groups', `claim '${claim}' is not an array of strings`);
  if (groups.length > maxGroups)
    throw new Refusal(
      'groups',
      `claim '${claim}' has ${groups.length} groups, at most ${maxGroups} are taken`,
    );
  for (const group of groups) {
    if (typeof group !== 'string' || group.length > maxGroupChars || !isCleanText(group))
      throw new Refusal(
        'groups',
        `claim '${claim}' has a group that is no string, longer than ${maxGroupChars} characters, or has control characters`,
      );
  }
  return [...new Set<string>(groups)];
}

/** Entra leaves the groups out when there are many, and says so by a distributed claim. */
function checkOverage(payload: JsonObject, claim: string): void {
  const elsewhere = payload._claim_names;
  const hinted = claim === 'groups' && payload.hasgroups === true;
  if (hinted || (isObject(elsewhere) && Object.hasOwn(elsewhere, claim)))
    throw new Refusal('groups', `the issuer left out claim '${claim}' for its size (_claim_names)`);
}

// Controls, format characters (bidirectional marks, zero width), separators of lines; lone surrogates are not text.
const unclean = /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Cs}]/u;

/** Text that is shown as what it is and survives every encoding unchanged. `|` and `/` are fine: the source name has none. */
function isCleanText(text: string): boolean {
  return text !== '' && !unclean.test(text);
}

function iso(ms: number): string {
  return Number.isFinite(ms) && Math.abs(ms) < 8.64e15 ? new Date(ms).toISOString() : String(ms);
}
