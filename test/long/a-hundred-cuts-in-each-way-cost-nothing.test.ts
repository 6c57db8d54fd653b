import t from 'tap';
import { cutOften, finish, legs, startCutWorld, ways } from '../support/cuts-legs.ts';
import { World } from '../support/e2e-world.ts';

const seed = 1_124;
const cuts = 100;

t.test('100 cuts of each leg in five ways at random moments: nothing lost, doubled or swapped', async t => {
  const world = await startCutWorld(await World.make(t), seed, 8);
  for (const way of ways) {
    if (way === 'black-hole') continue;
    for (const leg of way === 'both' ? (['connect'] as const) : legs)
      t.pass(await cutOften(world, way, leg, cuts));
  }
  await finish(t, world);
});
