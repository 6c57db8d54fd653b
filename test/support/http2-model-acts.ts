/** Random scenarios for the model of the relay: worlds, and what happens in them. */
import fc from 'fast-check';
import { Random } from './fuzz.ts';
import { type Act, Http2Model, type ModelOptions, type Step } from './http2-model.ts';
import type { Announced } from './http2-model-peer.ts';
import { deliveryModes } from './relay-pipes.ts';

const at = fc.nat(11);
const far = fc.boolean();
const on = fc.boolean();
const bytes = fc.oneof(
  { arbitrary: fc.constantFrom(0, 1, 9, 100, 1_024, 16_384), weight: 5 },
  { arbitrary: fc.integer({ min: 1, max: 3_000 }), weight: 6 },
  { arbitrary: fc.integer({ min: 1, max: 70_000 }), weight: 1 },
);
const padding = fc.oneof(
  { arbitrary: fc.constant(undefined), weight: 3 },
  { arbitrary: fc.nat(255), weight: 1 },
);
const large = fc.oneof(
  { arbitrary: fc.constant(0), weight: 12 },
  { arbitrary: fc.constantFrom(3_000, 20_000), weight: 1 },
);
const seldom = fc.oneof(
  { arbitrary: fc.constant(false), weight: 4 },
  { arbitrary: fc.constant(true), weight: 1 },
);

const step: fc.Arbitrary<Step> = fc.oneof(
  { arbitrary: fc.record({ say: fc.constant('info' as const) }), weight: 1 },
  { arbitrary: fc.record({ say: fc.constant('head' as const), end: seldom, large }), weight: 3 },
  { arbitrary: fc.record({ say: fc.constant('data' as const), bytes, padding, end: seldom }), weight: 8 },
  { arbitrary: fc.record({ say: fc.constant('end' as const), trailers: fc.boolean(), large }), weight: 1 },
);

function one<K extends keyof Announced>(key: K, ...values: number[]): fc.Arbitrary<Partial<Announced>> {
  return fc.constantFrom(...values).map(value => ({ [key]: value }));
}

const change = fc.oneof(
  { arbitrary: one('windowBytes', 0, 0, 1, 100, 5_000, 65_535, 200_000, 0x7fffffff - 2_000_000), weight: 4 },
  { arbitrary: one('tableBytes', 0, 0, 100, 4_096, 65_536), weight: 2 },
  { arbitrary: one('maxFrameBytes', 16_384, 20_000, 65_536), weight: 1 },
  { arbitrary: one('maxStreams', 1, 1, 2, 3, 100), weight: 2 },
  { arbitrary: one('maxListBytes', 300, 4_000, 1_000_000), weight: 1 },
);

const judged = fc.oneof(
  { arbitrary: fc.constant('at once' as const), weight: 6 },
  { arbitrary: fc.constantFrom('late' as const, 'refused' as const, 'refused late' as const), weight: 2 },
);

const open = fc.record({
  do: fc.constant('open' as const),
  client: at,
  method: fc.constantFrom('POST', 'POST', 'POST', 'GET', 'HEAD'),
  grpc: fc.boolean(),
  end: seldom,
  large,
  judged,
  up: fc.array(step, { maxLength: 4 }),
  down: fc.array(step, { maxLength: 4 }),
});

const calm = [
  { arbitrary: open, weight: 7 },
  { arbitrary: fc.record({ do: fc.constant('say' as const), x: at, far, step }), weight: 10 },
  {
    arbitrary: fc.record({ do: fc.constant('hold' as const), x: at, far, connection: fc.boolean(), on }),
    weight: 3,
  },
  {
    arbitrary: fc.record({
      do: fc.constant('widen' as const),
      x: at,
      far,
      connection: fc.boolean(),
      bytes: fc.constantFrom(1, 1_000, 100_000),
    }),
    weight: 2,
  },
  { arbitrary: fc.record({ do: fc.constant('announce' as const), x: at, far, change }), weight: 4 },
  {
    arbitrary: fc.record({
      do: fc.constant('table' as const),
      x: at,
      far,
      bytes: fc.constantFrom(0, 200, 4_096),
    }),
    weight: 1,
  },
  { arbitrary: fc.record({ do: fc.constant('stall' as const), x: at, far, on }), weight: 3 },
  { arbitrary: fc.record({ do: fc.constant('ping' as const), x: at, far }), weight: 1 },
  {
    arbitrary: fc.record({
      do: fc.constant('pass' as const),
      ms: fc.oneof(fc.integer({ min: 1, max: 10 }), fc.constantFrom(50, 500)),
    }),
    weight: 10,
  },
];

