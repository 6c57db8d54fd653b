import fc from 'fast-check';
import t from 'tap';
import type { ByteStream, StreamEvents } from '../../../../lib/core/ports.ts';
import type { CloseReason } from '../../../../lib/core/session.ts';
import { Http2Connection } from '../../../../lib/relay/http2/connection.ts';
import { noShare } from '../../../../lib/relay/http2/held-budget.ts';
import { type Http2Limits, http2Defaults } from '../../../../lib/relay/http2/options.ts';
import { Outgoing } from '../../../../lib/relay/http2/outgoing.ts';
import { noGrowth } from '../../../../lib/relay/http2/receive-window.ts';
import type { Http2Stream, StreamCut } from '../../../../lib/relay/http2/stream.ts';
import {
  pingFrame,
  settingsAck,
  settingsFrame,
  writeFrameHeader,
} from '../../../../lib/wire/http2/encode.ts';
import { ErrorCode, FrameType, preface } from '../../../../lib/wire/http2/frames.ts';
import { TurnedClock } from '../../../support/transport-clock.ts';

const request = new Outgoing([{ name: ':method', value: 'POST', sensitive: false }]);
const hourMs = 3_600_000;
const minuteMs = 60_000;

/** How a gRPC server counts PINGs: the core's way, which Python's and C++'s have; Go's and Java's forgive as much. */
class Strikes {
  worst = 0;
  #now = 0;
  #lastMs = Number.NEGATIVE_INFINITY;

  pinged(nowMs: number, streams: number): void {
    const permittedMs = this.#lastMs + (streams === 0 ? 2 * hourMs : 5 * minuteMs);
    this.#lastMs = nowMs;
    if (nowMs >= permittedMs) return;
    this.#now += 1;
    this.worst = Math.max(this.worst, this.#now);
  }

  /** It has sent HEADERS or DATA. */
  moved(): void {
    this.#now = 0;
    this.#lastMs = Number.NEGATIVE_INFINITY;
  }
}

interface WorldOptions {
  readonly clock?: TurnedClock;
  readonly limits?: Partial<Http2Limits>;
  readonly probed?: boolean;
  /** Bytes are flushed at once. */
  readonly flushes?: boolean;
}

/** A connection of ours and the server at its other end, which answers what HTTP/2 has it answer, and nothing else. */
class World implements ByteStream {
  readonly clock: TurnedClock;
  readonly connection: Http2Connection;
  readonly strikes: Strikes = new Strikes();
  readonly cuts: StreamCut[] = [];
  closed: CloseReason | undefined;
  pings = 0;
  /** Nothing reaches it and nothing comes back. */
  hole = false;
  /** From what is sent to its arrival, either way; never none. */
  delayMs = 1;
  readonly #lastMs = { up: 0, down: 0 };
  readonly #live = new Set<number>();
  #events: StreamEvents | undefined;
  #rest: Buffer = Buffer.alloc(0);
  #prefaceBytes = 0;
  readonly #flushes: boolean;

  constructor({ clock = new TurnedClock(), limits = {}, probed = true, flushes = true }: WorldOptions = {}) {
    this.clock = clock;
    this.#flushes = flushes;
    const owner = {
      request() {},
      changed() {},
      closed: (reason: CloseReason) => {
        this.closed = reason;
      },
    };
    const ports = { limits: { ...http2Defaults, ...limits }, pool: noGrowth, held: noShare, probed };
    this.connection = new Http2Connection('client', this, owner, { clock, ...ports });
    this.connection.start();
    this.#say(settingsFrame([]));
  }

