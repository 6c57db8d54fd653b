import { formatBytes } from '../core/bytes.ts';

export interface TryReport {
  readonly address: string;
  readonly rpcs: number;
  readonly publishes: number;
  /** Payload bytes that were compared, answers and events together. */
  readonly checkedBytes: number;
  /** Round trips of the RPCs, sent one at a time. */
  readonly rpcMs: { readonly p50: number; readonly p99: number; readonly max: number };
  readonly elapsedMs: number;
}

/** The lines that `lockwire try` prints. */
export function formatTryReport(report: TryReport): string[] {
  const { address, rpcs, publishes, checkedBytes, rpcMs, elapsedMs } = report;
  return [
    `${rpcs} RPCs and ${publishes} publishes through ${address}: every byte arrived (${formatBytes(checkedBytes)} compared)`,
    `RPC p50 ${inMs(rpcMs.p50)}, p99 ${inMs(rpcMs.p99)}, longest ${inMs(rpcMs.max)}; ${(elapsedMs / 1000).toFixed(1)} s in all`,
  ];
}

function inMs(value: number): string {
  return `${value.toFixed(value < 10 ? 2 : 1)} ms`;
}

/** The value below which `part` of the sorted values lie (nearest rank); 0 of none. */
export function quantile(sorted: readonly number[], part: number): number {
  const rank = Math.max(1, Math.ceil(part * sorted.length));
  return sorted[rank - 1] ?? 0;
}
