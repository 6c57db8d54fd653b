import type { LoadedClientConfig } from './config/client.ts';
import { formatAddress } from './core/address.ts';
import { version } from './core/build.ts';
import type { Clock } from './core/clock.ts';
import { LockwireError, messageOf } from './core/errors.ts';
import type { DialledConnection, InstanceKey } from './core/ports.ts';
import type { CloseReason } from './core/session.ts';
import {
  dnsAdvice,
  exporterAdvice,
  permitAdvice,
  proxyAdvice,
  tcpAdvice,
  tlsAdvice,
  tokenAdvice,
} from './doctor-advice.ts';
import { type CredentialSeen, describeCertificate, describeToken, expiry } from './doctor-credential.ts';
import { type Diagnosis, type PartReport, Walk } from './doctor-report.ts';
import { lookAtHost, lookThroughStream } from './doctor-target.ts';
import { readPin } from './store/gateway-pin.ts';
import { borrowInstanceKey } from './store/instance-key.ts';
import type { DialStep } from './transport/options.ts';
import { dialTunnel, type Fresh, TunnelRefused } from './tunnel/handshake-dial.ts';
import { defaultTunnelLimits } from './tunnel/options.ts';
import { keyFingerprint } from './tunnel/rotation.ts';
import { WindowPool } from './tunnel/window-pool.ts';
import { dialGateway, makeDialer } from './tunnel-side.ts';

export interface DoctorPorts {
  readonly clock: Clock;
  /** Each part as soon as it was looked at. */
  readonly tell: (report: PartReport) => void;
}

/**
 * Walks from here to the target: name, TCP, proxy, TLS, exporter, credential, permit, exposer, host. One session that
 * only looks, and for a connect one stream on which not a byte is sent; nothing is registered or left behind.
 */
export async function diagnose(config: LoadedClientConfig, ports: DoctorPorts): Promise<Diagnosis> {
  const walk = new Walk(ports.tell);
  const connection = await reach(config, ports, walk);
  walk.skipUnseen('dns', 'tcp', 'proxy', 'tls');
  const key = borrowInstanceKey(config.instanceKeyFile);
  try {
    const session = connection && (await greet(config, connection, key, ports, walk));
    if (session && config.role === 'connect') await lookThroughStream(config, session, key.own, ports, walk);
    walk.skipUnseen('exporter', 'token', 'permit', 'exposer');
    if (config.role === 'expose') await lookAtHost(config, ports, walk);
    walk.skipUnseen('upstream');
    session?.close({ code: 'done', text: 'lockwire doctor has seen it' });
  } finally {
    key.release();
  }
  return walk.diagnosis;
}

/** What a dial came to. */
interface Seen {
  readonly addresses: string[];
  connected: string;
  connectedMs: number;
  proxied: boolean;
  certificate?: Extract<DialStep, { kind: 'certificate' }>['certificate'];
}

async function reach(
  config: LoadedClientConfig,
  { clock }: DoctorPorts,
  walk: Walk,
): Promise<DialledConnection | undefined> {
  const beganMs = clock.monotonic();
  const seen: Seen = { addresses: [], connected: '', connectedMs: 0, proxied: false };
  const note = (step: DialStep): void => {
    if (step.kind === 'resolved') seen.addresses.push(step.address);
    else if (step.kind === 'proxied') seen.proxied = true;
    else if (step.kind === 'certificate') seen.certificate = step.certificate;
    else {
      seen.connected = step.address;
      seen.connectedMs = clock.monotonic() - beganMs;
    }
  };
  try {
    const connection = await dialGateway(makeDialer(config, clock), note);
    tellWay(config, seen, walk);
    const { version: tls, cipher, group = 'group unknown' } = connection.facts;
    walk.ok('tls', `${tls}, ${cipher}, ${group}; ${certificateText(config, seen, clock)}; verified`);
    return connection;
  } catch (error) {
    tellBrokenWay(config, seen, asLockwireError(error), clock, walk);
    return undefined;
  }
}

function asLockwireError(error: unknown): LockwireError {
  return error instanceof LockwireError ? error : new LockwireError('unavailable', messageOf(error));
}

/** DNS, TCP and proxy, where all of them did their part. */
function tellWay(config: LoadedClientConfig, seen: Seen, walk: Walk): void {
  tellName(config, seen, walk);
  const through = config.forwardProxy ? ' (the proxy)' : '';
  walk.ok('tcp', `${seen.connected}${through} after ${Math.round(seen.connectedMs)} ms`);
  if (config.forwardProxy)
    walk.ok('proxy', `CONNECT ${formatAddress(config.gateway)} was answered with a way`);
  else walk.skip('proxy', 'none is in force (HTTPS_PROXY, NO_PROXY)');
}

function tellName({ forwardProxy, gateway }: LoadedClientConfig, { addresses }: Seen, walk: Walk): void {
  const { host } = forwardProxy ?? gateway;
  const rest = forwardProxy ? `; ${gateway.host} is looked up by the proxy` : '';
  if (addresses.length > 0) walk.ok('dns', `${host}: ${addresses.slice(0, 16).join(', ')}${rest}`);
  else walk.skip('dns', `${host} is an address${rest}`);
}

