import fc from 'fast-check';
import t from 'tap';
import { scanBeginning, scanMessage } from '../../../../lib/wire/autogen/scan.ts';
import { target } from '../../../fuzz/autogen-messages.ts';
import { namesOf, part, randomMessage, twinNames } from '../../../support/autogen-messages.ts';
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

t.test('the first 4 KiB of a request of 5 MB say its id and target, and of an event its topic', async t => {
  const data = part(5, [part(1, 'Blob'), part(2, 'application/json'), part(3, [Buffer.alloc(5_000_000)])]);
  const request = part(1, [part(1, '17'), part(3, [part(1, 'writer'), part(2, 'k')]), data]);
  const beginning = scanBeginning(request.subarray(0, 4_096), request.byteLength);
  t.equal(beginning.found, true);
  t.match(beginning.view, { kind: 'request', requestId: '17', target: { type: 'writer', key: 'k' } });
  const event = part(3, [part(2, 'session'), part(4, 'news'), part(6, [Buffer.alloc(5_000_000)])]);
  t.match(scanBeginning(event.subarray(0, 4_096), event.byteLength), {
    found: true,
    view: { kind: 'event', topicType: 'news', topicSource: 'session' },
  });
});

t.test('a request id behind the cut is not found, and half an agent is none', async t => {
  const late = part(1, [part(5, [part(3, [Buffer.alloc(9_000)])]), part(1, '17')]);
  t.match(scanBeginning(late.subarray(0, 4_096), late.byteLength), {
    found: false,
    view: { kind: 'request', requestId: '' },
  });
  const request = part(1, [part(1, '17'), part(3, [part(1, 'writer'), part(2, 'k')])]);
  for (let length = 0; length < request.byteLength; length += 1) {
    const { found, view } = scanBeginning(request.subarray(0, length), request.byteLength);
    t.equal(found, length >= 6, `of ${length} bytes`);
    if (length >= 2) t.match(view, { target: undefined });
  }
  t.equal(scanBeginning(request.subarray(0, 1), request.byteLength).view, undefined);
  const lying = part(1, [Buffer.of(0x0a, 0x7f, 0x31)]);
  t.throws(
    () => scanBeginning(lying, lying.byteLength),
    { code: 'protocol', reason: 'length' },
    'what is wrong is refused',
  );
});