  start(events: StreamEvents): void {
    this.#events = events;
  }
  write(chunk: Uint8Array): void {
    const bytes = Buffer.from(chunk);
    if (this.#flushes) this.#events?.flushed(bytes.byteLength);
    this.#later('up', () => this.#read(bytes));
  }
  end(): void {}
  reset(reason: CloseReason): void {
    this.#events?.closed(reason);
  }
  consume(): void {}

  flush(bytes: number): void {
    this.#events?.flushed(bytes);
  }

  /** A first call, 2 ms after which both have their SETTINGS acknowledged. */
  async begin(): Promise<Http2Stream> {
    const stream = this.call();
    await this.turn(2);
    return stream;
  }

  call(): Http2Stream {
    const handler = { headers() {}, data() {}, end() {}, sent() {}, done() {} };
    const stream = this.connection.open({ ...handler, cut: cut => this.cuts.push(cut) }, noShare);
    stream.begin(request, false);
    return stream;
  }

  /** The server sends a message on the stream. */
  message(stream: Http2Stream): void {
    const frame = Buffer.alloc(14, 'x');
    writeFrameHeader(frame, 0, 5, FrameType.data, 0, stream.id);
    this.#say(frame);
  }

  async turn(ms: number): Promise<void> {
    this.clock.turn(ms);
    await Promise.resolve();
  }

  /** Whatever the delays are, nothing overtakes anything. */
  #later(way: 'up' | 'down', act: () => void): void {
    const nowMs = this.clock.monotonic();
    const atMs = Math.max(nowMs + this.delayMs, this.#lastMs[way]);
    this.#lastMs[way] = atMs;
    this.clock.after(atMs - nowMs, () => {
      if (!this.hole) act();
    });
  }

  #say(frame: Uint8Array): void {
    if (frame[3] === FrameType.data) this.strikes.moved();
    this.#later('down', () => this.#events?.data(frame));
  }

  #read(bytes: Buffer): void {
    this.#rest = Buffer.concat([this.#rest, bytes]);
    if (this.#prefaceBytes === 0 && this.#rest.byteLength >= preface.length) {
      this.#prefaceBytes = preface.length;
      this.#rest = this.#rest.subarray(preface.length);
    }
    while (this.#rest.byteLength >= 9 && this.#rest.byteLength >= 9 + this.#rest.readUIntBE(0, 3)) {
      const end = 9 + this.#rest.readUIntBE(0, 3);
      const frame = this.#rest.subarray(0, end);
      this.#rest = this.#rest.subarray(end);
      this.#answer(frame[3] ?? 0, frame[4] ?? 0, frame.readUInt32BE(5), frame.subarray(9));
    }
  }

  #answer(type: number, flags: number, streamId: number, payload: Buffer): void {
    if (type === FrameType.settings && flags === 0) this.#say(settingsAck());
    if (type === FrameType.headers) this.#live.add(streamId);
    if (type === FrameType.rstStream) this.#live.delete(streamId);
    if (type !== FrameType.ping || flags !== 0) return;
    this.pings += 1;
    this.strikes.pinged(this.clock.monotonic(), this.#live.size);
    this.#say(pingFrame(payload, true));
  }
}

t.test('a call into a black hole is ended after 25 s, and its connection takes no other', async t => {
  const world = new World();
  await world.begin();
  world.hole = true;
  world.call();
  await world.turn(24_999);
  t.same(world.cuts, []);
  t.ok(world.connection.usable);
  await world.turn(1);
  const text = 'silent for 25000 ms, and no answer to a PING within 10000 ms';
  t.same(world.cuts, [
    { code: ErrorCode.cancel, text },
    { code: ErrorCode.cancel, text },
  ]);
  t.notOk(world.connection.usable);
  await world.turn(1_000);
  t.same(world.closed, { code: 'unavailable', text });
  t.equal(world.clock.timers, 0);
});

t.test('without probes the same call stands for 2 hours', async t => {
  const world = new World({ probed: false });
  await world.begin();
  world.hole = true;
  await world.turn(2 * hourMs);
  t.same(world.cuts, []);
  t.equal(world.pings, 0);
});

t.test(
  'a quiet server with a stream of 24 hours is left alone, and gets 280 PINGs without a strike',
  async t => {
    const world = new World();
    world.delayMs = 40;
    world.call();
    await world.turn(24 * hourMs);
    t.same(world.cuts, []);
    t.ok(world.connection.usable);
    t.ok(world.pings > 270 && world.pings <= 280, `${world.pings} PINGs`);
    t.equal(world.strikes.worst, 0);
  },
);

t.test('a server that takes a message each 40 s for 6 hours and says nothing counts 1 strike', async t => {
  const world = new World();
  const stream = await world.begin();
  world.delayMs = 40;
  for (let passed = 0; passed < 6 * hourMs; passed += 40_000) {
    stream.write(Buffer.from('x'));
    await world.turn(40_000);
  }
  t.same(world.cuts, []);
  t.equal(world.strikes.worst, 1);
});

