import { loadGatewayConfig } from '../config/load-gateway.ts';
import type { LoadedGatewayConfig, LoadedListener } from '../config/loaded.ts';
import { formatProblem } from '../config/problem.ts';
import { formatAddress } from '../core/address.ts';
import { systemClock } from '../core/clock.ts';
import { LockwireError } from '../core/errors.ts';
import { type RunningGateway, startGateway } from '../gateway.ts';
import { createMetrics } from '../observe/metrics.ts';
import type { Command } from './command.ts';
import { growHeapFreely } from './heap.ts';
import { runUntilSignalled } from './lifetime.ts';
import { logLevelOption, makeLog } from './logging.ts';

export const gatewayCommand: Command = {
  name: 'gateway',
  summary: 'The gateway: ends and starts TLS, knows who is there, decides, relays.',
  usage: '--config FILE',
  options: {
    config: { value: 'FILE', help: 'JSON with comments; docs/configuration.md lists the settings' },
    'log-level': logLevelOption,
  },
  positionals: [0, 0],
  async run(args, io) {
    growHeapFreely();
    const path = args.value('config');
    if (path === undefined) throw new LockwireError('usage', 'missing --config FILE');
    const log = makeLog(io, args.value('log-level'));
    const load = () => loadGatewayConfig(path, { nowMs: systemClock.now() });
    const config = await load();
    for (const warning of config.warnings) log.warn({}, formatProblem(warning));
    const code = await runUntilSignalled({
      start: () => startGateway(config, { clock: systemClock, log, metrics: createMetrics(), load }),
      ready: gateway => io.out(readyLine(config, gateway)),
      log,
    });
    await log.flush();
    return code;
  },
};

function readyLine(config: LoadedGatewayConfig, gateway: RunningGateway): string {
  const where = gateway.listeners
    .map(({ name, ...address }) => `${name} ${formatAddress(address)}`)
    .join(', ');
  const admin = gateway.adminAddress ? `, admin ${formatAddress(gateway.adminAddress)}` : '';
  const mark = config.development ? 'DEVELOPMENT ' : '';
  return `lockwire: ${mark}gateway ready on ${where}${admin} (${tlsVersions(config.listeners)})`;
}

function tlsVersions(listeners: readonly LoadedListener[]): string {
  const old = listeners.filter(({ tls }) => tls.minVersion === 'TLSv1.2').map(({ name }) => name);
  return old.length === 0 ? 'TLS 1.3 only' : `TLS 1.3; 1.2 too on ${old.join(', ')}`;
}
