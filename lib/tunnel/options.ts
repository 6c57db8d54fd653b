import { baseWindowBytes } from '../core/limits.ts';

/** Limits of one tunnel session. `docs/tunnel.md` has a row for each; each has a test. */
export interface TunnelLimits {
  /** Time from the first byte to Welcome. */
  readonly handshakeTimeoutMs: number;
  /** Streams open at once. */
  readonly maxStreams: number;
  /** Streams asked for and not yet taken up or refused. */
  readonly maxPendingOpens: number;
  /** How long a stream may stay so. */
  readonly openTimeoutMs: number;
  /**
   * Opens a second that may be kept up, and at once: cheap to send, dear to serve (compare CVE-2023-44487). Our own
   * are held to it; a peer's beyond it are refused, and as many refused end the session.
   */
  readonly opensPerSecond: number;
  readonly opensBurst: number;
  /** What a stream may carry before its Opened. */
  readonly earlyWindowBytes: number;
  /** A stream's window once it is open, and the most that it grows to. */
  readonly windowBytes: number;
  readonly maxWindowBytes: number;
  /** What the windows of one session grow by beyond their base, together, out of the process's pool. */
  readonly sessionGrowthBytes: number;
  /** A grown window shrinks back when nothing was taken from the stream for so long. */
  readonly stallMs: number;
  /** Payload of a data frame while other streams wait, and while none does. */
  readonly sharedFrameBytes: number;
  readonly loneFrameBytes: number;
  /** Ack goes out after so many bytes or so long. */
  readonly ackEveryBytes: number;
  readonly ackDelayMs: number;
  /** Sequenced bytes that the peer has not acknowledged: data stops at the first, the session ends at both together. */
  readonly maxUnackedBytes: number;
  readonly maxUnackedControlBytes: number;
  /** Control frames that wait to be written; a session whose peer reads nothing ends here. */
  readonly maxControlQueueBytes: number;
  readonly pingIntervalMs: number;
  readonly pingTimeoutMs: number;
  /** A peer that is silent for so long though it has something to acknowledge is pinged before its time. */
  readonly suspectMs: number;
  readonly pingsPerSecond: number;
  readonly pingsBurst: number;
  readonly noticesPerSecond: number;
  readonly noticesBurst: number;
  /** Renewals: each costs a signature check. */
  readonly renewalsPerSecond: number;
  readonly renewalsBurst: number;
  /** Streams that we reset and whose late frames are let pass. */
  readonly maxRememberedResets: number;
  /** How long a session waits for another connection; 0 ends it with its connection. */
  readonly patienceMs: number;
  /**
   * The same at the gateway where the connection was closed or reset rather than silent: so does the system of a process
   * that was killed, and a client that lives dials again at once.
   */
  readonly closedPatienceMs: number;
  /** How often the session looks at its clocks, and how often while it waits for a word of the peer's. */
  readonly tickMs: number;
  readonly watchTickMs: number;
  /** How long an ended session waits for its last frame to be written. */
  readonly lingerMs: number;
}

export const defaultTunnelLimits: TunnelLimits = {
  handshakeTimeoutMs: 10_000,
  maxStreams: 256,
  maxPendingOpens: 64,
  openTimeoutMs: 30_000,
  opensPerSecond: 64,
  opensBurst: 512,
  earlyWindowBytes: 16_384,
  windowBytes: baseWindowBytes,
  maxWindowBytes: 4 * 1024 * 1024,
  sessionGrowthBytes: 8 * 1024 * 1024,
  stallMs: 5_000,
  sharedFrameBytes: 16_384,
  loneFrameBytes: 65_536,
  ackEveryBytes: 65_536,
  ackDelayMs: 100,
  maxUnackedBytes: 4 * 1024 * 1024,
  maxUnackedControlBytes: 65_536,
  maxControlQueueBytes: 65_536,
  pingIntervalMs: 15_000,
  pingTimeoutMs: 10_000,
  suspectMs: 2_000,
  pingsPerSecond: 2,
  pingsBurst: 20,
  noticesPerSecond: 1,
  noticesBurst: 20,
  renewalsPerSecond: 0.5,
  renewalsBurst: 10,
  maxRememberedResets: 1_024,
  patienceMs: 60_000,
  closedPatienceMs: 4_500,
  tickMs: 5_000,
  watchTickMs: 1_000,
  lingerMs: 2_000,
};

/**
 * Where the session of an expose is wider, at both ends: the streams of all its target's clients meet in it, and one
 * that went away may take many with it at once.
 */
export const exposeLimits: Pick<
  TunnelLimits,
  | 'maxStreams'
  | 'maxPendingOpens'
  | 'opensPerSecond'
  | 'opensBurst'
  | 'maxUnackedControlBytes'
  | 'maxControlQueueBytes'
  | 'maxRememberedResets'
> = {
  maxStreams: 4_096,
  maxPendingOpens: 1_024,
  opensPerSecond: 512,
  opensBurst: 1_024,
  maxUnackedControlBytes: 1024 * 1024,
  maxControlQueueBytes: 1024 * 1024,
  maxRememberedResets: 8_192,
};

/** Memory for receive windows, shared by all sessions of a process. */
export interface WindowPoolLimits {
  /** Base windows are halved once so much is promised, and quartered at twice that. */
  readonly baseBytes: number;
  /** Growth of all windows beyond their base. */
  readonly growthBytes: number;
}

export const defaultWindowPoolLimits: WindowPoolLimits = {
  baseBytes: 16 * 1024 * 1024,
  growthBytes: 16 * 1024 * 1024,
};