t.test('what is asked after an hour of quiet, into a hole, ends within 40 s', async t => {
  for (const ask of ['a new call', 'a message on the old stream']) {
    const world = new World();
    const stream = await world.begin();
    await world.turn(hourMs);
    world.hole = true;
    if (ask === 'a new call') world.call();
    else stream.write(Buffer.from('x'));
    await world.turn(40_000);
    t.equal(world.cuts.length, ask === 'a new call' ? 2 : 1, ask);
  }
});

t.test('a hole under a quiet stream is found at the next PING, 320 s after the last at most', async t => {
  const world = new World();
  await world.begin();
  await world.turn(hourMs);
  world.hole = true;
  await world.turn(320_000);
  t.equal(world.cuts.length, 1);
});

t.test('a connection without streams is not probed in 5 hours, and serves the next call', async t => {
  const world = new World();
  const stream = await world.begin();
  stream.reset(ErrorCode.cancel);
  await world.turn(20_000);
  const { pings } = world;
  t.ok(pings <= 1, 'what was reset was never answered');
  await world.turn(5 * hourMs);
  t.equal(world.pings, pings);
  t.ok(world.connection.usable);
});

t.test('calls that end by deadlines of 5 s, one after another, do not keep a hole in use', async t => {
  const world = new World();
  await world.begin();
  world.hole = true;
  for (let calls = 0; calls < 5; calls += 1) {
    t.ok(world.connection.usable);
    const stream = world.call();
    await world.turn(4_990);
    stream.reset(ErrorCode.cancel);
    await world.turn(10);
  }
  t.notOk(world.connection.usable);
});

t.test('a PING behind 1,000 B that go out slowly has its time once it is out', async t => {
  const world = new World({ flushes: false });
  const stream = await world.begin();
  stream.write(Buffer.alloc(1_000));
  world.hole = true;
  await world.turn(15_000);
  for (let left = 10; left > 0; left -= 1) {
    await world.turn(8_000);
    world.flush(100);
    await world.turn(1_000);
    t.same(world.cuts, [], `${left}`);
  }
  // Nothing moves any more.
  await world.turn(8_999);
  t.same(world.cuts, []);
  await world.turn(1);
  t.equal(world.cuts.length, 1);
});

/** Calls back late where its process has stood still. */
class LateClock extends TurnedClock {
  stoodMs = 0;

  override monotonic(): number {
    return super.monotonic() + this.stoodMs;
  }
}

t.test('a process that stood still for a minute reads first what has come meanwhile', async t => {
  const clock = new LateClock();
  const world = new World({ clock });
  await world.begin();
  world.hole = true;
  await world.turn(15_000);
  clock.stoodMs = minuteMs;
  await world.turn(10_000);
  t.same(world.cuts, []);
  await world.turn(10_000);
  t.equal(world.cuts.length, 1);
});

t.test('whatever is asked and answered in hours, no server counts over 2 strikes of its 2', async t => {
  const acts = fc.record({
    act: fc.constantFrom('call', 'send', 'answer', 'reset', 'reset all', 'nothing'),
    afterMs: fc.constantFrom(1, 30, 5_000, 14_990, 15_001, 25_000, 100_000, 310_000, 600_000),
    delayMs: fc.constantFrom(1, 20, 400),
  });
  let pings = 0;
  await fc.assert(
    fc.asyncProperty(fc.array(acts, { minLength: 30, maxLength: 60 }), async list => {
      const world = new World();
      const streams = [await world.begin()];
      for (const { act, afterMs, delayMs } of list) {
        world.delayMs = delayMs;
        const [first] = streams;
        if (act === 'call') streams.push(world.call());
        if (act === 'send') first?.write(Buffer.from('x'));
        if (act === 'answer' && first !== undefined) world.message(first);
        const gone = act === 'reset' ? streams.splice(0, 1) : act === 'reset all' ? streams.splice(0) : [];
        for (const stream of gone) stream.reset(ErrorCode.cancel);
        await world.turn(afterMs);
      }
      pings += world.pings;
      if (!world.connection.usable) throw new Error('an honest server was left');
      if (world.strikes.worst > 2) throw new Error(`${world.strikes.worst} strikes`);
    }),
    { numRuns: 150, seed: 7_540 },
  );
  t.ok(pings > 1_000, `${pings} PINGs`);
});
