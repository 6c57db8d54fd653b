import { LockwireError } from '../../core/errors.ts';
import { type HpackLimits, hpackDefaults } from '../../wire/hpack/decoder.ts';
import { type FrameLimits, frameDefaults } from '../../wire/http2/decode.ts';

/** Bounds of one HTTP/2 connection, whichever end of it we are. */
export interface Http2Limits {
  readonly frames: FrameLimits;
  readonly headers: HpackLimits;
  /** Streams that a client may have open at a time (RFC 9113 section 5.1.2). */
  readonly maxConcurrentStreams: number;
  /** First receive window of a stream: what a stuck one may hold. */
  readonly streamWindowBytes: number;
  /** What a window may grow to while its bytes are taken quickly. */
  readonly maxStreamWindowBytes: number;
  /** Receive window of the connection; given back on receipt, so it holds nothing. */
  readonly connectionWindowBytes: number;
  /** Bytes written and not flushed from which DATA waits in its stream. */
  readonly outputMarkBytes: number;
  /** As long as this much is not flushed the peer reads nothing: it is turned away. DATA stays below the mark. */
  readonly maxOutputBytes: number;
  /** From our SETTINGS to their acknowledgement (RFC 9113 section 6.5.3). */
  readonly settingsTimeoutMs: number;
  /** From the first byte of a frame other than DATA, with its CONTINUATIONs, to its last; of the preface too. */
  readonly frameTimeoutMs: number;
  /** Of a peer that is probed: nothing was read for so long while streams live, or a request was answered by nothing; then it is sent a PING. */
  readonly keepaliveIntervalMs: number;
  /** Nothing was read for so long after the PING: the connection is over. */
  readonly keepaliveTimeoutMs: number;
  /** Between two PINGs with neither HEADERS nor DATA of the peer's before the second: gRPC's servers permit one in 5 minutes. */
  readonly keepaliveSpacingMs: number;
  /** PINGs that come sooner than that, for something new that is asked: gRPC's servers permit 2. */
  readonly maxHastyPings: number;
  /** Between our GOAWAY for an error and the end of the connection. */
  readonly lingerMs: number;
  /** How long a stream that we reset takes a place among those of its upstream connection. */
  readonly resetCoolMs: number;
  /** Streams that we reset and whose late frames are ignored. */
  readonly maxRememberedResets: number;
  readonly flood: FloodLimits;
  /** Informational responses (1xx) of one request. */
  readonly maxInformational: number;
}

/** What a peer may have us do for nothing: a burst, and so many a second. */
export interface FloodLimits {
  /** Streams that it resets, or makes us reset (CVE-2023-44487, CVE-2025-8671). */
  readonly resets: Allowance;
  /** SETTINGS, PING, PRIORITY, unknown frames, DATA without a byte: each costs us and moves nothing. */
  readonly idleFrames: Allowance;
}

export interface Allowance {
  readonly burst: number;
  readonly perSecond: number;
}

export const http2Defaults: Http2Limits = {
  frames: frameDefaults,
  headers: hpackDefaults,
  maxConcurrentStreams: 256,
  streamWindowBytes: 65_536,
  maxStreamWindowBytes: 1_048_576,
  connectionWindowBytes: 8_388_608,
  outputMarkBytes: 131_072,
  maxOutputBytes: 1_048_576,
  settingsTimeoutMs: 10_000,
  frameTimeoutMs: 10_000,
  keepaliveIntervalMs: 15_000,
  keepaliveTimeoutMs: 10_000,
  keepaliveSpacingMs: 310_000,
  maxHastyPings: 1,
  lingerMs: 1_000,
  resetCoolMs: 100,
  maxRememberedResets: 1_024,
  flood: {
    resets: { burst: 500, perSecond: 100 },
    idleFrames: { burst: 2_000, perSecond: 500 },
  },
  maxInformational: 8,
};

/** Throws a LockwireError `config` that names the value and the limit. */
export function checkHttp2Limits(limits: Http2Limits): void {
  const { streamWindowBytes, maxStreamWindowBytes, connectionWindowBytes } = limits;
  // RFC 9113 section 6.9.2: a peer counts on 65,535 until it has read our SETTINGS.
  atLeast('streamWindowBytes', streamWindowBytes, 65_535);
  atLeast('maxStreamWindowBytes', maxStreamWindowBytes, streamWindowBytes);
  atLeast('connectionWindowBytes', connectionWindowBytes, 65_535);
}

function atLeast(name: string, value: number, least: number): void {
  if (value >= least && value <= 0x7fffffff) return;
  throw new LockwireError('config', `${name} is ${value}, expected ${least} to ${0x7fffffff}`);
}
