/** `lockwire try`: two AutoGen workers of our own talk through an address, and every byte is compared. */
import { randomBytes } from 'node:crypto';
import { formatBytes, safeText } from '../core/bytes.ts';
import { type Clock, systemClock } from '../core/clock.ts';
import { LockwireError } from '../core/errors.ts';
import type { CloudEvent } from './agent-rpc.ts';
import { tryLimits } from './options.ts';
import { addSubscription, registerAgent, removeSubscription } from './service.ts';
import { quantile, type TryReport } from './try-report.ts';
import { TryWorker } from './try-worker.ts';

export interface TryOptions {
  /** `127.0.0.1:PORT`, `[::1]:PORT` or `unix:PATH`: what an AutoGen worker would be given. */
  readonly address: string;
  readonly rpcs?: number;
  readonly publishes?: number;
  /** Payload sizes in bytes, taken in turn. */
  readonly sizes?: readonly number[];
  /** For the whole of it. */
  readonly timeoutMs?: number;
  readonly onProgress?: (done: number, total: number) => void;
  readonly clock?: Clock;
}

const defaultSizes: readonly number[] = [1, 64, 256, 1_024, 4_096, 16_384, 65_536];
const defaultTimeoutMs = 30_000;
/** Publishes under way at a time. */
const publishWindow = 16;
/** What is left on the host is tidied up within this. */
const cleanupMs = 1_000;

const dataType = 'lockwire.try';
const dataContentType = 'application/octet-stream';

/** Throws a LockwireError that says what went wrong and where: a refusal, silence, or a byte that differs. */
export async function runTry(options: TryOptions): Promise<TryReport> {
  const run = new TryRun(options);
  try {
    return await run.report();
  } finally {
    await run.close();
  }
}

class TryRun {
  readonly #address: string;
  readonly #rpcs: number;
  readonly #publishes: number;
  readonly #sizes: readonly number[];
  readonly #clock: Clock;
  readonly #progress: (done: number, total: number) => void;
  /** Random, so that two runs on one host never meet. */
  readonly #name = `lockwire_try_${randomBytes(6).toString('hex')}`;
  readonly #asker: TryWorker;
  readonly #answerer: TryWorker;
  readonly #timedOut: Promise<never>;
  readonly #cancelTimeout: () => void;
  #step = 'the connection';
  #done = 0;
  #checkedBytes = 0;

  constructor(options: TryOptions) {
    this.#address = options.address;
    this.#rpcs = count('rpcs', options.rpcs ?? 100, tryLimits.maxRpcs);
    this.#publishes = count('publishes', options.publishes ?? 100, tryLimits.maxPublishes);
    this.#sizes = options.sizes ?? defaultSizes;
    if (this.#sizes.length === 0) throw new LockwireError('usage', 'sizes is empty');
    for (const size of this.#sizes) count('size', size, tryLimits.maxPayloadBytes);
    this.#clock = options.clock ?? systemClock;
    this.#progress = options.onProgress ?? (() => {});
    this.#asker = new TryWorker(this.#address, `${this.#name}-asker`);
    this.#answerer = new TryWorker(this.#address, `${this.#name}-answerer`);
    const timeoutMs = options.timeoutMs ?? defaultTimeoutMs;
    const { promise, reject } = Promise.withResolvers<never>();
    const timer = this.#clock.after(timeoutMs, () =>
      reject(
        new LockwireError(
          'timeout',
          `${this.#address}: waited ${timeoutMs} ms in all, last for ${this.#step}`,
        ),
      ),
    );
    promise.catch(() => {});
    this.#timedOut = promise;
    this.#cancelTimeout = () => timer.cancel();
  }

  /** The first failure of either worker, and the end of the time, end it all. */
  report(): Promise<TryReport> {
    return Promise.race([this.#all(), this.#asker.failed, this.#answerer.failed, this.#timedOut]);
  }

  async #all(): Promise<TryReport> {
    const started = this.#clock.monotonic();
    await this.#register();
    const times: number[] = [];
    for (let i = 0; i < this.#rpcs; i += 1) times.push(await this.#rpc(i));
    await this.#publishAll();
    times.sort((a, b) => a - b);
    return {
      address: this.#address,
      rpcs: this.#rpcs,
      publishes: this.#publishes,
      checkedBytes: this.#checkedBytes,
      rpcMs: { p50: quantile(times, 0.5), p99: quantile(times, 0.99), max: times.at(-1) ?? 0 },
      elapsedMs: this.#clock.monotonic() - started,
    };
  }

  async close(): Promise<void> {
    this.#cancelTimeout();
    const gone = this.#answerer.unary(removeSubscription, { id: this.#name }).then(
      () => {},
      () => {},
    );
    const { promise: waited, resolve } = Promise.withResolvers<void>();
    const timer = this.#clock.after(cleanupMs, resolve);
    await Promise.race([gone, waited]);
    timer.cancel();
    this.#asker.close();
    this.#answerer.close();
  }

  async #register(): Promise<void> {
    const type = this.#name;
    this.#step = 'RegisterAgent';
    await this.#answerer.unary(registerAgent, { type });
    this.#step = 'AddSubscription';
    const subscription = { id: type, typeSubscription: { topicType: type, agentType: type } };
    await this.#answerer.unary(addSubscription, { subscription });
  }

  /** Its round trip in ms. */
  async #rpc(index: number): Promise<number> {
    const data = this.#payload(index);
    this.#step = `the answer to RPC ${index + 1} of ${this.#rpcs} (${formatBytes(data.byteLength)})`;
    const started = this.#clock.monotonic();
    const { error, payload } = await this.#asker.call(this.#name, { dataType, dataContentType, data });
    const took = this.#clock.monotonic() - started;
    if (error) throw new LockwireError('protocol', `${this.#step} is an error: ${safeText(error, 512)}`);
    this.#compare(data, payload?.data ?? new Uint8Array());
    return took;
  }

