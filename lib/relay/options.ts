import { LockwireError } from '../core/errors.ts';

export interface RelayOptions {
  /** Ends a session on which nothing was delivered or flushed for so long. Absent: never, the default. */
  readonly idleTimeoutMs?: number;
}

/** Long quiet is normal for an agent: nothing is cut that the config did not ask for. */
export const relayDefaults: RelayOptions = {};

const leastIdleTimeoutMs = 1000;
/** A longer one overflows a timer, which then fires at once. */
const mostIdleTimeoutMs = 0x7fffffff;

/** Throws a LockwireError `config` that names the value and the limit. */
export function checkRelayOptions(options: RelayOptions): void {
  const { idleTimeoutMs } = options;
  if (idleTimeoutMs === undefined) return;
  if (idleTimeoutMs >= leastIdleTimeoutMs && idleTimeoutMs <= mostIdleTimeoutMs) return;
  throw new LockwireError(
    'config',
    `idleTimeoutMs is ${idleTimeoutMs}, expected ${leastIdleTimeoutMs} to ${mostIdleTimeoutMs}`,
  );
}

export interface GateOptions {
  /** From the stream's open to the last byte of the preface, or of a CONNECT request's head. */
  readonly prefaceTimeoutMs: number;
  /** How long a client that is turned away may take to read why. */
  readonly lingerMs: number;
  /** What is read from it meanwhile. */
  readonly maxDroppedBytes: number;
}

export const gateDefaults: GateOptions = {
  prefaceTimeoutMs: 10_000,
  lingerMs: 2_000,
  maxDroppedBytes: 65_536,
};
