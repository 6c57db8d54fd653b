import { LockwireError, messageOf } from './core/errors.ts';
import type { Log } from './core/ports.ts';
import type { Judge } from './gateway-judge.ts';
import type { GatewayKey } from './gateway-key.ts';
import type { LiveSessions } from './gateway-live.ts';
import type { AdminRoutes } from './observe/admin-routes.ts';
import { type RevocationKind, revocationKinds } from './store/revocations.ts';
import type { Store } from './store/store.ts';

export interface AdminRoutePorts {
  readonly log: Log;
  readonly live: LiveSessions;
  readonly store: Store;
  readonly judge: Judge;
  readonly key: GatewayKey;
  /** Configured names of issuers and authorities: a principal is of one of them. */
  readonly sources: () => readonly string[];
  readonly targets: () => readonly string[];
  readonly explain: (id: string) => unknown;
  /** Throws LockwireError where the new config is no good; absent where there is none to read. */
  readonly reload: (() => Promise<string>) | undefined;
}

/** What the command line asks over the admin socket. Whoever may open it may do all of it; each change is logged. */
export function adminRoutes(ports: AdminRoutePorts): AdminRoutes {
  const { live, store, judge, key } = ports;
  const ok = (body: unknown) => ({ status: 200, body });
  return {
    'GET /sessions': async () => ok(live.list()),
    'GET /explain': async ({ query }) => {
      const found = ports.explain(query.get('id') ?? '');
      const message = 'no such denial among the last 4,096 since this gateway started';
      return found === undefined
        ? { status: 404, body: { error: { code: 'unavailable', message } } }
        : ok(found);
    },
    'GET /revocations': async () => ok({ revocations: store.revocations().map(datesAsText) }),
    'POST /revoke': async ({ body }) => {
      const fields = readFields(body, ['kind', 'value', 'reason']);
      const kind = readKind(fields.kind);
      const value = readValue(kind, fields.value ?? '', ports.sources());
      return ok(
        audited(ports, 'revoke', { kind, value }, () =>
          datesAsText(store.revoke(kind, value, fields.reason ?? '')),
        ),
      );
    },
    'POST /revoke/undo': async ({ body }) => {
      const { id = '' } = readFields(body, ['id']);
      const undone = audited(ports, 'undo a revocation', { revocation: id }, () =>
        store.undoRevocation(Number(id)),
      );
      if (!undone) throw new LockwireError('usage', `there is no revocation ${id}; lockwire revoke --list`);
      return ok({ undone: Number(id) });
    },
    'POST /kill': async ({ body }) => {
      const { session = '', reason = '' } = readFields(body, ['session', 'reason']);
      const killed = audited(ports, 'kill', { killed: session, why: reason }, () => judge.kill(session));
      if (!killed)
        throw new LockwireError('usage', `no session ${session} lives; lockwire sessions lists them`);
      return ok({ killed: session });
    },
    'GET /enrolments': async () =>
      ok({ enrolments: store.enrolments().map(datesAsText), outstandingCodes: store.outstandingCodes() }),
    'POST /enroll': async ({ body }) => {
      const fields = readFields(body, ['principal', 'role', 'target']);
      const principal = readValue('principal', fields.principal ?? '', ports.sources());
      const role = readRole(fields.role);
      const target = readTarget(fields.target ?? '', ports.targets());
      const issued = audited(ports, 'issue a one-time code', { principal, role, target }, () =>
        store.issueCode({ principal, role, target }),
      );
      return ok({ ...datesAsText(issued), gatewayKey: key.fingerprint });
    },
    'POST /enrolments/remove': async ({ body }) => {
      const instance = readFingerprint('instance', readFields(body, ['instance']).instance ?? '');
      const removed = audited(ports, 'remove an enrolment', { instance }, () =>
        store.removeEnrolment(instance),
      );
      if (!removed) throw new LockwireError('usage', `no instance ${instance} is enrolled`);
      return ok({ removed: instance });
    },
    'POST /rotate-key': async () => {
      audited(ports, 'rotate the gateway key', {}, () => key.rotate());
      return ok({ gatewayKey: key.fingerprint });
    },
    'POST /reload': async () => {
      if (ports.reload === undefined)
        throw new LockwireError('usage', 'this gateway has no config to reload');
      ports.log.info({ action: 'reload' }, 'admin action');
      return ok({ text: await ports.reload() });
    },
  };
}

