import { LockwireError } from '../core/errors.ts';
import type { CloseReason } from '../core/session.ts';
import { TokenBucket } from '../core/token-bucket.ts';
import type { Role } from '../wire/tunnel/frames.ts';
import { maxStreamId } from '../wire/tunnel/limits.ts';
import { LateFrames } from './late-frames.ts';
import type { TunnelLimits } from './options.ts';
import type { StreamFrame, TunnelStream } from './stream.ts';

/**
 * The streams of a session by their numbers: who may open the next, how many there may be, and which frames may still
 * come for one that is gone. Says what is wrong; what follows from it is the session's.
 */
export class StreamTable {
  readonly #side: 'dialler' | 'gateway';
  readonly #role: Role;
  readonly #limits: TunnelLimits;
  readonly #streams = new Map<number, TunnelStream>();
  readonly #late: LateFrames;
  /** Ours or the peer's: one of the two ends opens. */
  readonly #opens: TokenBucket;
  readonly #refusedOpens: TokenBucket;
  #lastOwn: number;
  #lastPeer = 0;

  constructor(side: 'dialler' | 'gateway', role: Role, limits: TunnelLimits, nowMs: number) {
    this.#side = side;
    this.#role = role;
    this.#limits = limits;
    this.#late = new LateFrames(limits.maxRememberedResets);
    const { opensPerSecond, opensBurst } = limits;
    this.#opens = new TokenBucket(opensPerSecond, opensBurst, nowMs);
    this.#refusedOpens = new TokenBucket(opensPerSecond, opensBurst, nowMs);
    this.#lastOwn = side === 'dialler' ? -1 : 0;
  }

  get size(): number {
    return this.#streams.size;
  }

  /** The last stream that the peer opened. */
  get lastPeer(): number {
    return this.#lastPeer;
  }

  get(id: number): TunnelStream | undefined {
    return this.#streams.get(id);
  }

  values(): IterableIterator<TunnelStream> {
    return this.#streams.values();
  }

  add(stream: TunnelStream): void {
    this.#streams.set(stream.id, stream);
  }

  /** `lateCredit` where we reset it: what the peer may still send, not having heard of it. */
  remove(id: number, lateCredit: number | undefined): void {
    this.#streams.delete(id);
    if (lateCredit !== undefined) this.#late.remember(id, lateCredit);
  }

  abandonAll(reason: CloseReason): void {
    for (const stream of [...this.#streams.values()]) stream.abandon(reason);
  }

  /** The role says which end opens. */
  mayOpen(who: 'us' | 'peer'): boolean {
    const opener = this.#role === 'connect' ? 'dialler' : 'gateway';
    return (who === 'us') === (this.#side === opener);
  }

  /** The number of the stream that we open now. Throws `limit`, `unavailable`. */
  nextOwn(nowMs: number): number {
    const { maxStreams, opensPerSecond } = this.#limits;
    if (this.#streams.size >= maxStreams)
      throw new LockwireError('limit', `${maxStreams} streams are open, the limit`);
    if (this.#lastOwn + 2 > maxStreamId)
      throw new LockwireError('unavailable', 'the session is out of stream numbers');
    if (!this.#opens.take(nowMs))
      throw new LockwireError('limit', `more than ${opensPerSecond} opens a second, the limit`);
    this.#lastOwn += 2;
    return this.#lastOwn;
  }

  /** Takes the number of a stream that the peer opens; what is wrong with it, if anything. */
  peerOpens(id: number): string | undefined {
    if (!this.mayOpen('peer')) return `open against role ${this.#role}`;
    const parity = this.#side === 'dialler' ? 0 : 1;
    if (id % 2 !== parity || id <= this.#lastPeer) return `open of stream ${id} after ${this.#lastPeer}`;
    this.#lastPeer = id;
    return undefined;
  }

  /** Why the stream that the peer has just opened is refused, if it is. */
  openRefusal(nowMs: number): CloseReason | undefined {
    const { maxStreams, maxPendingOpens, opensPerSecond } = this.#limits;
    if (!this.#opens.take(nowMs))
      return { code: 'limit', text: `more than ${opensPerSecond} opens a second, the limit` };
    if (this.#streams.size > maxStreams)
      return { code: 'limit', text: `${maxStreams} streams are open, the limit` };
    let pending = 0;
    for (const stream of this.#streams.values()) if (stream.pending) pending += 1;
    if (pending > maxPendingOpens)
      return { code: 'limit', text: `${maxPendingOpens} opens are pending, the limit` };
    return undefined;
  }

  /** False where the peer was refused more often than is sane. */
  mayRefuse(nowMs: number): boolean {
    return this.#refusedOpens.take(nowMs);
  }

  /**
   * What is wrong with a frame of a stream that is not, or no longer, there, if anything. Credit, Opened and Reset may
   * cross our own last frame; data and End may only follow where we reset the stream and the peer had not heard of it.
   */
  lateFault(id: number, type: StreamFrame['type'] | 'data', bytes: number): string | undefined {
    const ours = id % 2 === (this.#side === 'dialler' ? 1 : 0);
    if (id > (ours ? this.#lastOwn : this.#lastPeer)) return `${type} on stream ${id}, which is not open`;
    if (this.#mayBeLate(id, type, bytes)) return undefined;
    return `${type} on stream ${id}, which is closed or beyond its credit`;
  }

  #mayBeLate(id: number, type: StreamFrame['type'] | 'data', bytes: number): boolean {
    switch (type) {
      case 'data':
        return this.#late.data(id, bytes);
      case 'end':
        return this.#late.last(id);
      case 'reset':
        this.#late.last(id);
        return true;
      case 'credit':
      case 'opened':
        return true;
    }
  }
}
