import fc from 'fast-check';
import t from 'tap';
import { scanMessage } from '../../../../lib/wire/autogen/scan.ts';
import { target } from '../../../fuzz/autogen-messages.ts';
import { namesOf, randomMessage, twinNames } from '../../../support/autogen-messages.ts';
import { Random } from '../../../support/fuzz.ts';

t.test('1,000 messages, honest and mutated, are read and spliced as by the full decoder', async () => {
  fc.assert(
    fc.property(fc.integer(), seed => {
      target.once(new Random(seed));
    }),
    { numRuns: 1_000 },
  );
});

t.test('every truncation of 200 messages is refused or read as by the full decoder', async t => {
  let refused = 0;
  for (let seed = 0; seed < 200; seed += 1) {
    const bytes = randomMessage(new Random(seed)).subarray(0, 400);
    for (let length = 1; length < bytes.byteLength; length += 1) {
      const cut = bytes.subarray(0, length);
      let view: ReturnType<typeof scanMessage>;
      try {
        view = scanMessage(cut);
      } catch {
        refused += 1;
        continue;
      }
      t.same(namesOf(view), twinNames(cut));
    }
  }
  t.ok(refused > 1_000, `${refused} refused`);
});
