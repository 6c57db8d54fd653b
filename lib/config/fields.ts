import { isIP } from 'node:net';
import { z } from 'zod';
import { isDnsName, parseBind, parseHostPort } from '../core/address.ts';
import { parseAuthority } from '../core/authority.ts';
import { defaultMaxGrpcMessageBytes } from '../wire/grpc/envelope.ts';
import { durationPattern, formatDuration, parseDuration } from './duration.ts';

/** The kinds of values that settings have. A message that starts with `expected ` says what would have been right. */

const namePattern = /^[A-Za-z0-9._-]{1,128}$/;

function text(expected: string, fits: (value: string) => boolean): z.ZodType<string, string> {
  return z.string({ error: missingAware(expected) }).refine(fits, { error: `expected ${expected}` });
}

/** zod asks for the message of a missing value too: that one only lacks. */
function missingAware(expected: string): (issue: { input?: unknown }) => string {
  return issue => `${issue.input === undefined ? 'missing; ' : ''}expected ${expected}`;
}

/** The name of a configured thing, safe in policy ids, metric labels and logs. */
export function name(): z.ZodType<string, string> {
  const expected = 'a name of 1 to 128 letters, digits, ".", "_" or "-"';
  return z.string({ error: missingAware(expected) }).regex(namePattern, { error: `expected ${expected}` });
}

/** The name of an issuer or a source of certificates: it stands before the `|` of principals. */
export function sourceName(): z.ZodType<string, string> {
  const expected = 'a name of 1 to 64 letters, digits, ".", "_" or "-"';
  return z
    .string({ error: missingAware(expected) })
    .regex(/^[A-Za-z0-9._-]{1,64}$/, { error: `expected ${expected}` });
}

/** A file, relative to the config. */
export function filePath(): z.ZodType<string, string> {
  return text('the path of a file, not its content', isPath);
}

/** True for what can name a file; a pasted PEM block cannot. */
export function isPath(value: string): boolean {
  return value.length > 0 && value.length <= 4096 && !/[\0\r\n]|-----BEGIN/.test(value);
}

export function duration(
  fallback: string,
  range: { readonly min: string; readonly max: string },
): z.ZodType<number, string | undefined> {
  const minMs = parseDuration(range.min) ?? 0;
  const maxMs = parseDuration(range.max) ?? 0;
  const expected = `expected a duration from "${formatDuration(minMs)}" to "${formatDuration(maxMs)}", such as "500ms", "30s" or "10m"`;
  return z
    .string({ error: expected })
    .regex(durationPattern, { error: expected })
    .transform((value, context) => {
      const ms = parseDuration(value) ?? -1;
      if (ms < minMs || ms > maxMs) context.issues.push({ code: 'custom', message: expected, input: value });
      return ms;
    })
    .prefault(fallback);
}

export function count(fallback: number, max: number): z.ZodType<number, number | undefined> {
  const expected = `expected a whole number from 1 to ${max}`;
  return z
    .int({ error: expected })
    .min(1, { error: expected })
    .max(max, { error: expected })
    .default(fallback);
}

const minMessageBytes = 1_024;
const maxMessageBytes = 64 * 1_048_576;

/** The longest message, by direction or one number for both. */
export function messageBytes(): z.ZodType<
  { up: number; down: number },
  number | { up?: number | undefined; down?: number | undefined } | undefined
> {
  const range = `a whole number of bytes from ${minMessageBytes} to ${maxMessageBytes}`;
  const error = `expected ${range}, or { "up": …, "down": … } of two such`;
  const bytes = z.int({ error }).min(minMessageBytes, { error }).max(maxMessageBytes, { error });
  const side = bytes.default(defaultMaxGrpcMessageBytes);
  return z
    .union([bytes, z.strictObject({ up: side, down: side })], { error })
    .transform(value => (typeof value === 'number' ? { up: value, down: value } : value))
    .prefault(defaultMaxGrpcMessageBytes);
}

/** An IP address and a port to bind. */
export function bind(): z.ZodType<string, string> {
  return text(
    'an IP address and port such as 0.0.0.0:8443, 127.0.0.1:0 or [::1]:8443',
    value => parseBind(value) !== undefined,
  );
}

/** An upstream over TLS. */
export function dialUrl(): z.ZodType<string, string> {
  const isTls = (value: string): boolean =>
    value.startsWith('tls://') && parseHostPort(value.slice('tls://'.length)) !== undefined;
  return text('tls://HOST:PORT (an upstream is always reached over TLS)', isTls);
}

/** A name that a certificate must carry: DNS or an IP address. */
export function peerName(): z.ZodType<string, string> {
  return text('a DNS name or an IP address', value => isDnsName(value) || isIP(value) !== 0);
}

/** A server name (SNI), or all of one label below a name. */
export function serverName(): z.ZodType<string, string> {
  return text('a DNS name such as legacy.example or *.legacy.example', value =>
    isDnsName(value.startsWith('*.') ? value.slice(2) : value),
  );
}

/** The authority of requests: a host, with a port or without. */
export function authority(): z.ZodType<string, string> {
  return text(
    'HOST or HOST:PORT such as api.example or api.example:8443',
    value => parseAuthority(value) !== undefined,
  );
}

/** A gRPC service with its package, as it stands in a request's path. */
export function serviceName(): z.ZodType<string, string> {
  const pattern = /^(?=.{1,256}$)[A-Za-z_][A-Za-z0-9_]*(\.[A-Za-z_][A-Za-z0-9_]*)*$/;
  return text('the full name of a gRPC service such as agents.AgentRpc', value => pattern.test(value));
}

/** An https URL without user, password or fragment: it is written to logs. */
export function httpsUrl(): z.ZodType<string, string> {
  return text('an https:// URL without user, password and fragment', isHttpsUrl);
}

/** Where keys come from: a file, or a URL. */
export function fileOrUrl(): z.ZodType<string, string> {
  return text('the path of a file or an https:// URL', value =>
    /^[a-z][a-z0-9+.-]*:\/\//i.test(value) ? isHttpsUrl(value) : isPath(value),
  );
}

function isHttpsUrl(value: string): boolean {
  const url = URL.parse(value);
  return url?.protocol === 'https:' && url.username === '' && url.password === '' && url.hash === '';
}

/** Text of a person's choosing: a claim, an audience. */
export function word(): z.ZodType<string, string> {
  return text('text of 1 to 256 characters', value => value.length > 0 && value.length <= 256);
}

export function oneOf<const T extends string>(
  values: readonly T[],
  later: readonly string[] = [],
): z.ZodType<T, T> {
  return z.enum(values, {
    error: issue =>
      typeof issue.input === 'string' && later.includes(issue.input)
        ? notYet(`the value "${issue.input}"`)
        : undefined,
  });
}

/** A setting that is known, and that this build cannot enforce: an error rather than ignored. */
export function later(): z.ZodOptional<z.ZodNever> {
  return z.never({ error: () => notYet('this setting') }).optional();
}

function notYet(what: string): string {
  return `this build knows ${what} but cannot enforce it yet: remove it`;
}

/**
 * Holds a schema and the type of its result together: the compiler refuses a key that only one of them has.
 * (Types of exported values are written out, so the type cannot simply be inferred.)
 */
export function matching<T>(): <S extends z.ZodType<T>>(
  schema: S &
    (keyof z.output<S> extends keyof T ? (keyof T extends keyof z.output<S> ? unknown : never) : never),
) => z.ZodType<T> {
  return schema => schema;
}
