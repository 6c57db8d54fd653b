import assert from 'node:assert/strict';
import { LockwireError } from '../../lib/core/errors.ts';
import type { Carrier, CarrierEvents } from '../../lib/core/ports.ts';
import type { Random } from './fuzz.ts';
import type { ManualClock } from './tunnel-pair.ts';

/**
 * A network that exists only here: bytes, closes and completed writes each take their own time, connections break in
 * every way there is, and all of it by one seed and one clock.
 */

/** Who hears of a cut: both ends, at moments of their own, or one; or nobody, as of a black hole. */
export const cutKinds = ['reset', 'end', 'client-only', 'gateway-only', 'black-hole'] as const;
export type CutKind = (typeof cutKinds)[number];

export type Delivery = 'whole' | 'parts' | 'one-byte';

const gone = Object.assign(new Error('connection reset'), { code: 'ECONNRESET' });
const silence = Object.assign(new Error('no route'), { code: 'ETIMEDOUT' });

/** One end of a connection: each byte, close and completed write takes a time of its own. */
class SimCarrier implements Carrier {
  peer!: SimCarrier;
  events: CarrierEvents | undefined;
  readonly #clock: ManualClock;
  readonly #random: Random;
  readonly #delivery: Delivery;
  /** Nothing that this end sends arrives any more, and nobody says so. */
  swallowed = false;
  #closed = false;
  #ended = false;
  #lastArrivalMs = 0;

  constructor(clock: ManualClock, random: Random, delivery: Delivery) {
    this.#clock = clock;
    this.#random = random;
    this.#delivery = delivery;
  }

  get closed(): boolean {
    return this.#closed;
  }

  start(events: CarrierEvents): void {
    this.events = events;
  }

  write(chunks: readonly Uint8Array[], done: () => void): void {
    assert.ok(!this.#ended, 'a write after the end');
    const bytes = Buffer.concat(chunks);
    assert.ok(bytes.byteLength > 0, 'an empty write');
    if (this.#closed) return;
    for (const part of this.#parts(bytes)) this.#arrive(peer => peer.data(part));
    // Before or after it arrives: the kernel says that it took the bytes, and no more.
    this.#clock.after(this.#random.int(30), () => {
      if (!this.#closed && !this.swallowed) done();
    });
  }

  end(): void {
    if (this.#ended || this.#closed) return;
    this.#ended = true;
    this.#arrive(peer => peer.end());
  }

  destroy(): void {
    if (this.#closed) return;
    this.breaks(undefined);
    if (!this.swallowed) this.#clock.after(this.#random.int(50), () => this.peer.breaks(gone));
  }

  pause(): void {
    throw new Error('a tunnel never pauses its carrier');
  }

  resume(): void {}

  /** This end sees the connection break; its close comes in a moment. */
  breaks(error: Error | undefined): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#clock.after(this.#random.int(10), () => this.events?.closed(error));
  }

  /** The other end half-closes, as far as this one can see. */
  hearsEnd(): void {
    if (!this.#closed) this.events?.end();
  }

  #parts(bytes: Buffer): Buffer[] {
    if (this.#delivery === 'whole') return [bytes];
    // A long run of single bytes is no better than a short one.
    const single = this.#delivery === 'one-byte' ? Math.min(bytes.byteLength, 200) : 0;
    const parts: Buffer[] = [];
    for (let at = 0; at < bytes.byteLength; ) {
      const size = parts.length < single ? 1 : 1 + this.#random.size(40_000);
      parts.push(bytes.subarray(at, at + size));
      at += size;
    }
    return parts;
  }

  /** In order, each a while after the one before. */
  #arrive(event: (peer: CarrierEvents) => void): void {
    const now = this.#clock.monotonic();
    this.#lastArrivalMs = Math.max(this.#lastArrivalMs, now + 1 + this.#random.int(40));
    this.#clock.after(this.#lastArrivalMs - now, () => {
      if (this.swallowed || this.peer.#closed) return;
      if (this.peer.events) event(this.peer.events);
    });
  }
}

export class SimNetwork {
  readonly #clock: ManualClock;
  readonly #random: Random;
  readonly #delivery: Delivery;
  #connection: readonly [SimCarrier, SimCarrier] | undefined;
  #down: 'up' | 'refused' | 'swallowed' = 'up';

  constructor(clock: ManualClock, random: Random, delivery: Delivery) {
    this.#clock = clock;
    this.#random = random;
    this.#delivery = delivery;
  }

  /** A new connection, which is what a cut cuts from now on: the end of who dialled, and the other. */
  async connect(): Promise<readonly [near: Carrier, far: Carrier]> {
    await new Promise<void>(resolve => void this.#clock.after(1 + this.#random.int(60), resolve));
    if (this.#down === 'refused') {
      const cause = Object.assign(new Error('refused'), { code: 'ECONNREFUSED' });
      throw new LockwireError('unavailable', 'cannot be reached', { cause });
    }
    if (this.#down === 'swallowed') return await new Promise<never>(() => {});
    const near = new SimCarrier(this.#clock, this.#random, this.#delivery);
    const far = new SimCarrier(this.#clock, this.#random, this.#delivery);
    near.peer = far;
    far.peer = near;
    this.#connection = [near, far];
    return this.#connection;
  }

  cut(kind: CutKind): void {
    if (this.#connection === undefined) return;
    const [near, far] = this.#connection;
    const soon = (event: () => void): void => void this.#clock.after(this.#random.int(200), event);
    if (kind !== 'end') {
      near.swallowed = true;
      far.swallowed = true;
    }
    switch (kind) {
      case 'reset':
        soon(() => near.breaks(gone));
        soon(() => far.breaks(gone));
        return;
      case 'end':
        // What is on its way may still come, but for what comes behind the end.
        soon(() => near.hearsEnd());
        soon(() => far.hearsEnd());
        return;
      case 'client-only':
        return soon(() => near.breaks(gone));
      case 'gateway-only':
        // By silence, as where its own pings found out: what is closed it keeps for seconds only.
        return soon(() => far.breaks(silence));
      case 'black-hole':
        return;
    }
  }

  /** Nothing gets through for a while. */
  outage(ms: number, how: 'refused' | 'swallowed'): void {
    this.#down = how;
    this.#clock.after(ms, () => {
      if (this.#down === how) this.#down = 'up';
    });
  }

  heal(): void {
    this.#down = 'up';
  }
}