const rough = [
  {
    arbitrary: fc.record({
      do: fc.constant('reset' as const),
      x: at,
      far,
      code: fc.constantFrom(0, 0, 0, 2, 7, 8, 11),
    }),
    weight: 4,
  },
  {
    arbitrary: fc.record({
      do: fc.constant('goaway' as const),
      x: at,
      far: seldom.map(x => !x),
      back: fc.nat(2),
    }),
    weight: 1,
  },
  { arbitrary: fc.record({ do: fc.constant('lose' as const), x: at, far }), weight: 1 },
  { arbitrary: fc.record({ do: fc.constant('drain' as const), client: at }), weight: 1 },
  { arbitrary: fc.record({ do: fc.constant('revoke' as const), client: at }), weight: 1 },
];

/** Slow and small, but not so slow that a deadline of the relay's runs out. */
const pipes = deliveryModes.flatMap(mode =>
  [
    { bufferBytes: 400, readBytes: 100, maxDelayMs: 0 },
    { bufferBytes: 3_000, readBytes: 1_000, maxDelayMs: 1 },
    { bufferBytes: 65_536, readBytes: 16_384, maxDelayMs: 5 },
  ].map(pipe => ({ mode, ...pipe })),
);

export interface Scenario extends Omit<ModelOptions, 'random'> {
  readonly seed: number;
  readonly acts: readonly Act[];
}

/** `calm`: nothing is ever cut, so all must arrive whole. */
export function scenarios(kind: 'calm' | 'rough', world: Partial<ModelOptions>): fc.Arbitrary<Scenario> {
  const acts: fc.Arbitrary<Act> = fc.oneof(...(kind === 'calm' ? calm : [...calm, ...rough]));
  return fc
    .record({
      seed: fc.integer(),
      clients: fc.integer({ min: 1, max: 3 }),
      pipe: fc.constantFrom(...pipes),
      first: fc.oneof(
        fc.constant({}),
        one('windowBytes', 0, 1, 1_000, 1_000_000),
        one('maxStreams', 1, 2),
        one('tableBytes', 0, 100),
      ),
      acts: fc.array(acts, { minLength: 5, maxLength: 50, size: 'max' }),
    })
    .map(({ pipe, ...scenario }) => ({ shared: false, ...pipe, ...scenario, ...world }))
    .map(scenario => (world.holdsConnections ? { ...scenario, acts: scenario.acts.map(larger) } : scenario));
}

/** So that the windows of connections are used up. */
function larger(act: Act): Act {
  if (act.do === 'open') return { ...act, up: act.up.map(largerStep), down: act.down.map(largerStep) };
  return act.do === 'say' ? { ...act, step: largerStep(act.step) } : act;
}

function largerStep(step: Step): Step {
  return step.say === 'data' ? { ...step, bytes: Math.min(50_000, step.bytes * 20) } : step;
}

export async function playScenario({ seed, acts, ...world }: Scenario): Promise<Http2Model> {
  const model = new Http2Model({ ...world, random: new Random(seed) });
  await model.play(acts);
  return model;
}

const small = { streamWindowBytes: 1_000, maxStreamWindowBytes: 8_000, connectionWindowBytes: 65_535 };

/** The worlds that both the short and the long run go through. */
export const worlds: readonly (readonly [name: string, kind: 'calm' | 'rough', Partial<ModelOptions>])[] = [
  ['a connection upstream for each client, nothing cut', 'calm', {}],
  [
    'one connection upstream for all clients, nothing cut',
    'calm',
    { shared: true, upstream: { maxConnections: 1 } },
  ],
  [
    'windows of 1,000 B and an output of 2,000 B, nothing cut',
    'calm',
    { shared: true, limits: { ...small, outputMarkBytes: 2_000 } },
  ],
  ['a connection upstream for each client, everything cut', 'rough', {}],
  ['shared connections upstream, everything cut', 'rough', { shared: true, upstream: { maxConnections: 2 } }],
  [
    'windows of 1,000 B that grow, an output of 500 B, everything cut',
    'rough',
    {
      shared: true,
      upstream: { maxConnections: 1 },
      limits: { ...small, outputMarkBytes: 500, maxOutputBytes: 60_000 },
      growthBytes: 20_000,
    },
  ],
  [
    'windows of connections used up, nothing cut',
    'calm',
    { shared: true, upstream: { maxConnections: 1 }, holdsConnections: true, clients: 3 },
  ],
  [
    'a held budget, waiting and streams that run short, upstreams that are not there',
    'rough',
    {
      shared: true,
      upstream: { maxConnections: 2, maxWaiting: 2, maxStreamsPerPrincipal: 3 },
      heldBytes: 40_000,
      unreachable: 30,
    },
  ],
];
