/** Bounds of the AutoGen-speaking host of `lockwire up`, and of the client of `lockwire try`. */

export interface HostLimits {
  /** Longest gRPC message in either direction; AutoGen's own limit, which its workers cannot pass either. */
  readonly maxMessageBytes: number;
  /** Workers (client-ids) at a time. */
  readonly maxClients: number;
  readonly maxAgentTypes: number;
  readonly maxSubscriptions: number;
  /** Longest client-id, agent type, agent key, topic type or subscription id. */
  readonly maxNameBytes: number;
  /** Unanswered RPCs of one worker. */
  readonly maxPendingRequests: number;
  /** Unanswered RPCs of all workers. */
  readonly maxPendingRequestsInAll: number;
  /** Bytes that wait for one slow worker; from here on whoever sends to it is read no further. */
  readonly maxQueuedBytes: number;
  /** A worker whose queue is full and that takes nothing for so long is let go, so that its senders move again. */
  readonly stallTimeoutMs: number;
  /** What a worker registered without an open channel is forgotten after this. */
  readonly orphanTimeoutMs: number;
  /** Streams of one HTTP/2 connection: workers of one process share one. */
  readonly maxConcurrentStreams: number;
  /** How long `close` lets calls end by themselves. */
  readonly closeGraceMs: number;
}

export const defaultHostLimits: HostLimits = {
  maxMessageBytes: 4 * 1024 * 1024,
  maxClients: 1_000,
  maxAgentTypes: 10_000,
  maxSubscriptions: 10_000,
  maxNameBytes: 1_024,
  maxPendingRequests: 10_000,
  maxPendingRequestsInAll: 100_000,
  maxQueuedBytes: 8 * 1024 * 1024,
  stallTimeoutMs: 30_000,
  orphanTimeoutMs: 30_000,
  maxConcurrentStreams: 256,
  closeGraceMs: 1_000,
};

export interface TryLimits {
  readonly maxRpcs: number;
  readonly maxPublishes: number;
  /** Largest payload that is tried: AutoGen's 4 MiB, less the envelope. */
  readonly maxPayloadBytes: number;
}

export const tryLimits: TryLimits = {
  maxRpcs: 100_000,
  maxPublishes: 100_000,
  maxPayloadBytes: 4 * 1024 * 1024 - 4_096,
};

export interface DevelopmentLimits {
  /** Life of the development certificates. */
  readonly certificateLifeMs: number;
  /** Material with less than this part of its life left is made anew at the next start. */
  readonly remakeBelow: number;
  /** Certificates begin this much earlier, for clocks that are a little behind. */
  readonly backdateMs: number;
  readonly tokenLifeMs: number;
  readonly maxTokenLifeMs: number;
  /** Part of a token's life after which it is replaced. */
  readonly renewAt: number;
  /** The wall clock is looked at this often: a timer stands still while the machine sleeps. */
  readonly renewalCheckMs: number;
  /** Largest file that is read back. */
  readonly maxFileBytes: number;
}

export const developmentLimits: DevelopmentLimits = {
  certificateLifeMs: 30 * 24 * 60 * 60_000,
  remakeBelow: 0.2,
  backdateMs: 5 * 60_000,
  tokenLifeMs: 60 * 60_000,
  maxTokenLifeMs: 24 * 60 * 60_000,
  renewAt: 0.8,
  renewalCheckMs: 30_000,
  maxFileBytes: 65_536,
};
