import { createHash } from 'node:crypto';
import { type Talk, talk } from './e2e-sockets.ts';
import type { Random } from './fuzz.ts';

/** Of a stream, what is on its way at most. */
const inFlightBytes = 200_000;
const flowTimeoutMs = 45_000;

/** A keystream long enough that no shift of it looks the same. */
function pattern(seed: number): Buffer {
  const parts: Buffer[] = [];
  for (let i = 0; i < 2_048; i += 1) parts.push(createHash('sha512').update(`${seed}/${i}`).digest());
  return Buffer.concat(parts);
}

/** One connection whose bytes come back, each compared with what was sent at its place. */
class Echoed {
  readonly #talk: Talk;
  readonly #pattern: Buffer;
  sent = 0;
  received = 0;
  fault: string | undefined;
  onData: () => void = () => {};

  constructor(address: string, seed: number) {
    this.#pattern = pattern(seed);
    this.#talk = talk(address);
    this.#talk.socket.on('data', (chunk: Buffer) => this.#compare(chunk));
    void this.#talk.closed.then(ending => {
      if (ending !== 'end') this.fault ??= `closed with ${ending} after ${this.received} of ${this.sent} B`;
      this.onData();
    });
  }

  write(bytes: number): void {
    if (this.sent - this.received > inFlightBytes) return;
    const from = this.sent % this.#pattern.byteLength;
    const chunk = this.#pattern.subarray(from, from + bytes);
    this.sent += chunk.byteLength;
    this.#talk.write(chunk);
  }

  /** Ends, and comes back when all of it has come back, and the end with it. */
  async end(): Promise<void> {
    this.#talk.socket.end();
    await this.#talk.closed;
    if (this.received !== this.sent) this.fault ??= `${this.received} of ${this.sent} B came back`;
  }

  #compare(chunk: Buffer): void {
    // Kept by nobody: a test that runs for long would hold all of it.
    this.#talk.chunks.length = 0;
    for (let at = 0; at < chunk.byteLength; ) {
      const from = this.received % this.#pattern.byteLength;
      const size = Math.min(chunk.byteLength - at, this.#pattern.byteLength - from);
      const same = chunk.subarray(at, at + size).equals(this.#pattern.subarray(from, from + size));
      if (!same) this.fault ??= `within ${size} B from byte ${this.received} on, another came back`;
      this.received += size;
      at += size;
    }
    this.onData();
  }
}

/** Steady traffic over several streams, through an address whose other end sends back what it gets. */
export class EchoLoad {
  readonly #streams: readonly Echoed[];
  readonly #random: Random;
  readonly #timer: NodeJS.Timeout;

  constructor(address: string, streams: number, random: Random) {
    this.#random = random;
    this.#streams = Array.from({ length: streams }, (_, i) => new Echoed(address, i));
    this.#timer = setInterval(() => this.#write(), 4);
  }

  get bytes(): number {
    return this.#streams.reduce((sum, { received }) => sum + received, 0);
  }

  get fault(): string | undefined {
    return this.#streams.find(({ fault }) => fault)?.fault;
  }

  /** How long it takes until on each stream a byte has come back that was sent after this moment. */
  async flows(): Promise<number> {
    const startedMs = performance.now();
    const wanted = this.#streams.map(({ sent }) => sent);
    const there = (): boolean =>
      this.fault !== undefined || this.#streams.every(({ received }, i) => received > (wanted[i] ?? 0));
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    const timer = setTimeout(
      () => reject(new Error(`nothing flows after ${flowTimeoutMs} ms`)),
      flowTimeoutMs,
    );
    for (const stream of this.#streams) {
      stream.onData = () => {
        if (there()) resolve();
      };
    }
    if (there()) resolve();
    await promise.finally(() => clearTimeout(timer));
    if (this.fault) throw new Error(this.fault);
    return performance.now() - startedMs;
  }

  async end(): Promise<void> {
    clearInterval(this.#timer);
    await Promise.all(this.#streams.map(stream => stream.end()));
    if (this.fault) throw new Error(this.fault);
  }

  #write(): void {
    for (const stream of this.#streams) stream.write(1 + this.#random.size(8_000));
  }
}
