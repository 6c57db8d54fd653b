import type { X509Certificate } from 'node:crypto';
import { resolve } from 'node:path';
import { type HostPort, parseBind, parseHostPort } from '../core/address.ts';
import { developmentIssuerPrefix } from '../core/development.ts';
import { messageOf } from '../core/errors.ts';
import {
  type CheckedCertificates,
  checkBundle,
  checkChain,
  checkCrls,
  checkKey,
  type Findings,
} from './certificates.ts';
import type { Placed } from './cross-checks.ts';
import { isPath } from './fields.ts';
import type { CertificatesEntry, IssuerEntry, ListenerEntry, TargetEntry } from './gateway-file.ts';
import type { JsonDocument } from './json-document.ts';
import { judgeJwks, maxJwksBytes } from './jwks-file.ts';
import type {
  LoadedCertificates,
  LoadedDial,
  LoadedIssuer,
  LoadedJwks,
  LoadedListener,
  LoadedPolicy,
  LoadedTarget,
} from './loaded.ts';
import type { ConfigPath } from './problem.ts';
import { type ReadOptions, readTextFile } from './read-file.ts';

/** Certificates that were read and judged. */
interface ReadCertificates {
  readonly text: string;
  readonly certificates: readonly X509Certificate[];
}

/** Reads the files that a config names, and reports what is wrong with them at the setting that names them. */
export class Material {
  readonly #document: JsonDocument;
  readonly #directory: string;
  readonly #accepted: boolean;
  readonly #nowMs: number;
  readonly #files = new Set<string>();
  #development = false;

  constructor(
    document: JsonDocument,
    directory: string,
    { development = false, nowMs }: { readonly development?: boolean; readonly nowMs: number },
  ) {
    this.#document = document;
    this.#directory = directory;
    this.#accepted = development;
    this.#nowMs = nowMs;
  }

  /** True once marked material was seen. */
  get development(): boolean {
    return this.#development;
  }

  /** What was read so far, or could not be. */
  get files(): readonly string[] {
    return [...this.#files];
  }

  async listener({ path, entry }: Placed<ListenerEntry>): Promise<LoadedListener | undefined> {
    const { tls } = entry;
    const chain = await this.#chain([...path, 'tls', 'cert'], tls.cert);
    const key = await this.#key([...path, 'tls', 'key'], tls.key, chain);
    const bind = parseBind(entry.bind);
    if (chain === undefined || key === undefined || bind === undefined) return undefined;
    return {
      name: entry.name,
      bind,
      tls: { cert: chain.text, key, minVersion: tls.minVersion, clientCertificates: tls.clientCertificates },
      handshakeTimeoutMs: entry.handshakeTimeout,
      maxUnfinished: entry.maxUnfinished,
      maxUnfinishedPerSource: entry.maxUnfinishedPerSource,
      maxConnections: entry.maxConnections,
    };
  }

  async issuer({ path, entry }: Placed<IssuerEntry>): Promise<LoadedIssuer | undefined> {
    if (entry.issuer.startsWith(developmentIssuerPrefix))
      this.#sawDevelopment([...path, 'issuer'], 'the issuer was made by lockwire up for development');
    const jwks = await this.#jwks([...path, 'jwks'], entry.jwks);
    const ca = await this.#bundle([...path, 'ca'], entry.ca);
    if (jwks === undefined) return undefined;
    return {
      name: entry.name,
      issuer: entry.issuer,
      audience: typeof entry.audience === 'string' ? [entry.audience] : entry.audience,
      token: entry.token,
      principal: entry.principal,
      ...(entry.authorizedParties && { authorizedParties: entry.authorizedParties }),
      algorithms: entry.algorithms,
      ...(entry.groups !== undefined && { groups: entry.groups }),
      maxLifetimeMs: entry.maxLifetime,
      jwks: jwks.kind === 'file' || ca === undefined ? jwks : { ...jwks, ca: ca.text },
    };
  }

  async certificates({ path, entry }: Placed<CertificatesEntry>): Promise<LoadedCertificates | undefined> {
    const ca = await this.#bundle([...path, 'ca'], entry.ca);
    const crl = await this.#crls([...path, 'crl'], entry.crl, ca?.certificates);
    return ca && { name: entry.name, ca: ca.text, ...(crl !== undefined && { crl }) };
  }

  async target({ path, entry }: Placed<TargetEntry>): Promise<LoadedTarget | undefined> {
    const kind = entry.dialect ?? entry.protocol;
    const upstream = entry.dial === undefined ? ({ kind: 'tunnel' } as const) : await this.#dial(path, entry);
    if (kind === undefined || upstream === undefined) return undefined;
    const own = kind === 'autogen-rpc' || kind === 'tcp';
    return {
      name: entry.name,
      kind,
      // An AutoGen host keeps its state in one process, whatever else is beside it.
      exclusive: kind === 'autogen-rpc' || (entry.exclusive ?? false),
      upstream,
      upstreamMode: entry.upstream ?? (own ? 'own' : 'shared'),
      hosts: (entry.hosts ?? []).map(host => host.toLowerCase()),
      services: entry.services ?? [],
      serverNames: (entry.serverNames ?? []).map(name => name.toLowerCase()),
      ...(kind === 'autogen-rpc' && {
        autogen: {
          maxMessageBytes: entry.maxMessageBytes,
          exclusiveWorkers: entry.exclusive ?? false,
          requestTimeoutMs: entry.requestTimeout,
          stallTimeoutMs: entry.stallTimeout,
        },
      }),
    };
  }

  async policy({ path, entry }: Placed<string>): Promise<LoadedPolicy | undefined> {
    const text = await this.#read(path, entry);
    return text === undefined ? undefined : { name: entry, path: this.#resolve(entry), text };
  }

  /** An entry that is wrong otherwise: whether the files that it names can be read is said all the same. */
  async probe({ path, entry }: Placed<unknown>): Promise<void> {
    for (const place of [['tls', 'cert'], ['tls', 'key'], ['ca'], ['crl'], ['cert'], ['key']]) {
      let value: unknown = entry;
      for (const part of place)
        value = typeof value === 'object' && value !== null ? Object(value)[part] : undefined;
      if (typeof value === 'string' && isPath(value))
        await this.#read([...path, ...place], value, { secret: place.at(-1) === 'key' });
    }
  }

  async #dial(path: ConfigPath, entry: TargetEntry): Promise<LoadedDial | undefined> {
    const address: HostPort | undefined = parseHostPort(entry.dial?.slice('tls://'.length) ?? '');
    const ca = await this.#bundle([...path, 'ca'], entry.ca);
    const chain = entry.cert === undefined ? undefined : await this.#chain([...path, 'cert'], entry.cert);
    const key = entry.key === undefined ? undefined : await this.#key([...path, 'key'], entry.key, chain);
    if (address === undefined) return undefined;
    return {
      kind: 'dial',
      ...address,
      serverName: entry.serverName ?? address.host,
      ...(ca && { ca: ca.text }),
      ...(chain && key !== undefined && { cert: chain.text, key }),
    };
  }

  async #chain(path: ConfigPath, file: string): Promise<ReadCertificates | undefined> {
    return this.#certificates(path, file, checkChain);
  }

