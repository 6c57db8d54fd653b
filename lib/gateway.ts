import { randomBytes } from 'node:crypto';
import { join } from 'node:path';
import { createAuthenticator } from './access/identity/authenticator.ts';
import { createAuthorizer } from './access/policy/authorizer.ts';
import type { LoadedGatewayConfig } from './config/loaded.ts';
import type { Clock } from './core/clock.ts';
import type { Log } from './core/ports.ts';
import { adminRoutes } from './gateway-admin.ts';
import { Admissions } from './gateway-admissions.ts';
import { Calls } from './gateway-calls.ts';
import { Dialects } from './gateway-dialects.ts';
import { Http2Door } from './gateway-http2.ts';
import { Joiner } from './gateway-joiner.ts';
import { Judge } from './gateway-judge.ts';
import { GatewayKey } from './gateway-key.ts';
import { LiveSessions } from './gateway-live.ts';
import { identityOptions, listenerOptions, makeTarget, policyOptions } from './gateway-options.ts';
import { Reloader } from './gateway-reload.ts';
import { RequestRoutes } from './gateway-request-routes.ts';
import { ResumableTunnels } from './gateway-resume.ts';
import { Shares } from './gateway-shares.ts';
import { type NamedListener, Shutdown } from './gateway-shutdown.ts';
import { TcpDoor } from './gateway-tcp.ts';
import { TunnelDoor } from './gateway-tunnels.ts';
import { UpstreamPools } from './gateway-upstreams.ts';
import { startAdmin } from './observe/admin-server.ts';
import type { RenderedMetrics } from './observe/metrics.ts';
import { holdInstanceKey } from './store/instance-key.ts';
import { Store } from './store/store.ts';
import { Listener } from './transport/listener.ts';
import { Exposers } from './tunnel/exposers.ts';
import { defaultTunnelLimits } from './tunnel/options.ts';
import { WindowPool } from './tunnel/window-pool.ts';
import { connectionLimitsOf } from './tunnel-limits.ts';

export interface GatewayPorts {
  readonly clock: Clock;
  readonly log: Log;
  readonly metrics: RenderedMetrics;
  /** Reads the config anew: on SIGHUP, when a file changed, on `lockwire reload`. Without it there is no reload. */
  readonly load?: () => Promise<LoadedGatewayConfig>;
}

export interface RunningGateway {
  /** The addresses really bound. */
  readonly listeners: readonly { readonly name: string; readonly host: string; readonly port: number }[];
  readonly adminSocket: string;
  readonly adminAddress?: { readonly host: string; readonly port: number };
  /** Takes the config anew, soon; what is wrong with it is logged, and then nothing changes. */
  reload(cause: string): void;
  /** Stops accepting; live streams run on for at most `drainTimeoutMs`, then end with `shutdown`. */
  drain(): Promise<void>;
  /** Ends everything at once, also while it drains. */
  stop(): Promise<void>;
}

