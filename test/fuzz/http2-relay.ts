import assert from 'node:assert/strict';
import { BufferedStream } from '../../lib/core/buffered-stream.ts';
import type { Carrier } from '../../lib/core/ports.ts';
import { Bearer } from '../../lib/relay/http2/bearer.ts';
import { ClientRelay, type Verdict } from '../../lib/relay/http2/client-relay.ts';
import { HeldBudget } from '../../lib/relay/http2/held-budget.ts';
import { http2Defaults } from '../../lib/relay/http2/options.ts';
import { noGrowth } from '../../lib/relay/http2/receive-window.ts';
import { sharedUpstream, Upstreams } from '../../lib/relay/http2/upstreams.ts';
import { HpackEncoder } from '../../lib/wire/hpack/encoder.ts';
import {
  goawayFrame,
  headersFrames,
  pingFrame,
  rstStreamFrame,
  settingsAck,
  settingsFrame,
  windowUpdateFrame,
} from '../../lib/wire/http2/encode.ts';
import { preface } from '../../lib/wire/http2/frames.ts';
import { type FuzzTarget, mutate, type Random } from '../support/fuzz.ts';
import { rawFrame } from '../support/http2-frames.ts';
import { ModelClock } from '../support/http2-model-clock.ts';
import { carrierPair, deliveryModes } from '../support/relay-pipes.ts';

/** So little that a relay which keeps what it should not is found out. */
const heldBytes = 300_000;

/**
 * Whatever two peers say to the relay between them, in any order: it throws nothing, calls nothing its own fault, holds
 * no more than it may, and in the end everything is closed, once, and nothing is left.
 */
export const target: FuzzTarget = {
  async once(random) {
    const world = new World(random);
    for (let left = 1 + random.int(30); left > 0; left -= 1) await world.act();
    await world.end();
  },
};

class World {
  readonly #random: Random;
  readonly #clock = new ModelClock();
  readonly #held = new HeldBudget(heldBytes);
  readonly #upstreams: Upstreams;
  readonly #relays: ClientRelay[] = [];
  readonly #mouths: Mouth[] = [];
  readonly #faults: string[] = [];
  #closed = 0;

