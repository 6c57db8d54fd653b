import assert from 'node:assert/strict';
import fc from 'fast-check';
import t from 'tap';
import type { CloseReason } from '../../../lib/core/session.ts';
import { Link, type LinkHandler } from '../../../lib/tunnel/link.ts';
import { defaultTunnelLimits, type TunnelLimits } from '../../../lib/tunnel/options.ts';
import { TunnelSession } from '../../../lib/tunnel/session.ts';
import type { TunnelStream } from '../../../lib/tunnel/stream.ts';
import { WindowPool } from '../../../lib/tunnel/window-pool.ts';
import { ManualClock } from '../../support/tunnel-pair.ts';
import { type StepCarrier, stepPipe } from '../../support/tunnel-step.ts';

/**
 * A real pair of sessions beside the simplest model of a stream: per direction, how many bytes were written and which
 * one comes next. Everything else, windows, frames, Acks, must never show.
 */

/** The byte at an offset of a stream's direction: whatever is lost, doubled or swapped shows. */
const byteAt = (stream: number, fromClient: boolean, offset: number): number =>
  (offset * 31 + stream * 7 + (fromClient ? 101 : 0) + (offset >> 8) * 13) & 0xff;

/** One end of one stream. */
class End {
  readonly stream: TunnelStream;
  readonly #client: boolean;
  written = 0;
  flushed = 0;
  read = 0;
  consumed = 0;
  ending = false;
  peerEnded = false;
  closed: CloseReason | undefined;

  constructor(stream: TunnelStream, client: boolean) {
    this.stream = stream;
    this.#client = client;
  }

