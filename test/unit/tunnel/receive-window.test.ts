import assert from 'node:assert/strict';
import fc from 'fast-check';
import t from 'tap';
import { defaultTunnelLimits } from '../../../lib/tunnel/options.ts';
import { ReceiveWindow } from '../../../lib/tunnel/receive-window.ts';
import { WindowPool, WindowShare } from '../../../lib/tunnel/window-pool.ts';

const limits = defaultTunnelLimits;
const mib = 1024 * 1024;

/**
 * A link of so many bytes a millisecond with this round trip, a sender that always has bytes, a reader that takes all
 * at once. Returns the bytes that came through in each round trip.
 */
function transfer(
  perMs: number,
  roundTripMs: number,
  roundTrips: number,
): { rates: number[]; window: number } {
  const window = new ReceiveWindow(limits, new WindowPool({ baseBytes: 24 * mib, growthBytes: 64 * mib }));
  let sent = 0;
  /** Limits that are on their way back to the sender. */
  const credits = [{ atMs: 0, limit: window.open(0) }];
  const inFlight: { atMs: number; bytes: number }[] = [];
  let allowed = 0;
  const rates: number[] = [];
  for (let ms = 0; ms < roundTripMs * roundTrips; ms += 1) {
    while (credits[0] && credits[0].atMs <= ms) allowed = Math.max(allowed, credits.shift()!.limit);
    const bytes = Math.min(perMs, allowed - sent);
    if (bytes > 0) {
      sent += bytes;
      inFlight.push({ atMs: ms + roundTripMs / 2, bytes });
    }
    while (inFlight[0] && inFlight[0].atMs <= ms) {
      const { bytes } = inFlight.shift()!;
      assert.ok(window.receive(bytes));
      const limit = window.consume(bytes, ms, roundTripMs);
      if (limit !== undefined) credits.push({ atMs: ms + roundTripMs / 2, limit });
      const trip = Math.floor(ms / roundTripMs);
      rates[trip] = (rates[trip] ?? 0) + bytes;
    }
  }
  return { rates, window: window.size };
}

t.test(
  'at 100 Mbit/s and 40 ms the window grows until the link is full, to 4 times its product at most',
  async t => {
    const perMs = 12_500;
    const { rates, window } = transfer(perMs, 40, 12);
    t.equal(rates[0], 65_536, 'at first the window is what limits');
    t.equal(rates.at(-1), perMs * 40, 'in the end the link is');
    t.ok(window >= perMs * 40 && window <= 4 * 2 * perMs * 40, `${window}`);
  },
);

t.test('at 1 Mbit/s and 20 ms it stays at its 64 KiB', async t => {
  t.equal(transfer(125, 20, 60).window, 65_536);
});

t.test('at 10 Gbit/s and 100 ms it stops at 4 MiB', async t => {
  t.equal(transfer(1_250_000, 100, 30).window, 4 * mib);
});

type Step =
  | { readonly do: 'receive'; readonly part: number }
  | { readonly do: 'consume'; readonly part: number }
  | { readonly do: 'pass'; readonly ms: number }
  | { readonly do: 'open' | 'end' | 'release' };

const part = fc.double({ min: 0, max: 1, noNaN: true });
const stepArbitrary: fc.Arbitrary<Step> = fc.oneof(
  { arbitrary: fc.record({ do: fc.constant('receive' as const), part }), weight: 6 },
  { arbitrary: fc.record({ do: fc.constant('consume' as const), part }), weight: 6 },
  {
    arbitrary: fc.record({ do: fc.constant('pass' as const), ms: fc.constantFrom(0, 1, 5, 6_000) }),
    weight: 3,
  },
  { arbitrary: fc.record({ do: fc.constant('open' as const) }), weight: 2 },
  fc.record({ do: fc.constantFrom('end' as const, 'release' as const) }),
);

t.test(
  'whatever streams do, the pool holds what they were promised, never less than nothing, in the end nothing',
  async t => {
    const pool = new WindowPool({ baseBytes: 300_000, growthBytes: 2 * mib });
    const share = new WindowShare(pool, mib);
    const property = fc.property(fc.array(fc.tuple(fc.nat(3), stepArbitrary), { maxLength: 120 }), steps => {
      const streams = Array.from({ length: 4 }, () => ({
        window: new ReceiveWindow(limits, share),
        opened: false,
        ended: false,
        gone: false,
        announced: limits.earlyWindowBytes,
      }));
      let nowMs = 0;
      for (const [index, step] of steps) {
        const stream = streams[index]!;
        if (step.do === 'pass') {
          nowMs += step.ms;
          for (const { window, gone } of streams) if (!gone) window.tick(nowMs);
        } else if (!stream.gone) act(stream, step, nowMs);
        let outstanding = 0;
        for (const { window, gone } of streams) if (!gone) outstanding += window.outstanding;
        const { base, growth } = pool.promised;
        assert.ok(base >= 0 && growth >= 0, `${base} ${growth}`);
        assert.ok(growth <= mib, `session budget: ${growth}`);
        const early = streams.length * limits.earlyWindowBytes;
        assert.ok(outstanding <= base + growth + early, `${outstanding} > ${base} + ${growth} + ${early}`);
      }
      for (const { window, gone } of streams) if (!gone) window.release();
      assert.deepEqual(pool.promised, { base: 0, growth: 0 });
    });
    fc.assert(property, { numRuns: 400 });
    t.pass('held throughout');
  },
);

interface Stream {
  readonly window: ReceiveWindow;
  opened: boolean;
  ended: boolean;
  gone: boolean;
  announced: number;
}

function act(stream: Stream, step: Exclude<Step, { do: 'pass' }>, nowMs: number): void {
  const { window } = stream;
  switch (step.do) {
    case 'receive': {
      const bytes = stream.ended ? 0 : Math.floor(window.unused * step.part);
      assert.ok(window.receive(bytes));
      return;
    }
    case 'consume': {
      const limit = window.consume(Math.floor(window.outstanding * step.part), nowMs, 5);
      if (limit === undefined) return;
      assert.ok(limit >= stream.announced, 'a limit never goes back');
      stream.announced = limit;
      return;
    }
    case 'open': {
      if (stream.opened) return;
      stream.opened = true;
      const limit = window.open(nowMs);
      assert.ok(limit >= stream.announced);
      stream.announced = limit;
      return;
    }
    case 'end':
      stream.ended = true;
      window.end();
      return;
    case 'release':
      stream.gone = true;
      window.release();
  }
}