/** Builds each room and joins them in the order that bytes travel. Throws LockwireError where a part cannot start. */
export async function startGateway(
  config: LoadedGatewayConfig,
  ports: GatewayPorts,
): Promise<RunningGateway> {
  const { clock, log, metrics } = ports;
  const key = holdInstanceKey(join(config.store.path, 'gateway.key'));
  let store: Store | undefined;
  try {
    store = new Store(config.store.path, { clock, log });
    const gatewayKey = new GatewayKey(key, store);
    const inForce = { config };
    const live = new LiveSessions(metrics);
    const exposers = new Exposers(clock);
    metrics.gauge(
      'lockwire_streams_awaiting_expose',
      'Streams to a target whose expose is on its way.',
      () => exposers.waitingCount,
    );
    const resumable = new ResumableTunnels(clock);
    metrics.gauge(
      'lockwire_tunnels_detached',
      'Tunnels that wait for another connection.',
      () => resumable.detachedCount,
    );
    metrics.gauge(
      'lockwire_instances',
      'Gateway processes behind this address, as the config says.',
      () => inForce.config.instances,
    );
    const targets = new Map(config.targets.map(target => [target.name, makeTarget(target, clock)]));
    const authenticator = createAuthenticator(identityOptions(config), { clock, log, metrics });
    const authorizer = await createAuthorizer(policyOptions(config), { clock, log, metrics });
    const judge = new Judge({ store, authorizer, targets, live, log, metrics });
    judge.enrolmentRequired = config.enrolment === 'required';
    const admissions = new Admissions(config.limits);
    const pool = new WindowPool();
    const calls = new Calls({ authorizer, metrics });
    const shares = new Shares(clock);
    const pools = new UpstreamPools({ clock, metrics, pool, exposers, shares });
    const dialects = new Dialects({ clock, log, metrics, authorizer, targets, held: pools.held });
    live.dialects = dialects;
    const joiner = new Joiner({
      clock,
      log,
      metrics,
      authorizer,
      targets,
      exposers,
      shares,
      live,
      calls,
      pools,
      dialects,
    });
    const tunnelDoor = new TunnelDoor({
      clock,
      log,
      metrics,
      // Read for each new session: a reload may change them.
      get limits() {
        const { limits } = inForce.config;
        const { streamsPerSession, pendingOpens } = limits;
        const own = { ...defaultTunnelLimits, maxStreams: streamsPerSession, maxPendingOpens: pendingOpens };
        return connectionLimitsOf(own, limits);
      },
      admissions,
      pool,
      key: gatewayKey,
      instance: randomBytes(8).toString('hex'),
      get instances() {
        return inForce.config.instances;
      },
      authenticator,
      authorizer,
      exposers,
      exposable: name => targets.get(name)?.upstream.kind === 'tunnel',
      joiner,
      live,
      resumable,
      judge,
    });
    const tcpDoor = new TcpDoor({ clock, log, metrics, authenticator, joiner, judge, live });
    const requestRoutes = new RequestRoutes(targets.values());
    const http2Door = new Http2Door({
      clock,
      log,
      authenticator,
      authorizer,
      judge,
      calls,
      pools,
      dialects,
      targets,
      requestRoutes,
      live,
    });
    const listeners = config.listeners.map(
      (entry): NamedListener => ({
        name: entry.name,
        listener: new Listener(listenerOptions(entry, config), {
          clock,
          log,
          metrics,
          onConnection: connection => {
            const { route } = connection;
            if (route.kind === 'tunnel') void tunnelDoor.enter(connection);
            else if (route.kind === 'tcp') void tcpDoor.enter(connection, route.target);
            else http2Door.enter(connection);
          },
        }),
      }),
    );
    const reloader =
      ports.load &&
      new Reloader(
        { authenticator, authorizer, listeners, targets, requestRoutes, admissions, judge, live, inForce },
        { clock, log, metrics, load: ports.load },
      );
    const over = (): void => {
      reloader?.close();
      dialects.close({ code: 'shutdown', text: 'the gateway is shutting down' });
      pools.closeAll({ code: 'shutdown', text: 'the gateway is shutting down' });
      store?.close();
    };
    const shutdown = new Shutdown(listeners, live, key, () => inForce.config.drainTimeoutMs, over, clock);
    const admin = await startAdmin(
      {
        ...(config.admin.bind ? { bind: config.admin.bind } : {}),
        socketPath: config.admin.socketPath,
        health: () => ({ ready: !shutdown.begun, reasons: shutdown.begun ? ['draining'] : [] }),
        metrics,
        routes: adminRoutes({
          log,
          live,
          store,
          judge,
          key: gatewayKey,
          sources: () => sourceNames(inForce.config),
          targets: () => inForce.config.targets.map(({ name }) => name),
          explain: id => authorizer.explain(id),
          reload: reloader && (() => reloader.now('lockwire reload')),
        }),
      },
      { log },
    );
    shutdown.admin = admin;
    const bound = await listenAll(listeners, shutdown);
    exposers.started();
    return {
      listeners: bound,
      adminSocket: config.admin.socketPath,
      ...(admin.address ? { adminAddress: admin.address } : {}),
      reload: cause => reloader?.soon(cause),
      drain: () => shutdown.drain(),
      stop: () => shutdown.stop(),
    };
  } catch (error) {
    store?.close();
    key.release();
    throw error;
  }
}

function sourceNames({ issuers, certificates }: LoadedGatewayConfig): string[] {
  return [...issuers, ...certificates].map(({ name }) => name);
}

async function listenAll(
  listeners: readonly NamedListener[],
  shutdown: Shutdown,
): Promise<RunningGateway['listeners']> {
  const bound: { name: string; host: string; port: number }[] = [];
  try {
    for (const { name, listener } of listeners) bound.push({ name, ...(await listener.listen()) });
  } catch (error) {
    await shutdown.stop();
    throw error;
  }
  return bound;
}