  async #bundle(path: ConfigPath, file: string | undefined): Promise<ReadCertificates | undefined> {
    return file === undefined ? undefined : this.#certificates(path, file, checkBundle);
  }

  async #certificates(
    path: ConfigPath,
    file: string,
    check: (text: string, nowMs: number) => CheckedCertificates,
  ): Promise<ReadCertificates | undefined> {
    const text = await this.#read(path, file);
    if (text === undefined) return undefined;
    const checked = check(text, this.#nowMs);
    if (checked.development)
      this.#sawDevelopment(path, 'the certificate was made by lockwire up for development');
    this.#reportFindings(path, file, checked);
    return checked.errors.length > 0 ? undefined : { text, certificates: checked.certificates };
  }

  async #key(
    path: ConfigPath,
    file: string,
    chain: ReadCertificates | undefined,
  ): Promise<string | undefined> {
    const text = await this.#read(path, file, { secret: true });
    if (text === undefined) return undefined;
    const errors = checkKey(text, chain?.certificates[0]);
    this.#reportFindings(path, file, { errors, warnings: [] });
    return errors.length > 0 ? undefined : text;
  }

  async #crls(
    path: ConfigPath,
    file: string | undefined,
    authorities: readonly X509Certificate[] | undefined,
  ): Promise<string | undefined> {
    if (file === undefined) return undefined;
    const text = await this.#read(path, file);
    if (text === undefined) return undefined;
    this.#reportFindings(path, file, checkCrls(text, authorities ?? [], this.#nowMs));
    // A list with an error never leaves here: the config as a whole is refused.
    return text;
  }

  async #jwks(path: ConfigPath, source: string | undefined): Promise<LoadedJwks | undefined> {
    if (source === undefined) return { kind: 'discovery' };
    if (/^https:/i.test(source)) return { kind: 'url', url: source };
    const text = await this.#read(path, source, { maxBytes: maxJwksBytes });
    if (text === undefined) return undefined;
    const error = judgeJwks(text);
    if (error === undefined) return { kind: 'file', path: this.#resolve(source), text };
    this.#reportFindings(path, source, { errors: [error], warnings: [] });
    return undefined;
  }

  async #read(path: ConfigPath, file: string, options?: ReadOptions): Promise<string | undefined> {
    this.#files.add(this.#resolve(file));
    try {
      return await readTextFile(this.#resolve(file), options);
    } catch (error) {
      this.#document.error(path, { message: messageOf(error), showValue: false });
      return undefined;
    }
  }

  #resolve(file: string): string {
    return resolve(this.#directory, file);
  }

  #reportFindings(path: ConfigPath, file: string, { errors, warnings }: Findings): void {
    const where = this.#resolve(file);
    for (const message of errors)
      this.#document.error(path, { message: `${where}: ${message}`, showValue: false });
    for (const message of warnings)
      this.#document.warn(path, { message: `${where}: ${message}`, showValue: false });
  }

  #sawDevelopment(path: ConfigPath, what: string): void {
    this.#development = true;
    if (this.#accepted) return;
    this.#document.error(path, {
      message: `${what}: a gateway refuses it`,
      expected: 'material of your own',
    });
  }
}
