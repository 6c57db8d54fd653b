import { dirname, resolve } from 'node:path';
import type { z } from 'zod';
import { maxUnixPathBytes, parseBind } from '../core/address.ts';
import { crossCheck, type Placed } from './cross-checks.ts';
import type { GatewayFile } from './gateway-file.ts';
import { adminSchema, entrySchemas, gatewaySchema, policySchema, storeSchema } from './gateway-schema.ts';
import { JsonDocument } from './json-document.ts';
import { toJsonSchema } from './json-schema.ts';
import type { LoadedGatewayConfig } from './loaded.ts';
import { Material } from './material.ts';
import { ConfigError, type ConfigPath } from './problem.ts';
import { readTextFile } from './read-file.ts';
import { reportIssues } from './report-issues.ts';

export interface LoadGatewayOptions {
  /** Material marked as made by `lockwire up` is accepted; only `up` itself asks for that. */
  readonly development?: boolean;
  /** Wall time against which certificates are judged. */
  readonly nowMs: number;
}

/**
 * Reads a gateway's config and every file that it names. Throws a ConfigError with all that is wrong, at once;
 * a LockwireError `config` where the file itself cannot be read.
 */
export async function loadGatewayConfig(
  path: string,
  options: LoadGatewayOptions,
): Promise<LoadedGatewayConfig> {
  const document = new JsonDocument(path, await readTextFile(path));
  if (document.failed) throw new ConfigError(document.problems);
  const parsed = gatewaySchema.safeParse(document.value, { reportInput: true });
  if (!parsed.success) reportIssues(document, parsed.error.issues, toJsonSchema(gatewaySchema));
  const sections = readSections(document.value);
  crossCheck(document, { ...sections, adminBind: sections.admin?.bind });
  checkIdentity(document);

  const directory = dirname(resolve(path));
  const material = new Material(document, directory, options);
  const loaded = {
    listeners: await inOrder(sections.listeners, entry => material.listener(entry)),
    issuers: await inOrder(sections.issuers, entry => material.issuer(entry)),
    certificates: await inOrder(sections.certificates, entry => material.certificates(entry)),
    targets: await inOrder(sections.targets, entry => material.target(entry)),
    policies: await inOrder(sections.policies, entry => material.policy(entry)),
  };
  for (const broken of sections.broken) await material.probe(broken);
  const admin = resolveAdmin(document, directory, sections);
  if (document.failed || !parsed.success) throw new ConfigError(document.problems);
  return {
    path: resolve(path),
    ...loaded,
    enrolment: parsed.data.identity.enrolment,
    files: [resolve(path), ...material.files],
    limits: parsed.data.limits,
    store: { kind: parsed.data.store.kind, path: resolve(directory, parsed.data.store.path) },
    admin,
    instances: parsed.data.instances,
    drainTimeoutMs: parsed.data.drainTimeout,
    warnings: document.problems,
    development: material.development,
  };
}

interface Sections {
  readonly listeners: readonly Placed<z.output<(typeof entrySchemas)['listeners']>>[];
  readonly issuers: readonly Placed<z.output<(typeof entrySchemas)['issuers']>>[];
  readonly certificates: readonly Placed<z.output<(typeof entrySchemas)['certificates']>>[];
  readonly targets: readonly Placed<z.output<(typeof entrySchemas)['targets']>>[];
  readonly policies: readonly Placed<string>[];
  /** Entries that are wrong by themselves, as they stand. */
  readonly broken: readonly Placed<unknown>[];
  readonly store: GatewayFile['store'] | undefined;
  readonly admin: GatewayFile['admin'] | undefined;
}

/** The parts that are right by themselves, so that one mistake does not hide the others. */
function readSections(value: unknown): Sections {
  const identity = member(value, 'identity');
  const policy = policySchema.safeParse(member(value, 'policy'));
  const broken: Placed<unknown>[] = [];
  return {
    listeners: readEntries(value, [], 'listeners', entrySchemas.listeners, broken),
    issuers: readEntries(identity, ['identity'], 'issuers', entrySchemas.issuers, broken),
    certificates: readEntries(identity, ['identity'], 'certificates', entrySchemas.certificates, broken),
    targets: readEntries(value, [], 'targets', entrySchemas.targets, broken),
    policies: (policy.data?.files ?? []).map((entry, index) => ({ path: ['policy', 'files', index], entry })),
    broken,
    store: storeSchema.safeParse(member(value, 'store')).data,
    admin: adminSchema.safeParse(member(value, 'admin')).data,
  };
}

function readEntries<T>(
  holder: unknown,
  path: ConfigPath,
  key: string,
  schema: z.ZodType<T>,
  broken: Placed<unknown>[],
): Placed<T>[] {
  const list = member(holder, key);
  if (!Array.isArray(list)) return [];
  const good: Placed<T>[] = [];
  for (const [index, raw] of list.entries()) {
    const { data } = schema.safeParse(raw);
    if (data === undefined) broken.push({ path: [...path, key, index], entry: raw });
    else good.push({ path: [...path, key, index], entry: data });
  }
  return good;
}

function member(value: unknown, key: string): unknown {
  if (typeof value !== 'object' || value === null || !Object.hasOwn(value, key)) return undefined;
  return (value as Record<string, unknown>)[key];
}

function checkIdentity(document: JsonDocument): void {
  if (!document.has(['identity'])) return;
  if (document.has(['identity', 'issuers', 0]) || document.has(['identity', 'certificates', 0])) return;
  document.error(['identity'], {
    message: 'nobody could be identified, so nothing would be permitted',
    expected: 'at least one entry in "issuers" or "certificates"',
  });
}

function resolveAdmin(
  document: JsonDocument,
  directory: string,
  { store, admin }: Sections,
): LoadedGatewayConfig['admin'] {
  const socketPath =
    admin?.socket === undefined
      ? resolve(directory, store?.path ?? '', 'admin.sock')
      : resolve(directory, admin.socket);
  const bytes = Buffer.byteLength(socketPath);
  if (bytes > maxUnixPathBytes)
    document.error(admin?.socket === undefined ? ['store', 'path'] : ['admin', 'socket'], {
      message: `the admin socket's path is ${bytes} bytes long, the system takes at most ${maxUnixPathBytes}: ${socketPath}`,
      expected: 'a shorter "admin.socket"',
      showValue: false,
    });
  const bind = admin?.bind === undefined ? undefined : parseBind(admin.bind);
  return { socketPath, ...(bind && { bind }) };
}

/** One after the other, so that problems come in the order of the file; undefined ones were reported. */
async function inOrder<T, R>(
  entries: readonly Placed<T>[],
  load: (entry: Placed<T>) => Promise<R | undefined>,
): Promise<R[]> {
  const loaded: R[] = [];
  for (const entry of entries) {
    const result = await load(entry);
    if (result !== undefined) loaded.push(result);
  }
  return loaded;
}
