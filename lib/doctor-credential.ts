import { X509Certificate } from 'node:crypto';
import { safeText } from './core/bytes.ts';

/** What can be told of a credential without the gateway: never the credential itself, nor anything that makes one. */
export interface CredentialSeen {
  readonly text: string;
  /** By this machine's clock. */
  readonly expired: boolean;
}

const mostChars = 200;

/** Nothing of it is verified: it is what the token says of itself. */
export function describeToken(token: string, nowMs: number): CredentialSeen {
  const claims = claimsOf(token);
  if (claims === undefined) return { text: 'a token that is no JWT, which no gateway takes', expired: false };
  const audience = Array.isArray(claims.aud) ? claims.aud.join(', ') : claims.aud;
  const until = typeof claims.exp === 'number' ? claims.exp * 1000 : undefined;
  const text = [
    `issuer ${shown(claims.iss)}`,
    `audience ${shown(audience)}`,
    `subject ${shown(claims.sub)}`,
    until === undefined ? 'no expiry' : expiry(until, nowMs),
  ].join(', ');
  return { text, expired: until !== undefined && until <= nowMs };
}

export function describeCertificate(pem: string, nowMs: number): CredentialSeen {
  const leaf = new X509Certificate(pem);
  const until = leaf.validToDate.getTime();
  const names = safeText(leaf.subjectAltName ?? 'no name', mostChars);
  const issuer = safeText(/^CN=(.*)$/m.exec(leaf.issuer ?? '')?.[1] ?? leaf.issuer ?? '', mostChars);
  return {
    text: `client certificate for ${names}, issued by ${issuer}, ${expiry(until, nowMs)}`,
    expired: until <= nowMs,
  };
}

/** `expires in 59 min (2026-11-24T10:00:00.000Z)`. */
export function expiry(untilMs: number, nowMs: number): string {
  const date = new Date(untilMs);
  if (Number.isNaN(date.getTime())) return 'an expiry that is no date';
  const left = untilMs - nowMs;
  return left > 0
    ? `expires in ${span(left)} (${date.toISOString()})`
    : `EXPIRED ${span(-left)} ago (${date.toISOString()})`;
}

function span(ms: number): string {
  if (ms < 120_000) return `${Math.round(ms / 1000)} s`;
  if (ms < 7_200_000) return `${Math.round(ms / 60_000)} min`;
  return ms < 172_800_000 ? `${Math.round(ms / 3_600_000)} h` : `${Math.round(ms / 86_400_000)} days`;
}

function shown(claim: unknown): string {
  return typeof claim === 'string' && claim !== '' ? safeText(claim, mostChars) : '(none)';
}

function claimsOf(token: string): Readonly<Record<string, unknown>> | undefined {
  const [, payload, signature, more] = token.trim().split('.');
  if (payload === undefined || signature === undefined || more !== undefined) return undefined;
  try {
    const claims: unknown = JSON.parse(Buffer.from(payload, 'base64url').toString('utf8'));
    if (typeof claims !== 'object' || claims === null || Array.isArray(claims)) return undefined;
    return claims as Record<string, unknown>;
  } catch {
    return undefined;
  }
}
