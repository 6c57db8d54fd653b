import type { Carrier, CarrierEvents } from '../../lib/core/ports.ts';

/** One end of an in-memory connection that moves only when a test says so, and only as many bytes as it says. */
export class StepCarrier implements Carrier {
  peer: StepCarrier | undefined;
  events: CarrierEvents | undefined;
  #flight: { readonly bytes: Buffer; at: number; readonly done: () => void } | undefined;
  #ended = false;
  #closed = false;

  /** Bytes that were written and have not come to the peer. */
  get inFlight(): number {
    return this.#flight ? this.#flight.bytes.byteLength - this.#flight.at : 0;
  }

  start(events: CarrierEvents): void {
    this.events = events;
  }

  write(chunks: readonly Uint8Array[], done: () => void): void {
    if (this.#flight) throw new Error('a second write while one is in flight');
    if (this.#ended) throw new Error('a write after the end');
    const bytes = Buffer.concat(chunks);
    if (bytes.byteLength === 0) throw new Error('an empty write');
    this.#flight = { bytes, at: 0, done };
  }

  end(): void {
    this.#ended = true;
  }

  destroy(): void {
    this.#close(undefined);
    if (this.peer) this.peer.#close(new Error('reset'));
  }

  /** This end sees its connection break; the other hears nothing of it, and what it writes goes nowhere. */
  vanish(): void {
    this.#close(new Error('network is unreachable'));
  }

  pause(): void {
    throw new Error('a tunnel never pauses its carrier');
  }

  resume(): void {}

  /** Delivers up to so many bytes to the peer; true where something moved. */
  step(maxBytes: number): boolean {
    const flight = this.#flight;
    if (this.#closed) return false;
    if (flight === undefined) {
      if (!this.#ended) return false;
      this.#ended = false;
      this.#toPeer(events => events.end());
      return true;
    }
    const end = Math.min(flight.bytes.byteLength, flight.at + maxBytes);
    const chunk = flight.bytes.subarray(flight.at, end);
    flight.at = end;
    if (end === flight.bytes.byteLength) this.#flight = undefined;
    this.#toPeer(events => events.data(chunk));
    if (this.#flight === undefined && !this.#closed) flight.done();
    return true;
  }

  #toPeer(event: (events: CarrierEvents) => void): void {
    if (this.peer?.events && !this.peer.#closed) event(this.peer.events);
  }

  #close(error: Error | undefined): void {
    if (this.#closed) return;
    this.#closed = true;
    queueMicrotask(() => this.events?.closed(error));
  }
}

export function stepPipe(): [StepCarrier, StepCarrier] {
  const [a, b] = [new StepCarrier(), new StepCarrier()];
  a.peer = b;
  b.peer = a;
  return [a, b];
}
