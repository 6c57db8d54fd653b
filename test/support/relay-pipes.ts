/** In-memory carriers that behave like sockets: bounded buffers, pause and resume, half-close, abort. */
import type { Carrier, CarrierEvents } from '../../lib/core/ports.ts';

/** How bytes arrive: as they were sent, late and cut anywhere, or one at a time. */
export type DeliveryMode = 'plain' | 'delayed' | 'one-byte';

export const deliveryModes: readonly DeliveryMode[] = ['plain', 'delayed', 'one-byte'];

/** Runs a step later, never at once. Steps of one pipe are asked for one after the other. */
export type Schedule = (step: () => void) => void;

export interface PipeOptions {
  readonly mode?: DeliveryMode;
  /** What one direction holds between the two ends, like a kernel's socket buffer. 64 KiB. */
  readonly bufferBytes?: number;
  /** Largest chunk that is delivered. 16 KiB, as TLS does. */
  readonly readBytes?: number;
  readonly schedule?: Schedule;
}

/** Two ends of one connection in memory. */
export function carrierPair(options: PipeOptions = {}): { left: Carrier; right: Carrier } {
  const { mode = 'plain', schedule = setImmediate } = options;
  const left = new PipeCarrier(options);
  const right = new PipeCarrier(options);
  left.peer = right;
  right.peer = left;
  return { left: inMode(left, mode, schedule), right: inMode(right, mode, schedule) };
}

class PipeCarrier implements Carrier {
  peer: PipeCarrier | undefined;
  readonly #bufferBytes: number;
  readonly #readBytes: number;
  readonly #schedule: Schedule;
  #events: CarrierEvents | undefined;
  /** What the peer sent and this end has not read. */
  #inbox: Uint8Array[] = [];
  #inboxBytes = 0;
  #inboxEnd: 'open' | 'waiting' | 'delivered' = 'open';
  /** The one write in flight: what did not fit into the peer's inbox. */
  #waiting: Uint8Array[] = [];
  #done: (() => void) | undefined;
  #ended = false;
  #endSent = false;
  #paused = false;
  #pumping = false;
  #state: 'open' | 'closing' | 'closed' = 'open';
  #error: Error | undefined;

  constructor(options: PipeOptions = {}) {
    this.#bufferBytes = options.bufferBytes ?? 65_536;
    this.#readBytes = options.readBytes ?? 16_384;
    this.#schedule = options.schedule ?? setImmediate;
  }

