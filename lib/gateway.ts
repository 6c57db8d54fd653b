import { randomBytes } from 'node:crypto';
import { join } from 'node:path';
import { createAuthenticator } from './access/identity/authenticator.ts';
import { createAuthorizer } from './access/policy/authorizer.ts';
import type { LoadedGatewayConfig } from './config/loaded.ts';
import type { Clock } from './core/clock.ts';
import type { Log } from './core/ports.ts';
import { Admissions } from './gateway-admissions.ts';
import { Joiner } from './gateway-joiner.ts';
import { LiveSessions } from './gateway-live.ts';
import { identityOptions, listenerOptions, makeTarget, policyOptions } from './gateway-options.ts';
import { ResumableTunnels } from './gateway-resume.ts';
import { Shares } from './gateway-shares.ts';
import { type NamedListener, Shutdown } from './gateway-shutdown.ts';
import { TcpDoor } from './gateway-tcp.ts';
import { TunnelDoor } from './gateway-tunnels.ts';
import { startAdmin } from './observe/admin-server.ts';
import type { RenderedMetrics } from './observe/metrics.ts';
import { holdInstanceKey } from './store/instance-key.ts';
import { Listener } from './transport/listener.ts';
import { Exposers } from './tunnel/exposers.ts';
import { defaultTunnelLimits } from './tunnel/options.ts';
import { WindowPool } from './tunnel/window-pool.ts';

export interface GatewayPorts {
  readonly clock: Clock;
  readonly log: Log;
  readonly metrics: RenderedMetrics;
}

export interface RunningGateway {
  /** The addresses really bound. */
  readonly listeners: readonly { readonly name: string; readonly host: string; readonly port: number }[];
  readonly adminSocket: string;
  readonly adminAddress?: { readonly host: string; readonly port: number };
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
  try {
    const live = new LiveSessions(metrics);
    const exposers = new Exposers();
    const resumable = new ResumableTunnels(clock);
    metrics.gauge(
      'lockwire_tunnels_detached',
      'Tunnels that wait for another connection.',
      () => resumable.detachedCount,
    );
    const targets = new Map(config.targets.map(target => [target.name, makeTarget(target, clock)]));
    const authenticator = createAuthenticator(identityOptions(config), { clock, log, metrics });
    const authorizer = await createAuthorizer(policyOptions(config), { clock, log, metrics });
    const joiner = new Joiner({
      clock,
      log,
      metrics,
      authorizer,
      targets,
      exposers,
      shares: new Shares(clock),
      live,
    });
    const tunnelDoor = new TunnelDoor({
      clock,
      log,
      metrics,
      limits: {
        ...defaultTunnelLimits,
        maxStreams: config.limits.streamsPerSession,
        maxPendingOpens: config.limits.pendingOpens,
      },
      admissions: new Admissions(config.limits),
      pool: new WindowPool(),
      key,
      instance: randomBytes(8).toString('hex'),
      authenticator,
      authorizer,
      exposers,
      exposable: name => targets.get(name)?.upstream.kind === 'tunnel',
      joiner,
      live,
      resumable,
    });
    const tcpDoor = new TcpDoor({ clock, log, metrics, authenticator, joiner });
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
            else void tcpDoor.enter(connection, route.target);
          },
        }),
      }),
    );
    const shutdown = new Shutdown(listeners, live, key, config.drainTimeoutMs, clock);
    const admin = await startAdmin(
      {
        ...(config.admin.bind ? { bind: config.admin.bind } : {}),
        socketPath: config.admin.socketPath,
        health: () => ({ ready: !shutdown.begun, reasons: shutdown.begun ? ['draining'] : [] }),
        metrics,
        routes: {
          'GET /sessions': async () => ({ status: 200, body: live.list() }),
          'GET /explain': async ({ query }) => {
            const found = authorizer.explain(query.get('id') ?? '');
            const message = 'no such denial among the last 4,096 since this gateway started';
            return found === undefined
              ? { status: 404, body: { error: { code: 'usage', message } } }
              : { status: 200, body: found };
          },
        },
      },
      { log },
    );
    shutdown.admin = admin;
    const bound = await listenAll(listeners, shutdown);
    return {
      listeners: bound,
      adminSocket: config.admin.socketPath,
      ...(admin.address ? { adminAddress: admin.address } : {}),
      drain: () => shutdown.drain(),
      stop: () => shutdown.stop(),
    };
  } catch (error) {
    key.release();
    throw error;
  }
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
