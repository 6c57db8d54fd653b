import type { Clock } from '../core/clock.ts';
import type { CloseReason } from '../core/session.ts';
import type { Open, Role } from '../wire/tunnel/frames.ts';
import type { TunnelLimits } from './options.ts';
import type { TunnelStream } from './stream.ts';
import type { WindowPool } from './window-pool.ts';

export interface SessionFacts {
  /** As Welcome names it. */
  readonly id: string;
  /** Which end of the connection we are. */
  readonly side: 'dialler' | 'gateway';
  /** The dialling end's. */
  readonly role: Role;
  /** What the peer lets a stream carry before its Opened. */
  readonly peerEarlyWindow: number;
  /** First estimate, from the handshake. */
  readonly roundTripMs: number;
  /** How long it waits for another connection when one is lost; 0 where it ends with its connection. */
  readonly patienceMs: number;
}

export interface SessionPorts {
  readonly clock: Clock;
  readonly limits: TunnelLimits;
  readonly pool: WindowPool;
  /** The peer asks for a stream: `accept` it or `reset` it within `openTimeoutMs`. */
  onOpen(stream: TunnelStream, request: Open): void;
  onNotice(notice: CloseReason): void;
  /** The peer takes no new streams any more. */
  onGoAway(reason: CloseReason): void;
  /** A new credential in place of the one that runs out: verifies it, says until when it holds; rejects to refuse it. */
  onRenew(token: string): Promise<{ readonly expiresAt: number }>;
  /** The gateway took the renewed credential. */
  onRenewed(expiresAt: number): void;
  /** The gateway says anew how many of its processes stand behind the address. */
  onInstances?(instances: number): void;
  /** The connection is lost; `resume` brings another, or patience runs out. */
  onDetached(reason: CloseReason): void;
  /** The last event. */
  onClosed(reason: CloseReason): void;
}
