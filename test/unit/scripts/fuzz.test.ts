import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import t from 'tap';
import { eachAtMost } from '../../support/fuzz.ts';

const runner = fileURLToPath(new URL('../../fuzz/run.ts', import.meta.url));

function fuzz(...args: string[]): Promise<{ code: number; out: string }> {
  return new Promise(resolve => {
    execFile(process.execPath, [runner, ...args], (error, out) =>
      resolve({ code: error === null ? 0 : Number(error.code), out }),
    );
  });
}

t.test('of 7 items at most 2 are worked on at a time, and all 7 in the end, in their order', async t => {
  const started: number[] = [];
  const running = new Set<PromiseWithResolvers<void>>();
  let most = 0;
  const all = eachAtMost(2, [1, 2, 3, 4, 5, 6, 7], async item => {
    started.push(item);
    const end = Promise.withResolvers<void>();
    running.add(end);
    most = Math.max(most, running.size);
    await end.promise;
    running.delete(end);
  });
  while (running.size > 0) {
    for (const end of running) end.resolve();
    await new Promise(setImmediate);
  }
  await all;
  t.equal(most, 2);
  t.same(started, [1, 2, 3, 4, 5, 6, 7]);
});

t.test('two targets run side by side, five tries each, and both are counted', async t => {
  const { code, out } = await fuzz(
    '--jobs',
    '2',
    '--tries',
    '5',
    '--seed',
    '7',
    'tunnel-decoder',
    'tunnel-session',
  );
  t.match(out, /^seed 7$/m);
  t.match(out, /^ok {5}tunnel-decoder: 5 tries$/m);
  t.match(out, /^ok {5}tunnel-session: 5 tries$/m);
  t.match(out, /\n2 passed, 0 failed\n$/);
  t.equal(code, 0);
});

t.test('a target that is not there and jobs out of 1 to 16 fail', async t => {
  const unknown = await fuzz('--tries', '1', 'no-such-target');
  t.match(unknown.out, /FAILED no-such-target .*no such target, there are .*tunnel-decoder/);
  t.equal(unknown.code, 1);
  for (const jobs of ['0', '17', 'two']) {
    const refused = await fuzz('--jobs', jobs, 'tunnel-decoder');
    t.match(refused.out, `--jobs ${jobs}: expected 1 to 16`);
    t.equal(refused.code, 1);
  }
});
