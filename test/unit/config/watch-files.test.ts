import { mkdirSync, mkdtempSync, renameSync, rmSync, symlinkSync, unlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { pollMs, watchFiles } from '../../../lib/config/watch-files.ts';
import { systemClock } from '../../../lib/core/clock.ts';
import { manualClock } from '../../support/observe-clock.ts';

function scratch(t: Test): string {
  const directory = mkdtempSync(join(tmpdir(), 'lw-watch-'));
  t.teardown(() => rmSync(directory, { recursive: true, force: true }));
  return directory;
}

t.test(
  'a file that is written, replaced by rename, or reached by a link that is turned, is a change',
  async t => {
    const directory = scratch(t);
    for (const version of ['one', 'two', 'three']) {
      mkdirSync(join(directory, version));
      writeFileSync(join(directory, version, 'tls.crt'), version);
    }
    const plain = join(directory, 'policy.cedar');
    const linked = join(directory, 'tls.crt');
    writeFileSync(plain, 'a');
    symlinkSync('one', join(directory, '..data'));
    symlinkSync('..data/tls.crt', linked);
    let waiting: (() => void) | undefined;
    const watch = watchFiles([plain, linked], systemClock, () => waiting?.());
    t.teardown(() => watch.close());
    const changed = (change: () => void): Promise<void> =>
      new Promise(resolve => {
        waiting = resolve;
        change();
      });
    // The clock's timers hold no process, nor does a watch.
    const alive = setInterval(() => {}, 1000);
    await changed(() => writeFileSync(plain, 'b'));
    await changed(() => {
      writeFileSync(`${plain}.new`, 'c');
      renameSync(`${plain}.new`, plain);
    });
    await changed(() => {
      symlinkSync('two', join(directory, '..next'));
      renameSync(join(directory, '..next'), join(directory, '..data'));
    });
    await changed(() => unlinkSync(plain));
    clearInterval(alive);
    t.pass('each was seen');
  },
);

t.test(
  'without events a look each 60 s finds it; another file of the same directory is no change',
  async t => {
    const directory = scratch(t);
    const file = join(directory, 'gateway.json');
    writeFileSync(file, 'a');
    const clock = manualClock();
    let changes = 0;
    const watch = watchFiles([file], clock, () => {
      changes += 1;
    });
    writeFileSync(join(directory, 'other'), 'x');
    clock.advance(pollMs);
    t.equal(changes, 0);
    writeFileSync(file, 'bb');
    clock.advance(pollMs - 1);
    t.equal(changes, 0);
    clock.advance(1);
    t.equal(changes, 1);
    clock.advance(pollMs);
    t.equal(changes, 1, 'once');
    watch.close();
    t.equal(clock.timers, 0, 'nothing is left behind');
  },
);
