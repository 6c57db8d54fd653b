import fc from 'fast-check';
import t from 'tap';
import { playScenario, scenarios, worlds } from '../../../support/http2-model-acts.ts';

/**
 * Raw peers that know the rules on both sides of the relay, in simulated time. The model is simple: what arrives is a
 * prefix of what was sent, in order and nowhere else, and all of it where nothing was cut; nobody's window or limit is
 * passed; credit comes back; everything ends; nothing is left.
 */
for (const [name, kind, world] of worlds) {
  t.test(`15 random conversations of up to 50 acts: ${name}`, async t => {
    let exchanges = 0;
    let whole = 0;
    await fc.assert(
      fc.asyncProperty(scenarios(kind, world), async scenario => {
        const model = await playScenario(scenario);
        exchanges += model.exchanges.length;
        whole += model.exchanges.filter(({ up, down }) => up.whole && down.whole).length;
      }),
      { numRuns: 15, seed: 9_113 },
    );
    t.ok(exchanges > 15, `${exchanges} exchanges`);
    t.ok(whole > exchanges / 10, `${whole} of them whole`);
  });
}
