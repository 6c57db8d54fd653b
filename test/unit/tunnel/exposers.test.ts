import t from 'tap';
import { defaultExposerLimits, Exposers } from '../../../lib/tunnel/exposers.ts';
import type { TunnelSession } from '../../../lib/tunnel/session.ts';
import { ManualClock, quiet, tunnelPair } from '../../support/tunnel-pair.ts';

const { exposeReturnMs, maxAwaitingExpose, maxAwaitingExposePerPrincipal } = defaultExposerLimits;

async function expose(): Promise<TunnelSession> {
  return (await tunnelPair({ role: 'expose' })).gateway.session;
}

/** What came of a look, and whether it is known yet. */
function looked(found: Promise<TunnelSession | undefined>): { result: TunnelSession | undefined | 'waits' } {
  const look: { result: TunnelSession | undefined | 'waits' } = { result: 'waits' };
  void found.then(session => {
    look.result = session;
  });
  return look;
}

t.test(
  'exposeReturnMs: a stream that comes right after the start waits for the expose, at most 3 s',
  async t => {
    const clock = new ManualClock();
    const exposers = new Exposers(clock);
    clock.advance(60_000);
    exposers.started();
    const early = looked(exposers.find('autogen', true, 'alice'));
    const other = looked(exposers.find('other', true, 'alice'));
    clock.advance(exposeReturnMs - 1);
    await quiet();
    t.equal(early.result, 'waits');
    t.equal(exposers.waitingCount, 2);
    const session = await expose();
    exposers.add('autogen', session);
    await quiet();
    t.equal(early.result, session);
    t.equal(other.result, 'waits', 'the expose of another target is none of its');
    clock.advance(1);
    await quiet();
    t.equal(other.result, undefined);
    t.equal(exposers.waitingCount, 0);
    t.equal(await exposers.find('other', true, 'alice'), undefined, 'after that it is refused at once');
  },
);

t.test('a stream waits 3 s for a target whose last expose went or goes away, not for others', async t => {
  const clock = new ManualClock();
  const exposers = new Exposers(clock);
  clock.advance(60_000);
  const [first, second] = [await expose(), await expose()];
  exposers.add('autogen', first);
  first.drain({ code: 'shutdown', text: '' });
  exposers.leaves('autogen');
  const look = looked(exposers.find('autogen', false, 'alice'));
  t.equal(await exposers.find('other', false, 'alice'), undefined);
  await quiet();
  t.equal(look.result, 'waits');
  exposers.add('autogen', second);
  await quiet();
  t.equal(look.result, second);

  second.close({ code: 'internal', text: '' });
  exposers.remove('autogen', second);
  clock.advance(1_000);
  const again = looked(exposers.find('autogen', false, 'alice'));
  clock.advance(exposeReturnMs - 1_000);
  await quiet();
  t.equal(again.result, undefined, 'three seconds from the loss, not from the stream');
});

t.test('a target that keeps one of its exposes is not waited for', async t => {
  const clock = new ManualClock();
  const exposers = new Exposers(clock);
  clock.advance(60_000);
  const [first, second] = [await expose(), await expose()];
  exposers.add('autogen', first);
  exposers.add('autogen', second);
  exposers.remove('autogen', first);
  t.equal(await exposers.find('autogen', true, 'alice'), second);
  second.close({ code: 'internal', text: '' });
  t.equal(await exposers.find('autogen', true, 'alice'), undefined, 'it was not said to be gone');
});

t.test(
  'maxAwaitingExpose, maxAwaitingExposePerPrincipal: 1,024 streams wait, 128 of one principal',
  async t => {
    const clock = new ManualClock();
    const exposers = new Exposers(clock);
    const looks = Array.from({ length: maxAwaitingExposePerPrincipal }, () =>
      looked(exposers.find('autogen', true, 'greedy')),
    );
    t.equal(await exposers.find('autogen', true, 'greedy'), undefined);
    for (let number = 0; exposers.waitingCount < maxAwaitingExpose; number += 1)
      looks.push(looked(exposers.find('autogen', true, `p${number % 64}`)));
    t.equal(await exposers.find('autogen', true, 'alice'), undefined);
    const session = await expose();
    exposers.add('autogen', session);
    await quiet();
    t.equal(looks.length, 1_024);
    t.ok(
      looks.every(({ result }) => result === session),
      'and each of them gets it',
    );
  },
);
