import fc from 'fast-check';
import t from 'tap';
import type { Act } from '../../support/cuts-acts.ts';
import { play } from '../../support/cuts-acts.ts';
import { cutKinds, type Delivery } from '../../support/cuts-network.ts';
import { Simulation } from '../../support/cuts-sim.ts';
import { Random } from '../../support/fuzz.ts';

/**
 * A real client and a real gateway on a simulated network and clock, with every kind of cut at every moment, handshakes
 * of a resume among them. The model is the simplest there is: what a stream delivers is a prefix of what was written,
 * always, and in the end all of it. Patience, pings, redials and limits are those of the product.
 */

const stream = fc.nat(5);
const far = fc.boolean();
const bytes = fc.oneof(fc.constantFrom(1, 100, 5_000), fc.integer({ min: 1, max: 150_000 }));

const act: fc.Arbitrary<Act> = fc.oneof(
  { arbitrary: fc.record({ do: fc.constant('open' as const) }), weight: 3 },
  { arbitrary: fc.record({ do: fc.constant('write' as const), stream, far, bytes }), weight: 8 },
  { arbitrary: fc.record({ do: fc.constant('end' as const), stream, far }), weight: 1 },
  { arbitrary: fc.record({ do: fc.constant('reset' as const), stream, far }), weight: 1 },
  { arbitrary: fc.record({ do: fc.constant('stall' as const), stream, far, on: fc.boolean() }), weight: 2 },
  {
    arbitrary: fc.record({ do: fc.constant('cut' as const), kind: fc.constantFrom(...cutKinds) }),
    weight: 3,
  },
  {
    arbitrary: fc.record({
      do: fc.constant('outage' as const),
      ms: fc.integer({ min: 1, max: 2_000 }),
      how: fc.constantFrom('refused' as const, 'swallowed' as const),
    }),
    weight: 1,
  },
  {
    arbitrary: fc.record({
      do: fc.constant('pass' as const),
      ms: fc.oneof(fc.integer({ min: 1, max: 150 }), fc.constantFrom(1_000, 5_000, 20_000)),
    }),
    weight: 10,
  },
);

const scenario = fc.record({
  seed: fc.integer(),
  role: fc.constantFrom('connect' as const, 'expose' as const),
  delivery: fc.constantFrom<Delivery>('whole', 'parts', 'one-byte'),
  acts: fc.array(act, { minLength: 5, maxLength: 60, size: 'max' }),
});

for (const [name, patient, limits, runs] of [
  ['of a session that is never given up', true, {}, 40],
  [
    'with windows and buffers of a few hundred bytes',
    true,
    { windowBytes: 600, maxUnackedBytes: 900, earlyWindowBytes: 100 },
    25,
  ],
  ['of a session with the patience it has', false, {}, 25],
] as const) {
  t.test(`whatever is cut, all streams deliver what was written, in order and once: ${name}`, async t => {
    let resumes = 0;
    await fc.assert(
      fc.asyncProperty(scenario, async ({ seed, role, delivery, acts }) => {
        const simulation = new Simulation({ random: new Random(seed), role, delivery, limits, patient });
        await play(simulation, acts);
        resumes += simulation.resumes;
      }),
      { numRuns: runs, interruptAfterTimeLimit: 6_000, markInterruptAsFailure: false },
    );
    t.ok(resumes > 0, `${resumes} resumes`);
  });
}