  start(events: CarrierEvents): void {
    if (this.#events) throw new Error('started twice');
    this.#events = events;
    if (this.#state === 'closing') this.#schedule(() => this.#emitClosed());
    else this.#pump();
  }

  write(chunks: readonly Uint8Array[], done: () => void): void {
    if (this.#done) throw new Error('a second write before the first was done');
    if (this.#ended) throw new Error('write after end');
    if (this.#state !== 'open') return;
    this.#waiting = [...chunks];
    this.#done = done;
    this.#send();
  }

  end(): void {
    if (this.#ended || this.#state !== 'open') return;
    this.#ended = true;
    this.#send();
  }

  destroy(abort = false): void {
    if (this.#state !== 'open') return;
    this.#close(undefined);
    if (abort) this.peer?.reset();
    else this.peer?.receiveEnd();
  }

  pause(): void {
    this.#paused = true;
  }

  resume(): void {
    this.#paused = false;
    this.#pump();
  }

  /** The peer's side of `destroy(true)`: what was not read yet is lost, as with a RST. */
  reset(): void {
    this.#close(new Error('reset by peer'));
  }

  receiveEnd(): void {
    if (this.#inboxEnd !== 'open') return;
    this.#inboxEnd = 'waiting';
    this.#pump();
  }

  /** Takes as much as fits, copied now: a chunk that changes while it waits is seen. */
  receive(chunk: Uint8Array): number {
    const room = Math.min(this.#bufferBytes - this.#inboxBytes, chunk.byteLength);
    if (room <= 0) return 0;
    this.#inbox.push(new Uint8Array(chunk.subarray(0, room)));
    this.#inboxBytes += room;
    this.#pump();
    return room;
  }

  /** The peer has read: there is room again. */
  roomMade(): void {
    this.#send();
  }

  #send(): void {
    const { peer } = this;
    if (this.#state !== 'open' || !peer) return;
    if (this.#waiting.length > 0 && peer.#state !== 'open') {
      this.#close(new Error('broken pipe'));
      return;
    }
    for (let chunk = this.#waiting[0]; chunk; chunk = this.#waiting[0]) {
      const taken = peer.receive(chunk);
      if (taken < chunk.byteLength) {
        this.#waiting[0] = chunk.subarray(taken);
        return;
      }
      this.#waiting.shift();
    }
    this.#sent();
  }

  #sent(): void {
    const done = this.#done;
    this.#done = undefined;
    if (done) this.#schedule(() => (this.#state === 'open' ? done() : undefined));
    if (!this.#ended || this.#endSent) return;
    this.#endSent = true;
    this.peer?.receiveEnd();
    this.#closeWhenBothEnded();
  }

  #pump(): void {
    if (this.#pumping) return;
    this.#pumping = true;
    this.#schedule(() => {
      this.#pumping = false;
      this.#deliver();
    });
  }

  /** One round of reads: at most 64 KiB, as a socket does. */
  #deliver(): void {
    for (let left = 65_536; left > 0 && this.#readable() && this.#inboxBytes > 0; ) {
      const chunk = this.#takeInbox();
      left -= chunk.byteLength;
      this.#events?.data(chunk);
      this.peer?.roomMade();
    }
    if (!this.#readable()) return;
    if (this.#inboxBytes > 0) this.#pump();
    else if (this.#inboxEnd === 'waiting') this.#deliverEnd();
  }

  #readable(): boolean {
    return this.#events !== undefined && !this.#paused && this.#state === 'open';
  }

  #takeInbox(): Uint8Array {
    const first = this.#inbox[0] as Uint8Array;
    const chunk = first.subarray(0, this.#readBytes);
    if (chunk.byteLength === first.byteLength) this.#inbox.shift();
    else this.#inbox[0] = first.subarray(chunk.byteLength);
    this.#inboxBytes -= chunk.byteLength;
    return chunk;
  }

  #deliverEnd(): void {
    this.#inboxEnd = 'delivered';
    this.#events?.end();
    this.#closeWhenBothEnded();
  }

  #closeWhenBothEnded(): void {
    if (this.#endSent && this.#inboxEnd === 'delivered') this.#close(undefined);
  }

  #close(error: Error | undefined): void {
    if (this.#state !== 'open') return;
    this.#state = 'closing';
    this.#error = error;
    this.#inbox = [];
    this.#inboxBytes = 0;
    this.#waiting = [];
    this.#done = undefined;
    this.peer?.roomMade();
    if (this.#events) this.#schedule(() => this.#emitClosed());
  }

  #emitClosed(): void {
    if (this.#state !== 'closing') return;
    this.#state = 'closed';
    this.#events?.closed(this.#error);
  }
}

/** A carrier, of memory or a socket, whose bytes arrive in another way. */
export function inMode(carrier: Carrier, mode: DeliveryMode, schedule: Schedule = setImmediate): Carrier {
  return mode === 'plain' ? carrier : new ModeCarrier(carrier, mode, schedule);
}

/** One-byte deliveries in one step: a step each would take a second for 100 KiB. */
const oneByteBurst = 128;

class ModeCarrier implements Carrier {
  readonly #inner: Carrier;
  readonly #mode: 'delayed' | 'one-byte';
  readonly #schedule: Schedule;
  #events: CarrierEvents | undefined;
  #queue: Uint8Array[] = [];
  #end: 'open' | 'waiting' | 'delivered' = 'open';
  #closed: { error: Error | undefined } | undefined;
  #paused = false;
  #pumping = false;
  #gone = false;
  #seed = 99;

  constructor(inner: Carrier, mode: 'delayed' | 'one-byte', schedule: Schedule) {
    this.#inner = inner;
    this.#mode = mode;
    this.#schedule = schedule;
  }

  start(events: CarrierEvents): void {
    this.#events = events;
    this.#inner.start({
      data: chunk => {
        this.#queue.push(chunk);
        // One read at a time: what is queued here stays bounded.
        this.#inner.pause();
        this.#pump();
      },
      end: () => {
        this.#end = 'waiting';
        this.#pump();
      },
      closed: error => {
        this.#closed = { error };
        if (error) this.#queue = [];
        this.#pump();
      },
    });
  }

  write(chunks: readonly Uint8Array[], done: () => void): void {
    this.#inner.write(chunks, this.#mode === 'delayed' ? () => this.#later(done) : done);
  }

  end(): void {
    this.#inner.end();
  }

  destroy(abort?: boolean): void {
    this.#gone = true;
    this.#queue = [];
    this.#inner.destroy(abort);
  }

  pause(): void {
    this.#paused = true;
  }

  resume(): void {
    this.#paused = false;
    this.#pump();
  }

  #random(below: number): number {
    this.#seed = (Math.imul(this.#seed, 1103515245) + 12345) & 0x7fffffff;
    return (this.#seed >>> 8) % below;
  }

  #later(step: () => void, hops: number = 1 + this.#random(3)): void {
    this.#schedule(() => (hops > 1 ? this.#later(step, hops - 1) : step()));
  }

  #pump(): void {
    if (this.#pumping) return;
    this.#pumping = true;
    const step = (): void => {
      this.#pumping = false;
      this.#deliver();
    };
    if (this.#mode === 'delayed') this.#later(step);
    else this.#schedule(step);
  }

  #deliver(): void {
    const burst = this.#mode === 'one-byte' ? oneByteBurst : 1;
    for (let i = 0; i < burst && this.#readable() && this.#queue.length > 0; i += 1) this.#deliverOne();
    if (this.#queue.length > 0) {
      if (this.#readable()) this.#pump();
      return;
    }
    if (this.#readable() && this.#end === 'waiting') {
      this.#end = 'delivered';
      this.#events?.end();
    }
    const ended = this.#end !== 'waiting' || this.#gone || this.#closed?.error !== undefined;
    if (this.#closed && ended) this.#emitClosed(this.#closed.error);
    else if (this.#readable()) this.#inner.resume();
  }

  #deliverOne(): void {
    const first = this.#queue[0] as Uint8Array;
    const size = this.#mode === 'one-byte' ? 1 : 1 + this.#random(first.byteLength);
    if (size === first.byteLength) this.#queue.shift();
    else this.#queue[0] = first.subarray(size);
    this.#events?.data(first.subarray(0, size));
  }

  #readable(): boolean {
    return !this.#paused && !this.#gone;
  }

  #emitClosed(error: Error | undefined): void {
    this.#closed = undefined;
    this.#events?.closed(error);
  }
}
