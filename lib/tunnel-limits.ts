import type { ConnectionLimits } from './config/connection-limits.ts';
import type { TunnelLimits } from './tunnel/options.ts';

/** A session's limits as the config has them. It looks at its clocks often enough to keep what is asked. */
export function connectionLimitsOf(
  limits: TunnelLimits,
  { pingInterval, pingTimeout, patience }: ConnectionLimits,
): TunnelLimits {
  return {
    ...limits,
    pingIntervalMs: pingInterval,
    pingTimeoutMs: pingTimeout,
    patienceMs: patience,
    tickMs: Math.min(limits.tickMs, pingInterval / 3),
    watchTickMs: Math.min(limits.watchTickMs, pingTimeout / 5),
    suspectMs: Math.min(limits.suspectMs, pingTimeout),
  };
}
