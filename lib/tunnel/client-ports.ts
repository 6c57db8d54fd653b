import type { LockwireError } from '../core/errors.ts';
import type { DialledConnection, Log } from '../core/ports.ts';
import type { DialHandshake, Fresh } from './handshake-dial.ts';
import type { SessionPorts } from './session-ports.ts';

/** Of several clients of one gateway address: which has a session with which gateway process. */
export interface InstanceClaims {
  /** Before a Hello goes to this process: false where another of them has it. Until `release` nobody else gets it. */
  claim(instance: string): boolean;
  release(instance: string): void;
  /** How long a dial for a fresh session waits, that would wait so long by itself. */
  pace(delayMs: number): number;
}

export interface TunnelClientPorts
  extends Omit<SessionPorts, 'onClosed' | 'onGoAway' | 'onRenew' | 'onRenewed' | 'onDetached'> {
  readonly log: Log;
  dial(): Promise<DialledConnection>;
  /** The current token; '' where the TLS client certificate is the credential. */
  token(): Promise<string>;
  /** Where it is one of several. */
  readonly claims?: InstanceClaims;
  /** What binds this instance and its gateway to each other, asked before each dial; nothing where absent. */
  trust?(): Pick<DialHandshake, 'gatewayKey' | 'gatewayFingerprint' | 'enrollment'>;
  onUp(dialled: Fresh): void;
  /** The connection was lost and another took its place; the streams noticed nothing. */
  onResumed(awayMs: number): void;
  /** The session is gone, or dialling failed; another try follows. */
  onDown(error: LockwireError): void;
}
