import { spawnSync } from 'node:child_process';
import t from 'tap';
import { assertSafeEnvironment } from '../../../lib/config/environment.ts';

t.test('an ordinary environment is let pass', async t => {
  assertSafeEnvironment(
    { PATH: '/bin', NODE_OPTIONS: '--max-old-space-size=512' },
    ['--disable-sigusr1'],
    undefined,
  );
  assertSafeEnvironment({ NODE_TLS_REJECT_UNAUTHORIZED: '1', SSLKEYLOGFILE: '' }, [], undefined);
  t.pass();
});

t.test('what would undo the encryption refuses the start, with what to do', async t => {
  const cases: [Record<string, string>, string[], RegExp][] = [
    [
      { NODE_TLS_REJECT_UNAUTHORIZED: '0' },
      [],
      /NODE_TLS_REJECT_UNAUTHORIZED=0 switches certificate checks off: unset it/,
    ],
    [{ SSLKEYLOGFILE: '/tmp/keys' }, [], /SSLKEYLOGFILE asks for the keys/],
    [{ NODE_OPTIONS: '--tls-keylog=/tmp/keys' }, [], /--tls-keylog in NODE_OPTIONS/],
    [{ NODE_OPTIONS: '--x  "--tls-keylog" /tmp/keys' }, [], /--tls-keylog in NODE_OPTIONS/],
    [{ NODE_OPTIONS: '--inspect-brk=0.0.0.0:9229' }, [], /--inspect-brk in NODE_OPTIONS lets a debugger/],
    [{}, ['--inspect'], /--inspect in the command line of node/],
    [{}, ['--inspect_wait'], /--inspect-wait in the command line of node/],
    [{}, ['--tls_keylog=x'], /--tls-keylog in the command line of node/],
    [{}, ['--insecure-http-parser'], /--insecure-http-parser/],
    [{}, ['--tls-min-v1.0'], /--tls-min-v1.0/],
  ];
  for (const [env, execArgv, message] of cases)
    t.throws(() => assertSafeEnvironment(env, execArgv, undefined), { code: 'usage', message });
  t.throws(() => assertSafeEnvironment({}, [], 'ws://127.0.0.1:9229/x'), {
    message: /the inspector is open/,
  });
});

t.test('all that is wrong is said at once', async t => {
  t.throws(
    () =>
      assertSafeEnvironment(
        { SSLKEYLOGFILE: 'x', NODE_TLS_REJECT_UNAUTHORIZED: '0' },
        ['--inspect'],
        'ws://x',
      ),
    {
      message: /^refusing to start:\n( {2}.*\n){3} {2}.*$/,
    },
  );
});

t.test('a process whose inspector is really open is refused, the same without it is not', async t => {
  const module = new URL('../../../lib/config/environment.ts', import.meta.url).href;
  const program = `import { assertSafeEnvironment } from '${module}'; assertSafeEnvironment({}, []);`;
  const run = (...options: string[]) =>
    spawnSync(process.execPath, [...options, '--input-type=module', '--eval', program], { encoding: 'utf8' });
  t.equal(run().status, 0);
  t.match(run('--inspect=127.0.0.1:0').stderr, /the inspector is open/);
});
