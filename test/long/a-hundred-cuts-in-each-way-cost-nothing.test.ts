import t, { type Test } from 'tap';
import {
  type CutWorld,
  type Leg,
  legs,
  startCutWorld,
  summary,
  type Way,
  ways,
} from '../support/cuts-legs.ts';
import { World } from '../support/e2e-world.ts';

const seed = 1_124;
const cuts = 100;

async function cutOften(world: CutWorld, way: Way, leg: Leg): Promise<string> {
  const times: number[] = [];
  for (let i = 0; i < cuts; i += 1) times.push(await world.cut(way, leg));
  return `${way} on ${way === 'both' ? 'both legs' : leg}: ${cuts} cuts, ${summary(times)}`;
}

async function finish(t: Test, world: CutWorld): Promise<void> {
  await world.load.end();
  t.pass(`${world.load.bytes} B, each once and in its place`);
  t.equal(world.sessions(), 2, 'one session each, from the beginning to the end');
  for (const leg of legs) await world.cutters[leg].close();
}

t.test('100 cuts of each leg in five ways at random moments: nothing lost, doubled or swapped', async t => {
  const world = await startCutWorld(await World.make(t), seed, 8);
  for (const way of ways) {
    if (way === 'black-hole') continue;
    for (const leg of way === 'both' ? (['connect'] as const) : legs) t.pass(await cutOften(world, way, leg));
  }
  await finish(t, world);
});

t.test('100 black holes on each leg: nothing lost, doubled or swapped', async t => {
  // Each takes its time to be found out: the two legs side by side.
  const runs = legs.map(async (leg, i) => {
    const world = await startCutWorld(await World.make(t), seed + 1 + i, 4);
    t.pass(await cutOften(world, 'black-hole', leg));
    await finish(t, world);
  });
  await Promise.all(runs);
});
