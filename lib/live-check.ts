import type { X509Certificate } from 'node:crypto';
import { statSync } from 'node:fs';
import { createHttpsGet } from './access/identity/https-get.ts';
import { loadKeys } from './access/identity/key-source.ts';
import { defaultAlgorithms } from './access/identity/options.ts';
import { crlDates, readChain } from './config/certificates.ts';
import type { LoadedGatewayConfig, LoadedListener } from './config/loaded.ts';
import { formatAddress, type HostPort } from './core/address.ts';
import { builtAtMs } from './core/build.ts';
import { safeText } from './core/bytes.ts';
import type { Clock } from './core/clock.ts';
import { codeOf, LockwireError, messageOf } from './core/errors.ts';
import type { Carrier } from './core/ports.ts';
import { expiry } from './doctor-credential.ts';
import { makeTarget } from './gateway-options.ts';
import { adminRequest } from './observe/admin-client.ts';
import { lookAtDirectory } from './store/look-at-directory.ts';
import { tryBind } from './transport/try-bind.ts';

/** One thing that a config is right about by itself and the world may still be wrong about. */
export interface LiveFinding {
  /** `issuer corp`, `listener public`, … */
  readonly what: string;
  readonly ok: boolean;
  /** One safe line. */
  readonly seen: string;
}

/**
 * What `lockwire check --live` looks at beyond the files, from the gateway's machine: clock, issuers' keys, certificates,
 * revocation lists, ports, targets that are dialled, the store. In the order of the config; all at once, none stops at
 * another's failure. Takes nothing, changes nothing.
 */
export async function checkLive(config: LoadedGatewayConfig, clock: Clock): Promise<readonly LiveFinding[]> {
  const gateway = askGateway(config.admin.socketPath);
  const looks: [string, () => string | Promise<string>][] = [
    ['clock', () => lookAtClock(config, clock)],
    ...config.listeners.flatMap((entry): typeof looks => [
      [`certificate of ${entry.name}`, () => lookAtCertificate(entry, config, clock)],
      [`listener ${entry.name}`, () => lookAtPort(entry.bind, gateway)],
    ]),
    ...config.issuers.map((entry): (typeof looks)[number] => [
      `issuer ${entry.name}`,
      () => lookAtIssuer(entry, clock),
    ]),
    ...config.certificates.map((entry): (typeof looks)[number] => [
      `authority ${entry.name}`,
      () => lookAtRevocation(entry, clock),
    ]),
    ...config.targets.map((entry): (typeof looks)[number] => [
      `target ${entry.name}`,
      () => lookAtTarget(entry, clock, gateway),
    ]),
    ['store', () => lookAtStore(config.store.path)],
  ];
  const { bind } = config.admin;
  if (bind) looks.push(['admin', () => lookAtPort(bind, gateway)]);
  return await Promise.all(looks.map(([what, look]) => finding(what, look)));
}

async function finding(what: string, look: () => string | Promise<string>): Promise<LiveFinding> {
  try {
    return { what, ok: true, seen: await look() };
  } catch (error) {
    return { what, ok: false, seen: safeText(messageOf(error), 600) };
  }
}

function wrong(text: string): LockwireError {
  return new LockwireError('config', text);
}

/** How long a server gets to close a connection that it does not want. */
const afterHandshakeMs = 300;

/** A file of tomorrow was written by a clock that was right, or this one is not. */
const futureMs = 60_000;

function lookAtClock({ files }: LoadedGatewayConfig, clock: Clock): string {
  const nowMs = clock.now();
  const now = new Date(nowMs).toISOString();
  if (nowMs < builtAtMs)
    throw wrong(`says ${now}, before this program was built: set it (NTP), no date can be judged by it`);
  const later = files.find(
    path => (statSync(path, { throwIfNoEntry: false })?.mtimeMs ?? 0) > nowMs + futureMs,
  );
  if (later !== undefined) throw wrong(`says ${now}, but ${later} was written later: set it (NTP)`);
  return now;
}

function lookAtCertificate({ tls }: LoadedListener, config: LoadedGatewayConfig, clock: Clock): string {
  const chain = readChain(tls.cert);
  const [leaf] = chain;
  if (leaf === undefined) throw wrong('no certificate');
  for (const [index, certificate] of chain.entries()) {
    const issuer = chain[index + 1];
    if (issuer && !(certificate.checkIssued(issuer) && certificate.verify(issuer.publicKey)))
      throw wrong(
        `certificate ${index + 1} of the chain is not issued by the one after it: put them in order`,
      );
  }
  const uncovered = config.targets
    .flatMap(({ serverNames }) => serverNames)
    // A wildcard name of a target is covered by the same wildcard.
    .filter(name => leaf.checkHost(name.replace(/^\*\./, 'any.'), { subject: 'never' }) === undefined);
  if (uncovered.length > 0)
    throw wrong(`does not hold ${uncovered.join(', ')} of "serverNames", only ${names(leaf)}`);
  const until = Math.min(...chain.map(({ validToDate }) => validToDate.getTime()));
  if (until <= clock.now()) throw wrong(`${names(leaf)}: ${expiry(until, clock.now())}`);
  const selfIssued = chain.length === 1 && leaf.checkIssued(leaf) ? ', self-signed' : '';
  return `${names(leaf)}, issued by ${issuerOf(leaf)}${selfIssued}, chain of ${chain.length}, ${expiry(until, clock.now())}`;
}

