import { isDeepStrictEqual } from 'node:util';
import type { LoadedClientConfig } from './config/client.ts';
import { watchFiles } from './config/watch-files.ts';
import { version } from './core/build.ts';
import type { Clock } from './core/clock.ts';
import { LockwireError, messageOf } from './core/errors.ts';
import { type DialledConnection, type Log, noMetrics } from './core/ports.ts';
import type { CloseReason } from './core/session.ts';
import type { RenderedMetrics } from './observe/metrics.ts';
import { SideStatus } from './side-status.ts';
import { type Enrollment, GatewayTrust } from './side-trust.ts';
import { type HeldKey, holdFreeInstanceKey } from './store/instance-key.ts';
import type { DialStep } from './transport/options.ts';
import { TlsDialer } from './transport/tls-client.ts';
import { defaultRedial, TunnelClient } from './tunnel/client.ts';
import type { TunnelClientPorts } from './tunnel/client-ports.ts';
import { type Fresh, TunnelRefused } from './tunnel/handshake-dial.ts';
import type { KeptClient } from './tunnel/instances.ts';
import { defaultTunnelLimits, exposeLimits } from './tunnel/options.ts';
import { WindowPool } from './tunnel/window-pool.ts';
import { connectionLimitsOf } from './tunnel-limits.ts';

export interface SidePorts {
  readonly clock: Clock;
  readonly log: Log;
  /** One line for the person: a Notice of the gateway's, a refusal. */
  readonly tell: (line: string) => void;
  /** Aborted where the program is told to end before it is ready. */
  readonly givenUp?: AbortSignal;
  /** Reads flags, files and environment anew; without it there is no reload. */
  readonly load?: () => Promise<LoadedClientConfig>;
  /** Absent where nobody asks for them. */
  readonly metrics?: RenderedMetrics;
  /** At the first start. */
  readonly enrollment?: Enrollment;
}

/** One tunnel, or one to each gateway process. */
type Tunnels = Pick<TunnelClient, 'startPatiently' | 'renewNow'>;

/** What `connect` and `expose` have in common: a key, a dialer, and tunnels that are kept up. */
export interface TunnelSide<T extends Tunnels> {
  readonly tunnels: T;
  readonly status: SideStatus;
  /**
   * Dials until there is a session: a gateway that is not there yet is waited for, since machines start in any order.
   * Rejects where dialling again would not help: a refusal, a certificate that is not trusted.
   */
  firstSession(): Promise<Fresh>;
  /** Shows the token of now at once, and the certificate of now with the next connection. */
  reload(cause: string): void;
  /** At the end: frees the key for the next instance. */
  release(): void;
}