  async #publishAll(): Promise<void> {
    const underWay = new Map<string, Buffer>();
    let arrived: PromiseWithResolvers<void> = Promise.withResolvers();
    let failure: unknown;
    this.#answerer.onEvent = event => {
      try {
        this.#checkEvent(event, underWay);
      } catch (error) {
        failure ??= error;
      }
      arrived.resolve();
    };
    for (let index = 0; index < this.#publishes || underWay.size > 0; ) {
      while (index < this.#publishes && underWay.size < publishWindow) {
        const data = this.#payload(index);
        const id = `${this.#name}-${index}`;
        underWay.set(id, data);
        this.#asker.publish(this.#event(id, data));
        index += 1;
      }
      this.#step = `${underWay.size} published events (${this.#publishes} in all)`;
      await arrived.promise;
      arrived = Promise.withResolvers();
      if (failure) throw failure;
    }
  }

  #event(id: string, data: Buffer): CloudEvent {
    const text = (ceString: string) => ({ ceString });
    return {
      id,
      source: 'default',
      specVersion: '1.0',
      type: this.#name,
      attributes: {
        datacontenttype: text(dataContentType),
        dataschema: text(dataType),
        agmsgkind: text('publish'),
      },
      binaryData: data,
    };
  }

  #checkEvent(event: CloudEvent, underWay: Map<string, Buffer>): void {
    const sent = underWay.get(event.id);
    if (!sent) {
      const id = safeText(event.id, 64);
      throw new LockwireError('protocol', `event ${id} came twice, or was never published`);
    }
    underWay.delete(event.id);
    this.#compare(sent, event.binaryData ?? new Uint8Array());
  }

  #compare(sent: Buffer, received: Uint8Array): void {
    if (!sent.equals(received))
      throw new LockwireError(
        'protocol',
        `${this.#step}: sent ${sent.byteLength} B, received ${received.byteLength} B that differ ${difference(sent, received)}`,
      );
    this.#checkedBytes += sent.byteLength;
    this.#done += 1;
    this.#progress(this.#done, this.#rpcs + this.#publishes);
  }

  #payload(index: number): Buffer {
    return randomBytes(this.#sizes[index % this.#sizes.length] ?? 1);
  }
}

function difference(sent: Buffer, received: Uint8Array): string {
  const at = sent.findIndex((byte, index) => byte !== received[index]);
  return at < 0 ? 'in length' : `from byte ${at}`;
}

function count(what: string, value: number, max: number): number {
  if (Number.isInteger(value) && value >= 1 && value <= max) return value;
  throw new LockwireError('usage', `${what} is ${value}; it must be a whole number from 1 to ${max}`);
}
