import { safeText } from '../../core/bytes.ts';
import { maxTokenBytes } from '../../core/limits.ts';
import { maxKidChars } from './options.ts';
import { Refusal, tokenRefused } from './refusal.ts';

export type JsonObject = Readonly<Record<string, unknown>>;

/** A token taken apart; nothing of it is believed yet. */
export interface ParsedToken {
  readonly algorithm: string;
  readonly kid: string | undefined;
  readonly type: string | undefined;
  /** `iss`, which only picks whose keys and rules are used. */
  readonly issuer: string;
}

// JWS compact serialisation (RFC 7515 section 7.1), base64url without padding.
const compactForm = /^([A-Za-z0-9_-]+)\.([A-Za-z0-9_-]+)\.([A-Za-z0-9_-]+)$/;
const utf8 = new TextDecoder('utf-8', { fatal: true });

/** Takes a token apart, its size checked before anything is allocated. */
export function parseToken(token: string): ParsedToken {
  if (token.length > maxTokenBytes)
    throw new Refusal('malformed', `token of ${token.length} B is longer than ${maxTokenBytes} B`);
  const [, headerPart = '', payloadPart = ''] = compactForm.exec(token) ?? [];
  if (headerPart === '') throw malformed('token is not three base64url parts');
  const header = parseJson(Buffer.from(headerPart, 'base64url'), 'header');
  // No extension is understood, so any critical one is refused (RFC 7515 section 4.1.11).
  if (header.crit !== undefined) throw malformed('header has crit');
  const { issuer } = readIssuer(parseJson(Buffer.from(payloadPart, 'base64url'), 'payload'));
  const algorithm = header.alg;
  if (typeof algorithm !== 'string') throw malformed('header has no alg');
  return { algorithm, kid: readKid(header.kid), type: readType(header.typ), issuer };
}

/** Bytes as a JSON object, or a refusal. */
export function parseJson(bytes: Uint8Array, what: string): JsonObject {
  try {
    const value: unknown = JSON.parse(utf8.decode(bytes));
    if (isObject(value)) return value;
  } catch {
    // The parser's message would quote the token.
  }
  throw malformed(`${what} is not a JSON object`);
}

export function isObject(value: unknown): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function readIssuer(payload: JsonObject): { issuer: string } {
  const issuer = payload.iss;
  if (typeof issuer !== 'string' || issuer === '') throw malformed('payload has no iss');
  return { issuer };
}

function readKid(kid: unknown): string | undefined {
  if (kid === undefined) return undefined;
  if (typeof kid !== 'string') throw malformed('kid is not a string');
  if (kid.length > maxKidChars)
    throw malformed(`kid of ${kid.length} characters is longer than ${maxKidChars}`);
  return kid;
}

function readType(type: unknown): string | undefined {
  if (type === undefined) return undefined;
  if (typeof type !== 'string') throw malformed('typ is not a string');
  // Media types compare without case, and "application/" may be left out (RFC 7515 section 4.1.9).
  return safeText(type.toLowerCase().replace(/^application\//, ''), 64);
}

function malformed(message: string): Refusal {
  return new Refusal('malformed', message, tokenRefused);
}