function tellBrokenWay(
  config: LoadedClientConfig,
  seen: Seen,
  error: LockwireError,
  clock: Clock,
  walk: Walk,
): void {
  if (seen.connected === '') {
    if (/cannot be found/.test(error.message))
      return walk.fail('dns', error.message, dnsAdvice(config, error));
    tellName(config, seen, walk);
    return walk.fail('tcp', error.message, tcpAdvice(config, error));
  }
  if (config.forwardProxy && !seen.proxied) {
    tellName(config, seen, walk);
    walk.ok('tcp', `${seen.connected} (the proxy) after ${Math.round(seen.connectedMs)} ms`);
    return walk.fail('proxy', error.message, proxyAdvice(config, error));
  }
  tellWay(config, seen, walk);
  const certificate = seen.certificate ? `; ${certificateText(config, seen, clock)}` : '';
  walk.fail('tls', `${error.message}${certificate}`, tlsAdvice(config, error));
}

function certificateText({ serverName }: LoadedClientConfig, { certificate }: Seen, clock: Clock): string {
  if (certificate === undefined) return 'no certificate was seen';
  const { names, issuer, notAfterMs } = certificate;
  return `asked for ${serverName}, certificate for ${names}, issued by ${issuer}, ${expiry(notAfterMs, clock.now())}`;
}

/** Exporter, credential, and for an expose its permit: all that one handshake tells. */
async function greet(
  config: LoadedClientConfig,
  connection: DialledConnection,
  key: InstanceKey & { readonly own: boolean },
  { clock }: DoctorPorts,
  walk: Walk,
): Promise<Fresh['session'] | undefined> {
  const { role, target } = config;
  const token = config.token ? await config.token.read() : '';
  const credential = credentialOf(config, token, clock.now());
  const pinned = readPin(`${config.instanceKeyFile}.gateway`);
  let gatewayKey: Uint8Array | undefined;
  const proven = (): void => {
    const fingerprint = gatewayKey ? keyFingerprint(gatewayKey) : '';
    const trust = pinned ? 'pinned' : 'not pinned (lockwire enroll pins it)';
    walk.ok('exporter', `both ends see the same TLS connection; gateway key ${fingerprint}, ${trust}`);
  };
  try {
    const dialled = await dialTunnel(
      connection.carrier,
      {
        role,
        target: role === 'expose' ? target : '',
        token,
        instanceKey: key,
        exporter: connection.exporter(),
        certificateIssuer: connection.facts.peerIssuer ?? 'an unknown issuer',
        software: `lockwire/${version} doctor`,
        purpose: 'look',
        ...(pinned && { gatewayKey: pinned.key }),
        onProven: proved => {
          gatewayKey = proved;
        },
      },
      {
        clock,
        limits: { ...defaultTunnelLimits, patienceMs: 0 },
        pool: new WindowPool(),
        onOpen: stream => stream.reset({ code: 'unavailable', text: 'lockwire doctor serves nothing' }),
        onNotice() {},
        onGoAway() {},
        onRenew: () => Promise.reject(new LockwireError('protocol', 'a gateway renews nothing')),
        onRenewed() {},
        onDetached() {},
        onClosed() {},
      },
    );
    if (dialled.resumed) throw new LockwireError('protocol', 'a session was resumed that never was');
    proven();
    const { welcome } = dialled;
    walk.ok('token', `${credential.text}${clockDoubt(credential)}; taken, as ${welcome.principal}`);
    if (role === 'expose') {
      walk.ok('permit', `may serve target ${target}`);
      walk.skip('exposer', 'lockwire expose is what will serve it; the doctor takes no streams');
    }
    return dialled.session;
  } catch (error) {
    const failure = asLockwireError(error);
    if (gatewayKey === undefined || failure.code === 'intercepted')
      walk.fail('exporter', failure.message, exporterAdvice(failure));
    else {
      proven();
      tellRefusal(config, failure, credential, key.own, walk);
    }
    return undefined;
  }
}

function credentialOf({ certificate }: LoadedClientConfig, token: string, nowMs: number): CredentialSeen {
  return token !== '' ? describeToken(token, nowMs) : describeCertificate(certificate?.cert ?? '', nowMs);
}

function clockDoubt({ expired }: CredentialSeen): string {
  return expired ? " by this machine's clock, which is then ahead of the gateway's" : '';
}

/** Refusals that are given once it is known who asks. */
const afterIdentity: ReadonlySet<string> = new Set(['denied', 'unknown-target', 'limit', 'shutdown']);

function tellRefusal(
  config: LoadedClientConfig,
  failure: LockwireError,
  credential: CredentialSeen,
  ownKey: boolean,
  walk: Walk,
): void {
  const reason: CloseReason =
    failure instanceof TunnelRefused ? failure.reason : { code: 'unavailable', text: failure.message };
  if (afterIdentity.has(reason.code)) {
    walk.ok('token', `${credential.text}; taken`);
    walk.fail('permit', failure.message, permitAdvice(config, reason, ownKey));
  } else {
    const seen = `${credential.text}; not taken: ${failure.message}`;
    walk.fail('token', seen, tokenAdvice(reason, config.token === undefined));
  }
}
