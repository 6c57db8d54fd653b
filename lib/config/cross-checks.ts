import { isLoopback, parseBind } from '../core/address.ts';
import { type Authority, formatAuthority, parseAuthority } from '../core/authority.ts';
import type { CertificatesEntry, IssuerEntry, ListenerEntry, TargetEntry } from './gateway-file.ts';
import type { JsonDocument } from './json-document.ts';
import type { ConfigPath } from './problem.ts';

/** An entry that is right by itself, and where it stands. */
export interface Placed<T> {
  readonly path: ConfigPath;
  readonly entry: T;
}

/** What was right by itself, for checks that look across. */
export interface PlacedEntries {
  readonly listeners: readonly Placed<ListenerEntry>[];
  readonly issuers: readonly Placed<IssuerEntry>[];
  readonly certificates: readonly Placed<CertificatesEntry>[];
  readonly targets: readonly Placed<TargetEntry>[];
  readonly adminBind: string | undefined;
}

/** What the schema cannot see: entries that contradict each other. */
export function crossCheck(document: JsonDocument, entries: PlacedEntries): void {
  uniqueNames(document, entries.listeners, 'listener');
  // Both stand before the `|` of a principal's id: one name space, or two sources could mean one principal.
  uniqueNames(document, [...entries.issuers, ...entries.certificates], 'issuer or source of certificates');
  uniqueNames(document, entries.targets, 'target');
  uniqueIssuers(document, entries.issuers);
  uniqueBinds(document, entries);
  uniqueServerNames(document, entries.targets);
  uniqueHosts(document, entries.targets);
  uniqueServices(document, entries.targets);
  checkAdmin(document, entries.adminBind);
  checkClientCertificates(document, entries);
  for (const target of entries.targets) checkTarget(document, target);
}

function uniqueNames(
  document: JsonDocument,
  entries: readonly Placed<{ readonly name: string }>[],
  what: string,
): void {
  reportRepeats(
    document,
    entries.map(({ path, entry }) => ({ path: [...path, 'name'], key: entry.name })),
    first => `another ${what} has this name: ${first}`,
  );
}

function uniqueIssuers(document: JsonDocument, issuers: readonly Placed<IssuerEntry>[]): void {
  // The issuer of a token is found by its `iss`; two entries would make that a matter of order.
  reportRepeats(
    document,
    issuers.map(({ path, entry }) => ({ path: [...path, 'issuer'], key: entry.issuer })),
    first => `another entry has this issuer: ${first}`,
  );
}

function uniqueBinds(document: JsonDocument, { listeners, adminBind }: PlacedEntries): void {
  const binds = listeners.map(({ path, entry }) => ({
    path: [...path, 'bind'] as ConfigPath,
    key: entry.bind,
  }));
  if (adminBind !== undefined) binds.push({ path: ['admin', 'bind'], key: adminBind });
  reportRepeats(
    document,
    binds.filter(({ key }) => parseBind(key)?.port !== 0),
    first => `this address is already bound by ${first}`,
  );
}

function uniqueServerNames(document: JsonDocument, targets: readonly Placed<TargetEntry>[]): void {
  const names = targets.flatMap(({ path, entry }) =>
    (entry.serverNames ?? []).map((name, index) => ({
      path: [...path, 'serverNames', index],
      // DNS names have no case (RFC 4343).
      key: name.toLowerCase(),
    })),
  );
  reportRepeats(document, names, first => `this server name is already claimed by ${first}`);
}

/** Those of one target may overlap; of two, a request would have two ways to go. */
function uniqueHosts(document: JsonDocument, targets: readonly Placed<TargetEntry>[]): void {
  const seen: { target: ConfigPath; path: ConfigPath; authority: Authority }[] = [];
  for (const { path: target, entry } of targets) {
    for (const [index, text] of (entry.hosts ?? []).entries()) {
      const authority = parseAuthority(text);
      if (authority === undefined) continue;
      const path: ConfigPath = [...target, 'hosts', index];
      const other = seen.find(one => overlap(one, { target, authority }));
      seen.push({ target, path, authority });
      if (other !== undefined) {
        const claimed = `${document.describe(other.path)} (${formatAuthority(other.authority)})`;
        document.error(path, { message: `this host is already claimed by ${claimed}` });
      }
      const tcp = claimingServerName(targets, authority.host);
      if (tcp !== undefined)
        document.error(path, {
          message: `TLS clients that ask for this host are taken to a tcp target by ${document.describe(tcp)}`,
          expected: 'another host, or other serverNames there',
        });
    }
  }
}

function overlap(
  a: { readonly target: ConfigPath; readonly authority: Authority },
  b: { readonly target: ConfigPath; readonly authority: Authority },
): boolean {
  if (a.authority.host !== b.authority.host) return false;
  if (a.authority.port === b.authority.port) return true;
  // Without a port it takes any: of another target, that is one name with two ways; of its own, only more than needed.
  const any = a.authority.port === undefined || b.authority.port === undefined;
  return any && a.target !== b.target;
}

/** Where the server name stands that would take a host's clients elsewhere before a request is read. */
function claimingServerName(targets: readonly Placed<TargetEntry>[], host: string): ConfigPath | undefined {
  const dot = host.indexOf('.');
  const wildcard = dot > 0 ? `*${host.slice(dot)}` : undefined;
  for (const { path, entry } of targets) {
    const index = (entry.serverNames ?? []).findIndex(name => {
      const lower = name.toLowerCase();
      return lower === host || lower === wildcard;
    });
    if (index >= 0) return [...path, 'serverNames', index];
  }
  return undefined;
}

