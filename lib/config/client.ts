import { createHash } from 'node:crypto';
import { homedir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import {
  formatAddress,
  type HostPort,
  isDnsName,
  isLoopback,
  type LocalAddress,
  parseBind,
  parseHostPort,
  parseLocalAddress,
} from '../core/address.ts';
import { LockwireError, messageOf } from '../core/errors.ts';
import { checkBundle, checkChain, checkKey, type Findings } from './certificates.ts';
import {
  type AddressKey,
  addressKeys,
  type ClientFile,
  type ClientFlags,
  type ClientSettings,
  clientSchema,
  type FileKey,
  fileKeys,
  type LogLevel,
  logLevels,
  ownKeys,
} from './client-schema.ts';
import type { ConnectionLimits } from './connection-limits.ts';
import type { Environment } from './environment.ts';
import { isPath } from './fields.ts';
import { JsonDocument } from './json-document.ts';
import { toJsonSchema } from './json-schema.ts';
import { nearMiss } from './near-miss.ts';
import { ConfigError } from './problem.ts';
import { type ForwardProxy, forwardProxy } from './proxy-environment.ts';
import { readTextFile } from './read-file.ts';
import { reportIssues } from './report-issues.ts';
import { readToken } from './token-file.ts';
import { userNumbers } from './user-names.ts';

export interface LoadClientOptions {
  readonly env: Environment;
  /** Wall time against which certificates are judged. */
  readonly nowMs: number;
  /** False where nothing will listen: `connect` then needs no --listen. */
  readonly listening?: boolean;
}

/** All that `connect` or `expose` needs to start; files read and checked. */
export interface LoadedClientConfig {
  readonly role: 'connect' | 'expose';
  readonly gateway: HostPort;
  /** The name that the gateway's certificate must carry. */
  readonly serverName: string;
  readonly target: string;
  /** Where `connect` listens, or `expose` dials. The proxy's address where that is all that listens. */
  readonly local: LocalAddress;
  /** The CONNECT proxy of `connect`. */
  readonly connectProxy?: ConnectProxy;
  /** On the way to the gateway, where the environment asks for one. */
  readonly forwardProxy?: ForwardProxy;
  /** PEM; absent where the system's roots count. */
  readonly ca?: string;
  readonly token?: TokenSource;
  /** PEM of both. */
  readonly certificate?: { readonly cert: string; readonly key: string };
  readonly instanceKeyFile: string;
  /** Where token, certificate, key and authority are: when one changes, there may be another credential. */
  readonly files: readonly string[];
  /** Numbers of the users, beside our own, who may use the TCP port. */
  readonly allowUsers: readonly number[];
  readonly requireNoBypass: boolean;
  /** Where health and metrics are. */
  readonly admin?: HostPort;
  readonly logLevel: LogLevel;
  readonly drainTimeoutMs: number;
  readonly limits: ConnectionLimits;
  readonly warnings: readonly string[];
}

export interface ConnectProxy {
  readonly address: LocalAddress;
  /** There is no other listener. */
  readonly alone: boolean;
  /** What leads to the target, its own name first; lower case. */
  readonly hosts: readonly KnownHost[];
}

/** A name that a proxy's clients may ask for; any port where none is given. */
export interface KnownHost {
  readonly host: string;
  readonly port?: number;
}

interface TokenSource {
  readonly path: string;
  /** Reads the file anew. */
  read(): Promise<string>;
}

type Role = LoadedClientConfig['role'];

/**
 * The config of `connect` or `expose`: the file's settings, over them the flags.
 * Throws `usage` where a flag is wrong or missing, a ConfigError where the file is.
 */
export async function loadClientConfig(
  role: Role,
  flags: ClientFlags,
  options: LoadClientOptions,
): Promise<LoadedClientConfig> {
  const settings = merge(await readFileSettings(role, flags.config), flags, options.env);
  const gateway = gatewayAddress(settings.gateway);
  const target = targetName(settings.target);
  const local = localAddress(role, settings, options.listening ?? true);
  const serverName = checkServerName(settings.serverName ?? gateway.host);
  const logLevel = checkLogLevel(settings.logLevel ?? 'info');
  const warnings: string[] = [];
  const ca = await readPem('--ca', settings.ca, text => checkBundle(text, options.nowMs), warnings);
  const certificate = await readCertificate(settings, options.nowMs, warnings);
  const token = await tokenSource(settings.tokenFile);
  if (token === undefined && certificate === undefined)
    throw new LockwireError('usage', 'no credential: give --token-file FILE, or --cert FILE and --key FILE');
  const proxy = forwardProxy(options.env, gateway);
  return {
    role,
    gateway,
    serverName,
    target,
    local,
    ...connectProxy(settings, target),
    ...(proxy && { forwardProxy: proxy }),
    ...(ca !== undefined && { ca }),
    ...(token && { token }),
    ...(certificate && { certificate }),
    ...adminAddress(settings),
    instanceKeyFile: settings.instanceKeyFile ?? defaultInstanceKeyFile(options.env, role, target, local),
    files: credentialFiles(settings),
    requireNoBypass: settings.requireNoBypass ?? false,
    allowUsers: await userNumbers(settings.allowUser ?? []),
    logLevel,
    drainTimeoutMs: settings.drainTimeout,
    limits: settings.limits,
    warnings,
  };
}

function credentialFiles({ tokenFile, cert, key, ca }: ClientSettings): string[] {
  return [tokenFile, cert, key, ca].filter(path => path !== undefined);
}

/** Settings of the config file, its paths absolute; only the defaults where there is none. */
async function readFileSettings(role: Role, path: string | undefined): Promise<ClientFile> {
  if (path === undefined) return clientSchema.parse({});
  const document = new JsonDocument(path, await readTextFile(path));
  if (document.failed) throw new ConfigError(document.problems);
  const parsed = clientSchema.safeParse(document.value, { reportInput: true });
  if (!parsed.success) reportIssues(document, parsed.error.issues, toJsonSchema(clientSchema));
  const other = role === 'connect' ? 'expose' : 'connect';
  for (const foreign of ownKeys[other].filter(key => document.has([key])))
    document.keyError([], foreign, { message: `belongs to lockwire ${other}` });
  if (!parsed.success || document.failed) throw new ConfigError(document.problems);
  const absolute: Partial<Record<FileKey | AddressKey, string>> = {};
  for (const key of fileKeys) {
    const value = parsed.data[key];
    if (value !== undefined) absolute[key] = resolve(dirname(path), value);
  }
  for (const key of addressKeys) {
    const socket = /^unix:(?!\/)(.+)$/.exec(parsed.data[key] ?? '')?.[1];
    if (socket !== undefined) absolute[key] = `unix:${resolve(dirname(path), socket)}`;
  }
  return { ...parsed.data, ...absolute };
}

/** A credential on the command line replaces the file's one, of whichever kind; so does the environment's where there is none. */
function merge(file: ClientFile, flags: ClientFlags, env: Environment): ClientSettings {
  const { config, ...given } = flags;
  const set = Object.fromEntries(Object.entries(given).filter(([, value]) => value !== undefined));
  for (const key of fileKeys) {
    const value = given[key];
    if (value !== undefined) set[key] = resolvePath(key, value);
  }
  const flagged = ['tokenFile', 'cert', 'key'].some(key => set[key] !== undefined);
  const { tokenFile, cert, key, ...rest } = file;
  const merged = flagged ? { ...rest, ...set } : { ...rest, tokenFile, cert, key, ...set };
  const fromEnv = env.LOCKWIRE_TOKEN_FILE;
  const bare = !flagged && tokenFile === undefined && cert === undefined && key === undefined;
  return bare && fromEnv ? { ...merged, tokenFile: resolvePath('LOCKWIRE_TOKEN_FILE', fromEnv) } : merged;
}

function resolvePath(what: string, value: string): string {
  // A pasted token or key must not come back in an error that names the path.
  if (!isPath(value) || /^eyJ[\w-]{8,}/.test(value))
    throw new LockwireError('usage', `${flagName(what)}: expected the path of a file, not its content`);
  return resolve(value);
}

function flagName(key: string): string {
  return /[A-Z]{2}/.test(key) ? key : `--${key.replace(/[A-Z]/g, letter => `-${letter.toLowerCase()}`)}`;
}

function gatewayAddress(text: string | undefined): HostPort {
  if (text === undefined) throw new LockwireError('usage', 'missing --gateway HOST:PORT');
  const address = parseHostPort(text);
  if (address === undefined) throw new LockwireError('usage', `--gateway "${text}": expected HOST:PORT`);
  return address;
}

function targetName(text: string | undefined): string {
  if (text === undefined) throw new LockwireError('usage', 'missing --target NAME');
  if (!/^[A-Za-z0-9._-]{1,128}$/.test(text))
    throw new LockwireError(
      'usage',
      `--target "${text.slice(0, 128)}": expected 1 to 128 letters, digits, ".", "_" or "-"`,
    );
  return text;
}

function localAddress(role: Role, { listen, to, proxy }: ClientSettings, listening: boolean): LocalAddress {
  const [flag, value] =
    role === 'expose'
      ? (['--to', to] as const)
      : listen === undefined && proxy !== undefined
        ? (['--proxy', proxy] as const)
        : (['--listen', listen] as const);
  if (value === undefined && role === 'connect' && !listening)
    return { kind: 'tcp', host: '127.0.0.1', port: 0 };
  if (value === undefined)
    throw new LockwireError('usage', `missing ${flag} ADDR: 127.0.0.1:PORT, [::1]:PORT or unix:PATH`);
  const address = parseLocalAddress(value, flag);
  if (role === 'expose' && address.kind === 'tcp' && address.port === 0)
    throw new LockwireError('usage', `--to "${value}": port 0 cannot be dialled`);
  return absolute(address);
}

function adminAddress({ admin }: ClientSettings): { admin?: HostPort } {
  if (admin === undefined) return {};
  const address = parseBind(admin);
  if (address !== undefined && isLoopback(address.host)) return { admin: address };
  throw new LockwireError(
    'usage',
    `--admin "${admin}": expected 127.0.0.1:PORT or [::1]:PORT; it is plaintext, for this machine only`,
  );
}

function absolute(address: LocalAddress): LocalAddress {
  return address.kind === 'unix' ? { kind: 'unix', path: resolve(address.path) } : address;
}

function connectProxy(
  { listen, proxy, hosts }: ClientSettings,
  target: string,
): { connectProxy?: ConnectProxy } {
  if (proxy === undefined) {
    if (hosts === undefined) return {};
    throw new LockwireError('usage', '--hosts names what a proxy leads to: give --proxy ADDR as well');
  }
  const known = [{ host: target.toLowerCase() }, ...(hosts ?? []).map(knownHost)];
  const address = absolute(parseLocalAddress(proxy, '--proxy'));
  return { connectProxy: { address, alone: listen === undefined, hosts: known } };
}

function knownHost(text: string): KnownHost {
  const address = parseHostPort(text);
  if (address !== undefined) return { host: address.host.toLowerCase(), port: address.port };
  if (parseHostPort(`${text}:1`) !== undefined) return { host: text.toLowerCase() };
  throw new LockwireError('usage', `--hosts "${text.slice(0, 256)}": expected HOST or HOST:PORT`);
}

function checkServerName(text: string): string {
  if (isDnsName(text) || parseHostPort(text.includes(':') ? `[${text}]:1` : `${text}:1`) !== undefined)
    return text;
  throw new LockwireError(
    'usage',
    `--server-name "${text.slice(0, 256)}": expected a DNS name or an IP address`,
  );
}

function checkLogLevel(text: string): LogLevel {
  const level = logLevels.find(known => known === text);
  if (level !== undefined) return level;
  const near = nearMiss(text, logLevels);
  throw new LockwireError(
    'usage',
    `--log-level "${text.slice(0, 64)}": expected ${logLevels.join(', ')}${near === undefined ? '' : `; did you mean "${near}"?`}`,
  );
}

async function readCertificate(
  { cert, key }: ClientSettings,
  nowMs: number,
  warnings: string[],
): Promise<{ cert: string; key: string } | undefined> {
  if (cert === undefined && key === undefined) return undefined;
  if (cert === undefined || key === undefined)
    throw new LockwireError(
      'usage',
      `--cert and --key go together: ${cert === undefined ? '--cert' : '--key'} is missing`,
    );
  let leaf: ReturnType<typeof checkChain>['certificates'][number] | undefined;
  const certText = await readPem(
    '--cert',
    cert,
    text => {
      const checked = checkChain(text, nowMs);
      leaf = checked.certificates[0];
      return checked;
    },
    warnings,
  );
  const keyText = await readPem(
    '--key',
    key,
    text => ({ errors: checkKey(text, leaf), warnings: [] }),
    warnings,
    true,
  );
  return certText === undefined || keyText === undefined ? undefined : { cert: certText, key: keyText };
}

async function readPem(
  flag: string,
  path: string | undefined,
  check: (text: string) => Findings,
  warnings: string[],
  secret = false,
): Promise<string | undefined> {
  if (path === undefined) return undefined;
  const text = await readTextFile(path, { secret }).catch(wrong(flag));
  const { errors, warnings: found } = check(text);
  if (errors.length > 0)
    throw new LockwireError('usage', errors.map(error => `${flag} ${path}: ${error}`).join('\n'));
  warnings.push(...found.map(warning => `${flag} ${path}: ${warning}`));
  return text;
}

/** Reads the token once, so that a missing or readable-by-all file is said at start. */
async function tokenSource(path: string | undefined): Promise<TokenSource | undefined> {
  if (path === undefined) return undefined;
  await readToken(path).catch(wrong('--token-file'));
  return { path, read: () => readToken(path) };
}

function wrong(flag: string): (error: unknown) => never {
  return error => {
    throw new LockwireError('usage', `${flag}: ${messageOf(error)}`, { cause: error });
  };
}

/**
 * One key an instance: what tells two instances of a user apart is the role, the target and the local address.
 * `$XDG_STATE_HOME/lockwire/instances/`, as the XDG base directory specification says.
 */
function defaultInstanceKeyFile(env: Environment, role: Role, target: string, local: LocalAddress): string {
  const place = local.kind === 'unix' ? local.path : formatAddress(local);
  const digest = createHash('sha256').update(place).digest('hex').slice(0, 12);
  const stated = env.XDG_STATE_HOME;
  // The specification: a relative path there is to be ignored.
  const state = stated?.startsWith('/') ? stated : join(env.HOME ?? homedir(), '.local', 'state');
  return join(state, 'lockwire', 'instances', `${role}-${target}-${digest}.key`);
}
