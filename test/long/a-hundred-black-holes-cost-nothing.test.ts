import t from 'tap';
import { cutOften, finish, legs, startCutWorld } from '../support/cuts-legs.ts';
import { World } from '../support/e2e-world.ts';

const seed = 1_125;
const cuts = 100;

t.test('100 black holes on each leg: nothing lost, doubled or swapped', async t => {
  // Each takes its time to be found out: the two legs side by side.
  const runs = legs.map(async (leg, i) => {
    const world = await startCutWorld(await World.make(t), seed + i, 4);
    t.pass(await cutOften(world, 'black-hole', leg, cuts));
    await finish(t, world);
  });
  await Promise.all(runs);
});