function uniqueServices(document: JsonDocument, targets: readonly Placed<TargetEntry>[]): void {
  const services = targets.flatMap(({ path, entry }) =>
    (entry.services ?? []).map((service, index) => ({ path: [...path, 'services', index], key: service })),
  );
  reportRepeats(document, services, first => `this service is already claimed by ${first}`);
}

function reportRepeats(
  document: JsonDocument,
  keys: readonly { readonly path: ConfigPath; readonly key: string }[],
  message: (first: string) => string,
): void {
  const seen = new Map<string, ConfigPath>();
  for (const { path, key } of keys) {
    const first = seen.get(key);
    if (first === undefined) seen.set(key, path);
    else document.error(path, { message: message(document.describe(first)) });
  }
}

function checkAdmin(document: JsonDocument, bind: string | undefined): void {
  if (bind === undefined || isLoopback(parseBind(bind)?.host ?? '')) return;
  document.error(['admin', 'bind'], {
    message:
      'beyond loopback the admin address must be TLS and needs a permit, which this build cannot enforce yet',
    expected: 'a loopback address such as 127.0.0.1:9443',
  });
}

function checkClientCertificates(
  document: JsonDocument,
  { listeners, certificates, targets }: PlacedEntries,
): void {
  const asking = listeners.filter(({ entry }) => entry.tls.clientCertificates !== 'none');
  if (certificates.length === 0 && !document.has(['identity', 'certificates', 0])) {
    for (const { path } of asking)
      document.error([...path, 'tls', 'clientCertificates'], {
        message: 'nothing to verify client certificates against',
        expected: 'an entry in identity.certificates, or "none"',
      });
  }
  if (asking.length > 0 || listeners.length === 0) return;
  for (const { path, entry } of targets) {
    if (entry.serverNames === undefined) continue;
    document.error([...path, 'serverNames'], {
      message: 'TLS clients are known by their certificate, but no listener asks for one',
      expected: 'a listener with tls.clientCertificates "optional" or "required"',
    });
  }
}

function checkTarget(document: JsonDocument, { path, entry }: Placed<TargetEntry>): void {
  exactlyOne(document, path, 'via', 'dial');
  exactlyOne(document, path, 'dialect', 'protocol');
  for (const key of ['serverName', 'ca', 'cert', 'key'] as const) {
    if (entry[key] !== undefined && entry.via !== undefined && entry.dial === undefined)
      document.keyError(path, key, {
        message: 'belongs to a target that the gateway dials',
        expected: 'it beside "dial", not beside "via"',
      });
  }
  if (entry.protocol !== undefined && entry.dialect === undefined)
    for (const key of ['maxMessageBytes', 'requestTimeout', 'stallTimeout'] as const)
      if (document.has([...path, key]))
        document.keyError(path, key, {
          message: 'belongs to a target whose messages are read',
          expected: 'it beside "dialect": "autogen-rpc"',
        });
  const oneExpose = entry.exclusive !== undefined && entry.dialect === undefined;
  if (oneExpose && entry.dial !== undefined && entry.via === undefined)
    document.keyError(path, 'exclusive', {
      message: 'belongs to a target that is reached through an expose',
      expected: 'it beside "via", not beside "dial"',
    });
  if ((entry.cert === undefined) !== (entry.key === undefined))
    document.error(path, { message: '"cert" and "key" go together', expected: 'both or neither' });
  checkRouting(document, path, entry);
}

/** By what the target's direct clients find it. */
function checkRouting(document: JsonDocument, path: ConfigPath, entry: TargetEntry): void {
  const { name, dialect, protocol, dial, serverNames, hosts, services } = entry;
  if (protocol === 'tcp') {
    for (const key of ['hosts', 'services', 'upstream'] as const)
      if (entry[key] !== undefined)
        document.keyError(path, key, {
          message: 'belongs to a target of HTTP/2 requests, and the requests of a tcp target are not read',
          expected: `"protocol": "grpc" or "http2"${key === 'hosts' ? ', or "serverNames"' : ''}`,
        });
    if (dial !== undefined && serverNames === undefined)
      document.warn(path, {
        message: `without "serverNames" the target "${name}" is reached through lockwire connect only`,
      });
    return;
  }
  if (serverNames !== undefined && (dialect !== undefined || protocol !== undefined))
    document.keyError(path, 'serverNames', {
      message: 'belongs to a target with "protocol": "tcp"; HTTP/2 requests are routed by their authority',
      expected: '"hosts"',
    });
  if (protocol !== undefined && dial !== undefined && hosts === undefined && services === undefined)
    document.warn(path, {
      message: `without "hosts" or "services" the target "${name}" is reached through lockwire connect only`,
    });
}

function exactlyOne(
  document: JsonDocument,
  path: ConfigPath,
  a: 'via' | 'dialect',
  b: 'dial' | 'protocol',
): void {
  const given = [a, b].filter(key => document.has([...path, key]));
  if (given.length === 1) return;
  document.error(path, {
    message: given.length === 0 ? `neither "${a}" nor "${b}" is given` : `both "${a}" and "${b}" are given`,
    expected: 'exactly one of them',
  });
}