  constructor(random: Random) {
    this.#random = random;
    const options = { ...sharedUpstream, maxConnections: 2, maxWaiting: 8 };
    this.#upstreams = new Upstreams(options, {
      clock: this.#clock,
      limits: http2Defaults,
      pool: noGrowth,
      name: 'fuzz',
      open: async () => {
        const [near, far] = this.#pipe();
        this.#mouths.push(new Mouth(far, random, false));
        return new BufferedStream(near);
      },
      onLost: ({ code, text }) => this.#note(code, text),
    });
    for (let left = 1 + random.int(2); left > 0; left -= 1) this.#client();
  }

  async act(): Promise<void> {
    this.#random.pick(this.#mouths).say();
    if (this.#random.chance(0.6)) await this.#clock.run(this.#random.size(30));
    assert.ok(this.#held.heldBytes <= heldBytes, `${this.#held.heldBytes} B are held`);
    assert.deepEqual(this.#faults, []);
  }

  async end(): Promise<void> {
    // Timeouts of frames and acknowledgements, and of whoever waits.
    if (this.#random.chance(0.3)) await this.#clock.run(11_000);
    for (const mouth of this.#mouths) mouth.leave(this.#random.chance(0.5));
    this.#upstreams.close({ code: 'cancelled', text: 'over' });
    await this.#clock.run(30_000);
    assert.deepEqual(this.#faults, []);
    assert.equal(this.#closed, this.#relays.length);
    for (const relay of this.#relays) assert.equal(relay.liveCount + relay.connection.streamCount, 0);
    assert.equal(this.#upstreams.connectionCount, 0);
    assert.equal(this.#held.heldBytes, 0);
    assert.equal(this.#clock.timers, 0);
  }

  #client(): void {
    const [near, far] = this.#pipe();
    const bearer = new Bearer(`User::fuzz|${this.#relays.length}`);
    const forward: Verdict = {
      kind: 'forward',
      upstreams: this.#upstreams,
      scheme: 'http',
      authority: undefined,
      bearer,
      counter: { add() {} },
      expiresAtMs: Number.POSITIVE_INFINITY,
    };
    const late = this.#random.chance(0.3);
    const relay = new ClientRelay(new BufferedStream(near), {
      clock: this.#clock,
      limits: http2Defaults,
      pool: noGrowth,
      held: this.#held.share(bearer.principal),
      judge: () => (late ? Promise.resolve(forward) : forward),
      generation: () => 0,
      onRefused: (_head, { reason }) => {
        // What an upstream said wrong is `internal` too, and has another text.
        if (!reason.text.includes('malformed')) this.#note(reason.code, reason.text);
      },
      onClosed: ({ reason }) => {
        this.#closed += 1;
        this.#note(reason.code, reason.text);
      },
    });
    this.#relays.push(relay);
    this.#mouths.push(new Mouth(far, this.#random, true));
    relay.start();
  }

  #note(code: string, text: string): void {
    if (code === 'internal') this.#faults.push(text);
  }

  #pipe(): [Carrier, Carrier] {
    const { left, right } = carrierPair({
      mode: this.#random.pick(deliveryModes),
      bufferBytes: this.#random.pick([500, 65_536]),
      schedule: step => this.#clock.step(this.#random.int(2), step),
    });
    return [left, right];
  }
}

/** A peer that says anything and listens to nothing, or does not even read. */
class Mouth {
  readonly #carrier: Carrier;
  readonly #random: Random;
  readonly #isClient: boolean;
  readonly #encoder = new HpackEncoder();
  #out: Buffer[] = [];
  #writing = false;
  #gone = false;
  #ended = false;
  #endSaid = false;
  #nextStream = 1;

  constructor(carrier: Carrier, random: Random, isClient: boolean) {
    this.#carrier = carrier;
    this.#random = random;
    this.#isClient = isClient;
    carrier.start({
      data() {},
      end: () => this.leave(false),
      closed: () => {
        this.#gone = true;
      },
    });
    if (random.chance(0.97)) {
      if (isClient) this.#out.push(Buffer.from(preface));
      this.#out.push(Buffer.from(settingsFrame(this.#settings())));
    }
    if (random.chance(0.1)) carrier.pause();
    this.#flush();
  }

  say(): void {
    const frames = Array.from({ length: 1 + this.#random.int(6) }, () => this.#frame());
    const bytes = Buffer.concat(frames);
    this.#out.push(this.#random.chance(0.1) ? mutate(this.#random, bytes) : bytes);
    this.#flush();
  }

  leave(abruptly: boolean): void {
    if (this.#gone) return;
    if (abruptly) return this.#carrier.destroy(true);
    this.#carrier.resume();
    this.#ended = true;
    this.#flush();
  }

  #flush(): void {
    if (this.#writing || this.#gone || this.#endSaid) return;
    const chunk = Buffer.concat(this.#out);
    this.#out = [];
    if (chunk.byteLength === 0) {
      this.#endSaid = this.#ended;
      if (this.#ended) this.#carrier.end();
      return;
    }
    this.#writing = true;
    this.#carrier.write([chunk], () => {
      this.#writing = false;
      this.#flush();
    });
  }

  #settings(): [number, number][] {
    const random = this.#random;
    return Array.from({ length: random.int(4) }, () =>
      random.pick<[number, number]>([
        [1, random.pick([0, 100, 4_096, 1_000_000])],
        [3, random.size(200)],
        [4, random.pick([0, 1, 1_000, 65_535, 0x7fffffff])],
        [5, random.pick([16_384, 16_777_215])],
        [6, random.size(100_000)],
        [9, random.int(3)],
      ]),
    );
  }

  #stream(): number {
    if (this.#random.chance(0.02)) return this.#random.int(50);
    return 1 + 2 * this.#random.int(Math.max(1, (this.#nextStream + 1) >> 1));
  }

  #frame(): Uint8Array {
    const random = this.#random;
    switch (random.int(16)) {
      case 0:
        return settingsFrame(this.#settings());
      case 1:
        return settingsAck();
      case 2:
        return pingFrame(random.bytes(8), random.chance(0.3));
      case 3:
        return rstStreamFrame(Math.max(1, this.#stream()), random.int(15));
      case 4:
      case 5:
        return windowUpdateFrame(
          random.chance(0.4) ? 0 : this.#stream(),
          random.chance(0.02) ? 0x7fffffff : 1 + random.size(100_000),
        );
      case 6:
        return random.chance(0.2) ? goawayFrame(random.int(20), random.int(14), 'gone') : this.#data();
      case 7:
        return random.chance(0.2)
          ? rawFrame(random.int(12), random.int(256), this.#stream(), random.bytes(random.size(40)))
          : this.#data();
      case 8:
      case 9:
      case 10:
        return this.#data();
      default:
        return this.#headers();
    }
  }

  #data(): Uint8Array {
    const random = this.#random;
    const padded = random.chance(0.2);
    const body = random.bytes(random.size(16_000));
    const payload = padded ? Buffer.concat([Buffer.of(random.int(body.byteLength + 1) & 0xff), body]) : body;
    return rawFrame(0, (padded ? 8 : 0) | (random.chance(0.2) ? 1 : 0), this.#stream(), payload);
  }

  #headers(): Uint8Array {
    const random = this.#random;
    const begins = this.#isClient ? random.chance(0.6) : false;
    // A server answers what it was probably asked by now.
    if (!this.#isClient && random.chance(0.3)) this.#nextStream += 2;
    const id = begins ? this.#nextStream : Math.max(1, this.#stream());
    if (begins) this.#nextStream += 2;
    const first = this.#isClient
      ? begins || random.chance(0.1)
        ? [
            [':method', random.pick(['GET', 'POST', 'HEAD'])],
            [':scheme', 'https'],
            [':path', `/${random.int(5)}`],
            [':authority', 'fuzz.invalid'],
          ]
        : []
      : random.chance(0.8)
        ? [[':status', random.pick(['200', '100', '103', '204', '304', '500'])]]
        : [];
    const more = [
      ['content-length', String(random.size(20_000))],
      ['content-type', 'application/grpc'],
      ['grpc-timeout', random.pick(['1S', '1m', '5n', '0m'])],
      ['te', random.pick(['trailers', 'gzip'])],
      ['x-random', random.bytes(random.size(60)).toString('hex')],
      ['x-large', 'z'.repeat(random.size(30_000))],
      ['connection', 'close'],
    ].filter(() => random.chance(0.12));
    const fields = [...first, ...more].map(([name, value]) => ({
      name: name as string,
      value: value as string,
      sensitive: random.chance(0.1),
    }));
    return headersFrames(id, this.#encoder.encode(fields), random.chance(0.4), 16_384);
  }
}
