import { readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { Program, run } from '../support/e2e-program.ts';
import { World } from '../support/e2e-world.ts';

t.test('what would undo the encryption is refused at start; the same command starts without it', async t => {
  const world = await World.make(t);
  const keylog = join(world.directory, 'keys.log');
  const refusals: readonly (readonly [string, ConstructorParameters<typeof Program>[1], RegExp])[] = [
    [
      'certificate checks off',
      { env: { NODE_TLS_REJECT_UNAUTHORIZED: '0' } },
      /NODE_TLS_REJECT_UNAUTHORIZED=0/,
    ],
    ['a key log by variable', { env: { SSLKEYLOGFILE: keylog } }, /SSLKEYLOGFILE/],
    ['a key log by option', { nodeOptions: [`--tls-keylog=${keylog}`] }, /--tls-keylog in the command line/],
    [
      'a key log by NODE_OPTIONS',
      { env: { NODE_OPTIONS: `--tls-keylog=${keylog}` } },
      /--tls-keylog in NODE_OPTIONS/,
    ],
    ['the inspector', { nodeOptions: ['--inspect=127.0.0.1:0'] }, /--inspect in the command line/],
    [
      'the inspector by NODE_OPTIONS',
      { env: { NODE_OPTIONS: '--inspect=127.0.0.1:0' } },
      /--inspect in NODE_OPTIONS/,
    ],
  ];
  const config = world.config();
  await Promise.all(
    refusals.map(async ([name, options, what]) => {
      const program = new Program(['gateway', '--config', config], options);
      t.teardown(() => program.kill());
      t.same(await program.ended, { code: 2, signal: null }, name);
      t.match(program.text, /refusing to start/, name);
      t.match(program.text, what, name);
      t.notMatch(program.text, /gateway ready/, name);
    }),
  );
  t.notOk(
    readdirSync(world.directory).includes('keys.log') && statSync(keylog).size > 0,
    'no key was logged',
  );
  const honest = world.program(['gateway', '--config', config]);
  await honest.line(/gateway ready/);
});

t.test('SIGUSR1 opens no inspector', async t => {
  const world = await World.make(t);
  const { program, adminSocket } = await world.gateway();
  program.signal('SIGUSR1');
  const asked = await run(['sessions', '--socket', adminSocket]);
  t.equal(asked.code, 0, 'it is alive and answers');
  t.notMatch(program.text, /Debugger listening/);
});
