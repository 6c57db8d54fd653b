import type { Clock, Timer } from '../../core/clock.ts';
import type { Http2Limits } from './options.ts';

/** What a keepalive sees and does of its connection. */
export interface KeepaliveHost {
  readonly limits: Http2Limits;
  readonly streamCount: number;
  /** HEADERS and DATA so far: those that went out, and those that came. */
  readonly framesOut: number;
  readonly framesIn: number;
  /** What was written and is not flushed yet. */
  readonly unflushedBytes: number;
  sendPing(): void;
  /** The peer is gone, whatever its socket says. */
  silent(text: string): void;
}

/** A PING that was sent and that nothing was read after. */
interface Probe {
  /** Up to and with itself. */
  unflushedBytes: number;
  /** It was sent, or behind much else on a slow line some of that went out. */
  sinceMs: number;
}

/** A timer that is so late is our own doing: what came meanwhile has not been read yet. */
const lateMs = 1_000;

/**
 * Finds a server that has gone without a word: no FIN, no RST, or a process that stands still under a TCP that goes on.
 *
 * ```
 *   idle ──a stream is opened──▶ watched ──silent for intervalMs──▶ probed ──nothing for timeoutMs──▶ silent
 *     ◀──no stream, nothing asked──┘ ▲────────── anything is read ─────┘
 * ```
 *
 * gRPC's servers close a connection for `too_many_pings`. As they count it, the first PING after HEADERS or DATA of
 * theirs is free; another one is a strike unless it comes 5 minutes after the one before (2 hours where no stream is
 * open), and the third strike is the last. So a PING comes soon only where it may be free, and once more where something
 * was asked since; further ones have `spacingMs` between them. One strike is left for a PING that crosses with their
 * HEADERS or DATA. A connection without streams is not probed, unless what was asked on it has never been answered: calls
 * that end by their own deadline, one by one, must not keep a hole in use.
 */
export class Keepalive {
  readonly #clock: Clock;
  readonly #host: KeepaliveHost;
  /** Something is watched while it runs. */
  #timer: Timer | undefined;
  #dueMs = 0;
  #heardMs = 0;
  /** `framesOut` when something was read last. */
  #outWhenHeard = 0;
  /** Since when a frame of ours has been followed by nothing. */
  #askedMs: number | undefined;
  #probe: Probe | undefined;
  /** Of the last PING since `#movedFrames`, and how many came sooner than a server likes. */
  #pingedMs: number = Number.NEGATIVE_INFINITY;
  #hastyPings = 0;
  #movedFrames = 0;

  constructor(clock: Clock, host: KeepaliveHost) {
    this.#clock = clock;
    this.#host = host;
  }

  /** A stream is about to be opened. */
  asked(): void {
    if (this.#timer === undefined) {
      this.#heardMs = this.#clock.monotonic();
      this.#outWhenHeard = this.#host.framesOut;
      this.#askedMs = this.#heardMs;
      this.#arm(this.#heardMs, this.#host.limits.keepaliveIntervalMs);
    } else this.#askedMs ??= this.#clock.monotonic();
  }

  /** Something was read. */
  heard(): void {
    if (this.#timer === undefined) return;
    this.#heardMs = this.#clock.monotonic();
    this.#outWhenHeard = this.#host.framesOut;
    this.#askedMs = undefined;
    this.#probe = undefined;
  }

  flushed(bytes: number): void {
    if (this.#probe === undefined || this.#probe.unflushedBytes <= 0) return;
    this.#probe.unflushedBytes -= bytes;
    this.#probe.sinceMs = this.#clock.monotonic();
  }

  close(): void {
    this.#timer?.cancel();
    this.#timer = undefined;
  }

  #arm(nowMs: number, delayMs: number): void {
    this.#dueMs = nowMs + delayMs;
    this.#timer = this.#clock.after(delayMs, () => this.#look());
  }

  #look(): void {
    const nowMs = this.#clock.monotonic();
    this.#timer = undefined;
    if (this.#probe !== undefined) return this.#lookAtProbe(this.#probe, nowMs);
    this.#note(nowMs);
    const nextMs = Math.min(this.#quietMs(), this.#hastyMs());
    if (nextMs === Number.POSITIVE_INFINITY) return;
    if (nextMs <= nowMs) return this.#ping(nowMs);
    // What is asked meanwhile may have it come sooner.
    this.#arm(nowMs, Math.min(nextMs - nowMs, this.#host.limits.keepaliveIntervalMs));
  }

  #note(nowMs: number): void {
    const { framesIn, framesOut } = this.#host;
    if (framesIn !== this.#movedFrames) {
      this.#movedFrames = framesIn;
      this.#pingedMs = Number.NEGATIVE_INFINITY;
      this.#hastyPings = 0;
    }
    if (framesOut !== this.#outWhenHeard) this.#askedMs ??= nowMs;
  }

  /** When a PING is due for streams that live; infinite where there are none. */
  #quietMs(): number {
    const { keepaliveIntervalMs, keepaliveSpacingMs } = this.#host.limits;
    if (this.#host.streamCount === 0) return Number.POSITIVE_INFINITY;
    return Math.max(this.#heardMs + keepaliveIntervalMs, this.#pingedMs + keepaliveSpacingMs);
  }

  /** The same for what was asked. */
  #hastyMs(): number {
    const { keepaliveIntervalMs, maxHastyPings } = this.#host.limits;
    if (this.#askedMs === undefined || this.#hastyPings >= maxHastyPings) return Number.POSITIVE_INFINITY;
    return this.#askedMs + keepaliveIntervalMs;
  }

  #ping(nowMs: number): void {
    const { keepaliveSpacingMs, keepaliveTimeoutMs } = this.#host.limits;
    const free = this.#pingedMs === Number.NEGATIVE_INFINITY;
    const spaced = nowMs >= this.#pingedMs + keepaliveSpacingMs && this.#host.streamCount > 0;
    if (!free && !spaced) this.#hastyPings += 1;
    this.#pingedMs = nowMs;
    this.#host.sendPing();
    this.#probe = { unflushedBytes: this.#host.unflushedBytes, sinceMs: nowMs };
    this.#arm(nowMs, keepaliveTimeoutMs);
  }

  #lookAtProbe(probe: Probe, nowMs: number): void {
    const { keepaliveTimeoutMs } = this.#host.limits;
    if (nowMs > this.#dueMs + lateMs) probe.sinceMs = nowMs;
    const leftMs = probe.sinceMs + keepaliveTimeoutMs - nowMs;
    if (leftMs > 0) return this.#arm(nowMs, leftMs);
    const silentMs = Math.round(nowMs - this.#heardMs);
    this.#host.silent(`silent for ${silentMs} ms, and no answer to a PING within ${keepaliveTimeoutMs} ms`);
  }
}