  start(): void {
    this.stream.start({
      data: chunk => {
        assert.ok(!this.closed && !this.peerEnded, 'data after end or closed');
        for (const byte of chunk) {
          assert.equal(byte, byteAt(this.stream.id, !this.#client, this.read), `byte ${this.read}`);
          this.read += 1;
        }
      },
      end: () => {
        assert.ok(!this.closed && !this.peerEnded, 'end after end or closed');
        this.peerEnded = true;
      },
      flushed: bytes => {
        assert.ok(!this.closed, 'flushed after closed');
        this.flushed += bytes;
        assert.ok(this.flushed <= this.written, 'flushed more than was written');
      },
      closed: reason => {
        assert.ok(!this.closed, 'closed twice');
        this.closed = reason;
      },
    });
  }

  write(bytes: number): void {
    if (this.ending || this.closed) return;
    const chunk = Buffer.alloc(bytes);
    for (let i = 0; i < bytes; i += 1) chunk[i] = byteAt(this.stream.id, this.#client, this.written + i);
    this.written += bytes;
    this.stream.write(chunk);
  }

  end(): void {
    this.ending = true;
    this.stream.end();
  }

  consume(bytes: number): void {
    if (this.closed || bytes === 0) return;
    this.consumed += bytes;
    this.stream.consume(bytes);
  }
}

interface Pair {
  readonly near: End;
  far: End | undefined;
  accepted: boolean;
  reset: boolean;
}

const noHandler: LinkHandler = { frame() {}, data() {}, read() {}, malformed() {}, closed() {} };

class World {
  readonly clock: ManualClock = new ManualClock();
  readonly limits: TunnelLimits;
  carriers: [StepCarrier, StepCarrier];
  readonly pools: [WindowPool, WindowPool];
  readonly sessions: [TunnelSession, TunnelSession];
  readonly pairs: Pair[] = [];
  ended: CloseReason | undefined;

  constructor(limits: TunnelLimits, growthBytes: number) {
    this.limits = limits;
    this.carriers = stepPipe();
    const pool = (): WindowPool => new WindowPool({ baseBytes: 4 * limits.windowBytes, growthBytes });
    this.pools = [pool(), pool()];
    this.sessions = [this.#session(0), this.#session(1)];
  }

  #session(index: 0 | 1): TunnelSession {
    const link = new Link(this.carriers[index], noHandler, this.clock, this.limits);
    link.start();
    return new TunnelSession(
      {
        id: 's',
        side: index === 0 ? 'dialler' : 'gateway',
        role: 'connect',
        peerEarlyWindow: this.limits.earlyWindowBytes,
        roundTripMs: 10,
        patienceMs: this.limits.patienceMs,
      },
      link,
      {
        onDetached() {},
        clock: this.clock,
        limits: this.limits,
        pool: this.pools[index],
        onOpen: stream => {
          const pair = this.pairs.find(({ near }) => near.stream.id === stream.id);
          assert.ok(pair, 'a stream that nobody opened');
          pair.far = new End(stream, false);
          pair.far.start();
        },
        onNotice() {},
        onGoAway() {},
        onRenew: async () => ({ expiresAt: 1 }),
        onRenewed() {},
        onClosed: reason => {
          this.ended ??= reason;
        },
      },
    );
  }

  /** Both ends see it, or the client alone: what was on its way is lost, in the middle of a frame too. */
  cut(seenByBoth: boolean): void {
    if (seenByBoth) this.carriers[0].destroy();
    else this.carriers[0].vanish();
  }

  /** As the handshake does it: each end says what it received, the gateway first takes the client's word. */
  resume(): void {
    if (this.sessions[0].attached) return;
    this.carriers = stepPipe();
    const [near, far] = this.carriers.map(carrier => new Link(carrier, noHandler, this.clock, this.limits));
    near?.start();
    far?.start();
    assert.ok(near && far);
    let received = -1;
    const answer = (offset: number): void => {
      received = offset;
    };
    assert.ok(this.sessions[1].resume(far, this.sessions[0].offsets.received, answer), 'the gateway goes on');
    assert.ok(this.sessions[0].resume(near, received), 'the client goes on');
  }

  open(): void {
    if (this.sessions[0].state !== 'open' || this.pairs.length >= this.limits.maxPendingOpens) return;
    const near = new End(this.sessions[0].open('autogen', 'unix'), true);
    near.start();
    this.pairs.push({ near, far: undefined, accepted: false, reset: false });
  }

  accept(pair: Pair): void {
    if (!pair.far || pair.accepted) return;
    pair.accepted = true;
    pair.far.stream.accept();
  }

  /** What holds at every moment: nobody holds more than was promised, and no session ended. */
  check(): void {
    assert.equal(this.ended, undefined);
    for (const side of [0, 1] as const) {
      const { base, growth } = this.pools[side].promised;
      let held = 0;
      let streams = 0;
      for (const { near, far } of this.pairs) {
        const end = side === 0 ? near : far;
        if (!end || end.closed) continue;
        held += end.read - end.consumed;
        streams += 1;
      }
      const early = streams * this.limits.earlyWindowBytes;
      assert.ok(base >= 0 && growth >= 0);
      assert.ok(held <= base + growth + early, `${held} held, ${base} + ${growth} + ${early} promised`);
      const { sent, acked } = this.sessions[side].offsets;
      assert.ok(sent - acked <= this.limits.maxUnackedBytes + this.limits.maxUnackedControlBytes);
    }
  }

  /** Everything that can move, moves; readers take all. Ends where nothing has moved for a while. */
  async run(): Promise<void> {
    for (let idle = 0; idle < 4; ) {
      const before = this.#progress();
      for (const pair of this.pairs) {
        this.accept(pair);
        for (const end of [pair.near, pair.far]) end?.consume(end.read - end.consumed);
      }
      await tick();
      this.resume();
      for (const carrier of this.carriers) carrier.step(1 << 20);
      this.clock.advance(this.limits.ackDelayMs);
      await tick();
      this.check();
      idle = this.#progress() === before ? idle + 1 : 0;
    }
  }

  #progress(): string {
    return JSON.stringify([
      this.pairs.map(({ near, far }) => [
        near.read,
        near.closed,
        near.peerEnded,
        far?.read,
        far?.closed,
        far?.peerEnded,
      ]),
      this.sessions.map(({ offsets }) => offsets),
    ]);
  }
}

const tick = (): Promise<void> => new Promise(resolve => setImmediate(resolve));

type Step =
  | { readonly do: 'open' }
  | { readonly do: 'accept' | 'end' | 'reset'; readonly stream: number; readonly far: boolean }
  | {
      readonly do: 'write' | 'consume';
      readonly stream: number;
      readonly far: boolean;
      readonly bytes: number;
    }
  | { readonly do: 'carry'; readonly far: boolean; readonly bytes: number }
  | { readonly do: 'cut'; readonly far: boolean }
  | { readonly do: 'resume' }
  | { readonly do: 'pass'; readonly ms: number };

const stream = fc.nat(5);
const far = fc.boolean();
const bytes = fc.oneof(fc.constantFrom(1, 100, 1_000), fc.integer({ min: 1, max: 5_000 }));
const stepArbitrary: fc.Arbitrary<Step> = fc.oneof(
  { arbitrary: fc.record({ do: fc.constant('cut' as const), far }), weight: 1 },
  { arbitrary: fc.record({ do: fc.constant('resume' as const) }), weight: 2 },
  { arbitrary: fc.record({ do: fc.constant('open' as const) }), weight: 2 },
  { arbitrary: fc.record({ do: fc.constant('accept' as const), stream, far }), weight: 2 },
  { arbitrary: fc.record({ do: fc.constant('write' as const), stream, far, bytes }), weight: 6 },
  { arbitrary: fc.record({ do: fc.constant('consume' as const), stream, far, bytes }), weight: 6 },
  {
    arbitrary: fc.record({
      do: fc.constant('carry' as const),
      far,
      bytes: fc.oneof(fc.constantFrom(1, 2, 3, 1 << 20), fc.integer({ min: 1, max: 3_000 })),
    }),
    weight: 12,
  },
  { arbitrary: fc.record({ do: fc.constant('end' as const), stream, far }), weight: 1 },
  { arbitrary: fc.record({ do: fc.constant('reset' as const), stream, far }), weight: 1 },
  {
    arbitrary: fc.record({ do: fc.constant('pass' as const), ms: fc.constantFrom(1, 20, 100, 6_000) }),
    weight: 2,
  },
);

function act(world: World, step: Step): void {
  if (step.do === 'open') return world.open();
  if (step.do === 'carry') return void world.carriers[step.far ? 1 : 0].step(step.bytes);
  if (step.do === 'pass') return world.clock.advance(step.ms);
  if (step.do === 'cut') return world.cut(step.far);
  if (step.do === 'resume') return world.resume();
  const pair = world.pairs[step.stream % Math.max(1, world.pairs.length)];
  const end = step.far ? pair?.far : pair?.near;
  if (!pair || !end) return;
  switch (step.do) {
    case 'accept':
      return world.accept(pair);
    case 'write':
      return end.write(step.bytes);
    case 'consume':
      return end.consume(Math.min(step.bytes, end.read - end.consumed));
    case 'end':
      return end.end();
    case 'reset':
      // An end that closed by itself has nothing to reset.
      if (!end.closed) pair.reset = true;
      return end.stream.reset({ code: 'cancelled', text: '' });
  }
}

async function play(world: World, steps: readonly Step[]): Promise<void> {
  world.open();
  for (const step of steps) {
    act(world, step);
    await tick();
    world.check();
  }
  await world.run();
  for (const { near, far, reset } of world.pairs) {
    if (reset) continue;
    assert.ok(far, `stream ${near.stream.id} never arrived`);
    assert.equal(far.read, near.written, `stream ${near.stream.id}, client to gateway`);
    assert.equal(near.read, far.written, `stream ${near.stream.id}, gateway to client`);
    near.end();
    far.end();
  }
  await world.run();
  for (const { near, far, reset } of world.pairs) {
    assert.equal(near.closed?.code, reset ? near.closed?.code : 'done');
    if (reset && near.closed?.code !== 'done') assert.equal(near.closed?.code, 'cancelled');
    assert.ok(far === undefined || far.closed, 'both ends are closed');
  }
  for (const pool of world.pools) assert.deepEqual(pool.promised, { base: 0, growth: 0 });
  assert.equal(world.sessions[0].streamCount + world.sessions[1].streamCount, 0);
  const [a, b] = world.sessions.map(({ offsets }) => offsets);
  assert.deepEqual([a!.sent, a!.received], [b!.received, b!.sent], 'both count the same');
  assert.deepEqual([a!.acked, b!.acked], [a!.sent, b!.sent], 'all of it is acknowledged');
}

/** Time passes here while nothing is carried: what ends a session for that has its own tests. */
const timeless: TunnelLimits = {
  ...defaultTunnelLimits,
  pingIntervalMs: 1e15,
  openTimeoutMs: 1e15,
  patienceMs: 1e15,
  closedPatienceMs: 1e15,
};

/** As small as it goes: each limit is met within a few bytes. */
const tiny: TunnelLimits = {
  ...timeless,
  earlyWindowBytes: 64,
  windowBytes: 256,
  maxWindowBytes: 2_048,
  sessionGrowthBytes: 4_096,
  sharedFrameBytes: 50,
  loneFrameBytes: 200,
  ackEveryBytes: 128,
  maxUnackedBytes: 300,
};

for (const [name, limits, growth, runs] of [
  ['limits of a few bytes', tiny, 6_000, 150],
  ['the default limits', timeless, 1 << 24, 60],
] as const) {
  t.test(
    `any interleaving, cut and resumed anywhere, delivers the same bytes, passes no window and never hangs, with ${name}`,
    async t => {
      const property = fc.asyncProperty(
        fc.array(stepArbitrary, { minLength: 1, maxLength: 150, size: 'max' }),
        async steps => play(new World(limits, growth), steps),
      );
      await fc.assert(property, {
        numRuns: runs,
        interruptAfterTimeLimit: 4_000,
        markInterruptAsFailure: false,
      });
      t.pass('every run');
    },
  );
}

t.test('the model sees a window that is passed: with a sender that ignores credit it fails', async t => {
  const world = new World(tiny, 6_000);
  world.open();
  const { near } = world.pairs[0]!;
  near.stream.sendable = () => 10_000;
  near.write(10_000);
  await t.rejects(world.run());
});
