import t from 'tap';
import { runUntilSignalled } from '../../../lib/cli/lifetime.ts';
import { silentLog } from '../../../lib/core/ports.ts';

t.test('what must not go on drains and ends with 1, after it was ready', async t => {
  const calls: string[] = [];
  const failure = Promise.withResolvers<Error>();
  const code = await runUntilSignalled({
    start: async () => ({
      drain: async () => void calls.push('drain'),
      stop: async () => void calls.push('stop'),
      failed: failure.promise,
    }),
    ready: () => {
      calls.push('ready');
      failure.resolve(new Error('bound beyond loopback'));
    },
    log: silentLog,
  });
  t.equal(code, 1);
  t.same(calls, ['ready', 'drain']);
});
