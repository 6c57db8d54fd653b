import fc from 'fast-check';
import t from 'tap';
import { playScenario, scenarios, worlds } from '../support/http2-model-acts.ts';

/** The model of test/unit/relay/http2/model.test.ts, with other seeds each time. */
const runs = 640;

for (const [name, kind, world] of worlds) {
  t.test(`${runs} random conversations of up to 50 acts: ${name}`, async t => {
    let exchanges = 0;
    await fc.assert(
      fc.asyncProperty(scenarios(kind, world), async scenario => {
        exchanges += (await playScenario(scenario)).exchanges.length;
      }),
      { numRuns: runs, interruptAfterTimeLimit: 280_000 / worlds.length, markInterruptAsFailure: false },
    );
    t.ok(exchanges > 0, `${exchanges} exchanges`);
  });
}
