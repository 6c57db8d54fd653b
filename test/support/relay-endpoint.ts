import { createHash } from 'node:crypto';
import { setImmediate as immediate } from 'node:timers/promises';
import type { ByteStream } from '../../lib/core/ports.ts';
import type { CloseReason } from '../../lib/core/session.ts';

/** Most that an endpoint queues in its stream before it waits for `flushed`, as an honest program does. */
const sendWindowBytes = 65_536;

interface Waiter {
  readonly ready: () => boolean;
  readonly resolve: () => void;
}

/** One end of a stream in a test: sends under back-pressure, reads when told to, and counts all it sees. */
export class Endpoint {
  readonly stream: ByteStream;
  /** Called for each event: a probe that watches for quiet. */
  events = 0;
  receivedBytes = 0;
  chunks = 0;
  queuedBytes = 0;
  flushedBytes = 0;
  ended = false;
  reason: CloseReason | undefined;
  closedCount = 0;
  /** Kept only where the test asked for it. */
  readonly kept: Uint8Array[] = [];
  readonly #keep: boolean;
  readonly #hash = createHash('sha256');
  #reading: boolean;
  #heldBytes = 0;
  #waiters: Waiter[] = [];

  constructor(stream: ByteStream, options: { reading?: boolean; keep?: boolean } = {}) {
    this.stream = stream;
    this.#reading = options.reading ?? true;
    this.#keep = options.keep ?? false;
    stream.start({
      data: chunk => this.#data(chunk),
      end: () => {
        this.ended = true;
        this.#tell();
      },
      flushed: bytes => {
        this.flushedBytes += bytes;
        this.#tell();
      },
      closed: reason => {
        this.reason = reason;
        this.closedCount += 1;
        this.#tell();
      },
    });
  }

  /** Gives back credit for all that was held, and from now on at once. */
  read(): void {
    this.#reading = true;
    this.consumeHeld();
  }

  /** Takes no more: what comes from now on keeps its credit. */
  hold(): void {
    this.#reading = false;
  }

  consumeHeld(): void {
    const held = this.#heldBytes;
    this.#heldBytes = 0;
    if (held > 0) this.stream.consume(held);
  }

  /** Sends all of it, never with more than 64 KiB unflushed; comes back when all is flushed or the stream closed. */
  async send(bytes: Uint8Array, chunkBytes = 16_384): Promise<void> {
    for (let at = 0; at < bytes.byteLength && !this.reason; at += chunkBytes) {
      await this.until(
        () => this.queuedBytes - this.flushedBytes < sendWindowBytes || this.reason !== undefined,
      );
      this.write(bytes.subarray(at, at + chunkBytes));
    }
    await this.until(() => this.flushedBytes === this.queuedBytes || this.reason !== undefined);
  }

  write(bytes: Uint8Array): void {
    this.queuedBytes += bytes.byteLength;
    this.stream.write(bytes);
  }

  async sendAndEnd(bytes: Uint8Array): Promise<void> {
    await this.send(bytes);
    this.stream.end();
  }

  sha256(): string {
    return this.#hash.copy().digest('hex');
  }

  untilEnd(): Promise<void> {
    return this.until(() => this.ended || this.reason !== undefined);
  }

  async untilClosed(): Promise<CloseReason> {
    await this.until(() => this.reason !== undefined);
    return this.reason as CloseReason;
  }

  untilReceived(bytes: number): Promise<void> {
    return this.until(() => this.receivedBytes >= bytes);
  }

  until(ready: () => boolean): Promise<void> {
    if (ready()) return Promise.resolve();
    return new Promise(resolve => this.#waiters.push({ ready, resolve }));
  }

  #data(chunk: Uint8Array): void {
    this.receivedBytes += chunk.byteLength;
    this.chunks += 1;
    this.#hash.update(chunk);
    if (this.#keep) this.kept.push(chunk);
    if (this.#reading) this.stream.consume(chunk.byteLength);
    else this.#heldBytes += chunk.byteLength;
    this.#tell();
  }

  #tell(): void {
    this.events += 1;
    if (this.#waiters.length === 0) return;
    const ready = this.#waiters.filter(waiter => waiter.ready());
    if (ready.length === 0) return;
    this.#waiters = this.#waiters.filter(waiter => !ready.includes(waiter));
    for (const waiter of ready) waiter.resolve();
  }
}

/** Comes back when nothing has happened for so many rounds of the event loop: no clock decides. */
export async function quiet(endpoints: readonly Endpoint[], rounds = 50): Promise<void> {
  const count = (): number => endpoints.reduce((sum, endpoint) => sum + endpoint.events, 0);
  let last = count();
  for (let still = 0; still < rounds; still += 1) {
    await immediate();
    const now = count();
    if (now !== last) still = 0;
    last = now;
  }
}

export function sha256(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex');
}
