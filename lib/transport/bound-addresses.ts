import { isLoopback } from '../core/address.ts';
import { scanSocketTables } from './socket-table.ts';

/** Where a port of this machine is listened on; by the system's own table, nothing is probed. */
export interface BoundAddresses {
  readonly loopback: boolean;
  /** Addresses beyond loopback, in order; `0.0.0.0` and `::` are all of them. */
  readonly beyond: readonly string[];
}

/** Throws where the system does not tell. */
export async function boundAddresses(
  port: number,
  scan: typeof scanSocketTables = scanSocketTables,
): Promise<BoundAddresses> {
  const beyond = new Set<string>();
  let loopback = false;
  await scan(({ state, local }) => {
    if (state !== 'listening' || local.port !== port) return false;
    if (isLoopback(local.address)) loopback = true;
    else beyond.add(local.address);
    return false;
  });
  return { loopback, beyond: [...beyond].sort() };
}
