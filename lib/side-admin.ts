import { formatAddress, type HostPort } from './core/address.ts';
import type { Log } from './core/ports.ts';
import { startAdmin } from './observe/admin-server.ts';
import type { RenderedMetrics } from './observe/metrics.ts';
import type { SideStatus } from './side-status.ts';

export interface SideAdmin {
  /** Where it really is; undefined where none was asked for. */
  readonly address: string | undefined;
  close(): Promise<void>;
}

/** Health and metrics of a `connect` or an `expose`, for probes on the same machine. Throws `io` where it can't be bound. */
export async function startSideAdmin(
  bind: HostPort | undefined,
  status: SideStatus,
  { log, metrics }: { readonly log: Log; readonly metrics?: RenderedMetrics },
): Promise<SideAdmin> {
  if (bind === undefined || metrics === undefined) return { address: undefined, close: async () => {} };
  const admin = await startAdmin({ bind, health: () => status.health(), metrics, routes: {} }, { log });
  return { address: admin.address && formatAddress(admin.address), close: () => admin.close() };
}
