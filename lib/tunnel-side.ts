import type { LoadedClientConfig } from './config/client.ts';
import { version } from './core/build.ts';
import type { Clock } from './core/clock.ts';
import type { Log } from './core/ports.ts';
import type { CloseReason } from './core/session.ts';
import { type HeldKey, holdFreeInstanceKey } from './store/instance-key.ts';
import { TlsDialer } from './transport/tls-client.ts';
import { defaultRedial, TunnelClient, type TunnelClientPorts } from './tunnel/client.ts';
import { defaultTunnelLimits } from './tunnel/options.ts';
import { WindowPool } from './tunnel/window-pool.ts';

export interface SidePorts {
  readonly clock: Clock;
  readonly log: Log;
  /** One line for the person: a Notice of the gateway's, a refusal. */
  readonly tell: (line: string) => void;
}

/** What `connect` and `expose` have in common: a key, a dialer, and a tunnel that is kept up. */
export interface TunnelSide {
  readonly client: TunnelClient;
  readonly key: HeldKey;
}

export function makeTunnelSide(
  config: LoadedClientConfig,
  ports: SidePorts,
  onOpen: TunnelClientPorts['onOpen'],
): TunnelSide {
  const { gateway, serverName, ca, certificate, token, role, target } = config;
  const { clock, log, tell } = ports;
  const dialer = new TlsDialer(
    {
      ...gateway,
      serverName,
      alpn: ['lockwire/1'],
      ...(ca === undefined ? {} : { ca: [ca] }),
      ...(certificate ?? {}),
    },
    { clock },
  );
  const key = holdFreeInstanceKey(config.instanceKeyFile);
  let lastFailure = '';
  const client = new TunnelClient(
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
      limits: defaultTunnelLimits,
      pool: new WindowPool(),
      dial: () => dialer.dial(),
      token: async () => (token ? await token.read() : ''),
      onOpen,
      onNotice: notice => tell(notice.text),
      onUp: ({ welcome }) => {
        lastFailure = '';
        log.info({ session: welcome.session, gateway: welcome.instance, as: welcome.principal }, 'tunnel up');
      },
      onDown: error => {
        // The same failure again and again is one line.
        if (error.message === lastFailure) return;
        lastFailure = error.message;
        log.warn({ reason: error.code, detail: error.message }, 'tunnel down; trying again');
      },
    },
  );
  return { client, key };
}

export const stoppingLeg: CloseReason = { code: 'shutdown', text: 'lockwire is shutting down' };