export function makeTunnelSide<T extends Tunnels>(
  config: LoadedClientConfig,
  ports: SidePorts,
  onOpen: TunnelClientPorts['onOpen'],
  makeTunnels: (makeClient: (kept?: KeptClient) => TunnelClient) => T,
): TunnelSide<T> {
  const { role, target } = config;
  const { clock, log, tell, givenUp } = ports;
  let inForce = config;
  let dialer = makeDialer(config, clock);
  if (config.forwardProxy) {
    const { host, port } = config.forwardProxy;
    log.info({ proxy: `${host}:${port}` }, 'the gateway is reached through a proxy (HTTPS_PROXY)');
  }
  const key = holdFreeInstanceKey(config.instanceKeyFile);
  const trust = trustOf(key, ports);
  const status = new SideStatus(ports.metrics ?? noMetrics);
  let lastFailure = '';
  let up = false;
  const first = Promise.withResolvers<Fresh>();
  const limits = connectionLimitsOf(
    role === 'expose' ? { ...defaultTunnelLimits, ...exposeLimits } : defaultTunnelLimits,
    config.limits,
  );
  const pool = new WindowPool();
  const makeClient = (kept?: KeptClient): TunnelClient =>
    new TunnelClient(
      {
        role,
        target: role === 'expose' ? target : '',
        instanceKey: key,
        software: `lockwire/${version} ${role}`,
        ...defaultRedial,
      },
      {
        clock,
        log,
        limits,
        pool,
        ...(kept ? { claims: kept.claims, onInstances: kept.onInstances } : {}),
        dial: () => {
          status.dialled();
          return dialGateway(dialer);
        },
        token: async () => (inForce.token ? await inForce.token.read() : ''),
        trust: () => trust.forDial(),
        onOpen,
        onNotice: notice => tell(notice.text),
        onUp: dialled => {
          const { welcome } = dialled;
          kept?.onUp(dialled);
          lastFailure = '';
          up = true;
          trust.up(dialled);
          status.began(dialled.session);
          first.resolve(dialled);
          log.info(
            { session: welcome.session, gateway: welcome.instance, as: welcome.principal },
            'tunnel up',
          );
        },
        onResumed: awayMs => {
          status.resumed();
          lastFailure = '';
          log.info({ awayMs: Math.round(awayMs) }, 'tunnel resumed');
        },
        onDown: error => {
          status.failed(error);
          if (!up && isFinal(error)) return first.reject(error);
          // The same failure again and again is one line.
          if (error.message === lastFailure) return;
          lastFailure = error.message;
          log.warn({ reason: error.code, detail: error.message }, whatIsDown(up, kept));
        },
      },
    );
  const tunnels = makeTunnels(makeClient);
  const reload = (cause: string): void => {
    const loaded = ports.load?.() ?? Promise.resolve(inForce);
    loaded
      .then(next => {
        checkLasting(config, next);
        const another = !isDeepStrictEqual(inForce.certificate, next.certificate);
        dialer = makeDialer(next, clock);
        inForce = next;
        watch.watch(next.files);
        void tunnels.renewNow(another);
        log.info({ cause }, 'token and certificates were read anew');
      })
      .catch((error: unknown) =>
        log.error({ cause, detail: messageOf(error) }, 'not reloaded: the old settings stay in force'),
      );
  };
  const watch = watchFiles(config.files, clock, () => reload('a file changed'));
  return {
    tunnels,
    status,
    firstSession: () => {
      givenUp?.addEventListener('abort', () => first.reject(new LockwireError('closed', 'told to end')));
      tunnels.startPatiently();
      return first.promise;
    },
    reload,
    release: () => {
      watch.close();
      key.release();
    },
  };
}

function whatIsDown(up: boolean, kept: KeptClient | undefined): string {
  if (!up) return 'no gateway yet; trying again';
  return kept?.looking()
    ? 'no tunnel to one of the gateway processes; trying again'
    : 'tunnel down; trying again';
}

function trustOf(key: HeldKey, { enrollment, log }: SidePorts): GatewayTrust {
  try {
    return new GatewayTrust(`${key.path}.gateway`, enrollment, log);
  } catch (error) {
    key.release();
    throw error;
  }
}

/** Over all that the config says of the way to the gateway. */
export function makeDialer(config: LoadedClientConfig, clock: Clock): TlsDialer {
  const { gateway, serverName, ca, certificate, forwardProxy } = config;
  return new TlsDialer(
    {
      ...gateway,
      serverName,
      alpn: ['lockwire/1'],
      ...(ca === undefined ? {} : { ca: [ca] }),
      ...(forwardProxy ? { proxy: forwardProxy } : {}),
      ...(certificate ?? {}),
    },
    { clock },
  );
}

/** Throws `config` where a restart is needed. */
function checkLasting(former: LoadedClientConfig, next: LoadedClientConfig): void {
  for (const setting of [
    'target',
    'local',
    'instanceKeyFile',
    'connectProxy',
    'allowUsers',
    'admin',
    'limits',
  ] as const)
    if (!isDeepStrictEqual(former[setting], next[setting]))
      throw new LockwireError('config', `another "${setting}" needs a restart`);
}

/** A server that speaks no `lockwire/1` is no gateway, whatever its certificate says. */
export async function dialGateway(
  dialer: TlsDialer,
  onStep?: (step: DialStep) => void,
): Promise<DialledConnection> {
  const connection = await dialer.dial(onStep);
  if (connection.facts.alpn === 'lockwire/1') return connection;
  connection.carrier.start({ data() {}, end() {}, closed() {} });
  connection.carrier.destroy();
  throw new LockwireError('tls', 'this is no Lockwire gateway: the server did not choose lockwire/1 (ALPN)');
}

/** Refusals that pass by themselves, as other sessions end or the gateway has started. */
const passing: ReadonlySet<string> = new Set(['shutdown', 'limit', 'timeout', 'internal', 'unavailable']);

function isFinal(error: LockwireError): boolean {
  if (error instanceof TunnelRefused) return !passing.has(error.reason.code);
  return error.code !== 'unavailable' && error.code !== 'timeout' && error.code !== 'io';
}

export const stoppingLeg: CloseReason = { code: 'shutdown', text: 'lockwire is shutting down' };
