import type { Clock } from '../../core/clock.ts';
import { LockwireError } from '../../core/errors.ts';
import type { CallTarget, Log } from '../../core/ports.ts';
import { defaultMaxGrpcMessageBytes } from '../../wire/grpc/envelope.ts';
import type { AutogenMetrics } from './metrics.ts';

/** How the messages of one AutoGen host are treated, and the bounds of all that is kept about them. */
export interface AutogenOptions {
  /** The target's configured name: in policy resources and metric labels. */
  readonly target: string;
  /** Longest message from a client, and to one, as it goes out: after request ids were rewritten. */
  readonly maxMessageBytes: { readonly up: number; readonly down: number };
  /** Every worker of the host comes through here: an RPC to a type that nobody registered has no other taker. */
  readonly exclusive: boolean;
  /** Whether the prefix `""`, which hears every topic, may be subscribed to where a policy permits it. */
  readonly emptyPrefix: boolean;
  /** Unanswered RPCs of one client, and of all. */
  readonly pendingRequests: number;
  readonly pendingRequestsInAll: number;
  /** From an RPC to its answer; then the gateway answers with an error. */
  readonly requestTimeoutMs: number;
  /** Requests that one client was handed and has not answered. */
  readonly unansweredRequests: number;
  /** Messages kept for one client while the host, or whoever they are for, is being reached anew. */
  readonly heldBytes: number;
  readonly heldMessages: number;
  /** How long registrations are tried anew, and messages wait for that. */
  readonly healForMs: number;
  /** Between two tries, and from the second on: doubles up to the latter. */
  readonly firstRetryMs: number;
  readonly maxRetryMs: number;
  /** A client whose channel has ended is remembered for so long. */
  readonly reopenWithinMs: number;
  /** One unary call, ours to the host included. */
  readonly unaryTimeoutMs: number;
  /** Unary calls of one client that wait for their turn. */
  readonly waitingCalls: number;
  /** Bytes that a client has not taken from which whoever sends to it is slowed. */
  readonly congestedBytes: number;
  /** A congested client that takes nothing for so long is let go, so that its senders move again. */
  readonly stallTimeoutMs: number;
  readonly maxClients: number;
  readonly maxClientsPerPrincipal: number;
  readonly maxAgentTypesPerClient: number;
  readonly maxSubscriptionsPerClient: number;
  /** Longest client-id, agent type, topic type or subscription id. */
  readonly maxNameBytes: number;
  readonly maxRequestIdBytes: number;
  /** Decisions remembered for one client. */
  readonly decisions: number;
}

export const autogenDefaults: Omit<AutogenOptions, 'target'> = {
  maxMessageBytes: { up: defaultMaxGrpcMessageBytes, down: defaultMaxGrpcMessageBytes },
  exclusive: false,
  emptyPrefix: false,
  pendingRequests: 1_024,
  pendingRequestsInAll: 65_536,
  requestTimeoutMs: 600_000,
  unansweredRequests: 8_192,
  heldBytes: 1_048_576,
  heldMessages: 1_000,
  healForMs: 30_000,
  firstRetryMs: 100,
  maxRetryMs: 5_000,
  reopenWithinMs: 60_000,
  unaryTimeoutMs: 30_000,
  waitingCalls: 64,
  congestedBytes: 32_768,
  stallTimeoutMs: 30_000,
  maxClients: 1_000,
  maxClientsPerPrincipal: 250,
  maxAgentTypesPerClient: 256,
  maxSubscriptionsPerClient: 1_024,
  maxNameBytes: 1_024,
  maxRequestIdBytes: 256,
  decisions: 256,
};

export interface AutogenPorts {
  readonly clock: Clock;
  readonly log: Log;
  /** One of the process, for all its targets. */
  readonly metrics: AutogenMetrics;
  readonly target: CallTarget;
  /** What half-read messages may take, in all and of one principal: the process has 64 MiB. */
  readonly buffers: BufferBudget;
}

export interface BufferBudget {
  share(principal: string): BufferShare;
}

export interface BufferShare {
  /** False where there is no room for so much more. */
  take(bytes: number): boolean;
  give(bytes: number): void;
  leave(): void;
}

/** Throws a LockwireError `config` that names the value and the limit. */
export function checkAutogenOptions(options: AutogenOptions): void {
  const { up, down } = options.maxMessageBytes;
  for (const [name, value] of Object.entries({
    ...options,
    'maxMessageBytes.up': up,
    'maxMessageBytes.down': down,
  }))
    if (typeof value === 'number' && !(value >= 1 && value <= 0x7fffffff))
      throw new LockwireError('config', `${name} is ${value}, expected 1 to ${0x7fffffff}`);
}