/** Said before and whatever comes of it: what an admin tried is known too. */
function audited<T>(
  { log }: AdminRoutePorts,
  action: string,
  fields: Readonly<Record<string, unknown>>,
  work: () => T,
): T {
  try {
    const result = work();
    log.info({ action, ...fields, ...(result === false ? { result: 'not found' } : {}) }, 'admin action');
    return result;
  } catch (error) {
    log.warn({ action, ...fields, error: messageOf(error) }, 'admin action failed');
    throw error;
  }
}

function readFields(body: unknown, names: readonly string[]): Partial<Record<string, string>> {
  if (typeof body !== 'object' || body === null || Array.isArray(body))
    throw new LockwireError('usage', 'the body is no JSON object');
  const fields: Record<string, string> = {};
  for (const [name, value] of Object.entries(body)) {
    if (!names.includes(name) || typeof value !== 'string' || value.length > 1024)
      throw new LockwireError('usage', `"${name.slice(0, 64)}" is unknown, no text, or over 1024 characters`);
    fields[name] = value;
  }
  return fields;
}

function readKind(text: string | undefined): RevocationKind {
  const kind = revocationKinds.find(known => known === text);
  if (kind === undefined) throw new LockwireError('usage', `kind is none of ${revocationKinds.join(', ')}`);
  return kind;
}

function readRole(text: string | undefined): 'connect' | 'expose' {
  if (text === 'connect' || text === 'expose') return text;
  throw new LockwireError('usage', 'role: expected connect or expose');
}

function readTarget(text: string, known: readonly string[]): string {
  if (text === '' || known.includes(text)) return text;
  throw new LockwireError('usage', `no target is named "${text}"; there are ${known.join(', ')}`);
}

/** A value as the gateway itself would write it: what is misspelt would revoke nothing and look as if it did. */
function readValue(kind: RevocationKind, text: string, sources: readonly string[]): string {
  if (kind === 'principal') return readPrincipal(text, sources);
  if (kind !== 'token') return readFingerprint(kind, text);
  if (text === '' || text.length > 128)
    throw new LockwireError('usage', 'token id: expected its jti, or the id that lockwire sessions shows');
  return text;
}

function readPrincipal(text: string, sources: readonly string[]): string {
  const found = /^(User|Workload)::([A-Za-z0-9._-]{1,64})\|(.+)$/s.exec(text);
  if (found === null)
    throw new LockwireError(
      'usage',
      `principal "${text}": expected User::ISSUER|SUBJECT or Workload::SOURCE|NAME, as lockwire sessions shows it`,
    );
  if (!sources.includes(found[2] ?? ''))
    throw new LockwireError(
      'usage',
      `principal "${text}": no issuer or source is named "${found[2]}"; there are ${sources.join(', ')}`,
    );
  return text;
}

/** Hex in either case, with the colons of openssl or a `sha256:` before it. */
function readFingerprint(kind: string, text: string): string {
  const hex = text
    .replace(/^sha256[:=]/i, '')
    .replaceAll(':', '')
    .toLowerCase();
  if (/^[0-9a-f]{64}$/.test(hex)) return hex;
  throw new LockwireError('usage', `${kind} "${text}": expected a SHA-256 of 64 hexadecimal digits`);
}

function datesAsText<T extends { readonly atMs?: number; readonly expiresAtMs?: number }>(
  value: T,
): Omit<T, 'atMs' | 'expiresAtMs'> & { readonly at?: string; readonly expiresAt?: string } {
  const { atMs, expiresAtMs, ...rest } = value;
  return {
    ...rest,
    ...(atMs === undefined ? {} : { at: new Date(atMs).toISOString() }),
    ...(expiresAtMs === undefined ? {} : { expiresAt: new Date(expiresAtMs).toISOString() }),
  };
}