function names(leaf: X509Certificate): string {
  return safeText(leaf.subjectAltName ?? 'no name', 300);
}

function issuerOf(certificate: X509Certificate): string {
  return safeText(/^CN=(.*)$/m.exec(certificate.issuer ?? '')?.[1] ?? 'an unnamed authority', 200);
}

type Gateway =
  | { readonly runs: true; readonly exposes: ReadonlyMap<string, number> }
  | { readonly runs: false; readonly why: string };

async function lookAtPort(bind: HostPort, asked: Promise<Gateway>): Promise<string> {
  const address = formatAddress(bind);
  const found = await tryBind(bind);
  if (found === 'free') return `${address} is free`;
  if (found !== 'busy') {
    const hint = found.refused === 'EACCES' ? ': ports below 1024 need CAP_NET_BIND_SERVICE' : '';
    const away = found.refused === 'EADDRNOTAVAIL' ? ': this machine has no such address' : '';
    throw wrong(`${address} cannot be had (${found.refused})${hint}${away}`);
  }
  const gateway = await asked;
  if (gateway.runs) return `${address} is in use, and the gateway of this config is running`;
  throw wrong(`${address} is in use by another program: no gateway of this config runs (${gateway.why})`);
}

async function lookAtIssuer(issuer: LoadedGatewayConfig['issuers'][number], clock: Clock): Promise<string> {
  const { keys, source } = await loadKeys(issuer, createHttpsGet(clock));
  const usable = keys.usableFor(issuer.algorithms.length > 0 ? issuer.algorithms : defaultAlgorithms);
  if (usable === 0)
    throw wrong(`${source}: ${keys.size} keys, none of them for ${issuer.algorithms.join(', ')}`);
  const ignored = keys.ignored > 0 ? `, ${keys.ignored} are of no use` : '';
  return `${usable} ${usable === 1 ? 'key' : 'keys'} from ${source}${ignored}`;
}

function lookAtRevocation({ crl }: LoadedGatewayConfig['certificates'][number], clock: Clock): string {
  if (crl === undefined) return 'revocation is not checked: it has no "crl"';
  const nowMs = clock.now();
  const dates = crlDates(crl);
  const bad = dates.find(
    ({ thisUpdateMs, nextUpdateMs = nowMs + 1 }) => nextUpdateMs <= nowMs || thisUpdateMs > nowMs,
  );
  if (bad)
    throw wrong(
      `the revocation list of "${bad.issuer}" is not in force (${date(bad.thisUpdateMs)} to ${date(bad.nextUpdateMs)}): all its certificates are refused`,
    );
  return dates
    .map(({ issuer, nextUpdateMs }) => `list of "${issuer}" until ${date(nextUpdateMs)}`)
    .join(', ');
}

function date(ms: number | undefined): string {
  return ms === undefined ? 'no end' : new Date(ms).toISOString();
}

async function lookAtTarget(
  target: LoadedGatewayConfig['targets'][number],
  clock: Clock,
  asked: Promise<Gateway>,
): Promise<string> {
  const { upstream } = makeTarget(target, clock);
  if (upstream.kind === 'tunnel') {
    const gateway = await asked;
    if (!gateway.runs) return 'is reached through an expose';
    const count = gateway.exposes.get(target.name) ?? 0;
    return count === 0 ? 'no expose serves it now' : `served by ${count} expose${count === 1 ? '' : 's'}`;
  }
  const { carrier, facts } = await upstream.dialer.dial();
  await staysOpen(carrier, clock);
  return `${upstream.address}: ${facts.version}, ${facts.cipher}, certificate issued by ${safeText(facts.peerIssuer ?? 'unknown')}, verified`;
}

/** In TLS 1.3 the dialler has its connection before the server has judged the client certificate, or missed it. */
async function staysOpen(carrier: Carrier, clock: Clock): Promise<void> {
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  const gone = (error?: Error): void => {
    const why = error ? `: ${codeOf(error) || messageOf(error)}` : '';
    reject(
      wrong(`closed the connection after the handshake${why}; it may want (another) client certificate`),
    );
  };
  carrier.start({ data: () => resolve(), end: gone, closed: gone });
  const timer = clock.after(afterHandshakeMs, resolve);
  try {
    await promise;
  } finally {
    timer.cancel();
    carrier.destroy();
  }
}

function lookAtStore(path: string): string {
  const { usable, text } = lookAtDirectory(path);
  if (!usable) throw wrong(text);
  return text;
}

async function askGateway(socketPath: string): Promise<Gateway> {
  try {
    return { runs: true, exposes: exposesOf(await adminRequest(socketPath, 'GET', '/sessions')) };
  } catch (error) {
    // Whatever it answers, it is there.
    if (codeOf(error) !== 'unavailable' && codeOf(error) !== 'denied')
      return { runs: true, exposes: new Map() };
    return { runs: false, why: messageOf(error) };
  }
}

function exposesOf(answer: unknown): Map<string, number> {
  const exposes = new Map<string, number>();
  const tunnels: unknown =
    typeof answer === 'object' && answer !== null && 'tunnels' in answer ? answer.tunnels : [];
  for (const tunnel of Array.isArray(tunnels) ? tunnels : []) {
    const { role, target } = Object(tunnel) as { role?: unknown; target?: unknown };
    if (role === 'expose' && typeof target === 'string') exposes.set(target, (exposes.get(target) ?? 0) + 1);
  }
  return exposes;
}
