import { closeSync, mkdtempSync, openSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t from 'tap';
import { LockwireError } from '../../../lib/core/errors.ts';
import { createLog } from '../../../lib/observe/log.ts';
import { isSecretName, safeFields, safeLogText } from '../../../lib/observe/log-value.ts';
import { manualClock } from '../../support/observe-clock.ts';

function capture(format: 'json' | 'text', level: 'debug' | 'info' | 'warn' | 'error' = 'debug') {
  const lines: string[] = [];
  const log = createLog({ level, format, write: line => lines.push(line), clock: manualClock() });
  return { lines, log };
}

t.test('a JSON line has level, time, fields and message', async t => {
  const { lines, log } = capture('json');
  log.child({ listener: 'public' }).info({ bytesUp: 1024, resumed: false }, 'session ended');
  t.equal(lines[0]?.at(-1), '\n');
  t.strictSame(JSON.parse(lines[0] ?? ''), {
    level: 'info',
    time: '2026-01-02T03:04:05.000Z',
    listener: 'public',
    bytesUp: 1024,
    resumed: false,
    msg: 'session ended',
  });
});

t.test('a line for people has time, level, message and fields', async t => {
  const { lines, log } = capture('text');
  log.warn(
    { who: 'User::corp|alice', reason: 'peer went away', bytes: 5, groups: ['a'], note: '' },
    'session ended',
  );
  t.match(
    lines[0],
    /^\d\d:\d\d:05 warn {2}session ended who=User::corp\|alice reason="peer went away" bytes=5 groups=\["a"\] note=""\n$/,
  );
});

t.test('lines below the level are not written', async t => {
  const { lines, log } = capture('json', 'warn');
  log.debug({}, 'a');
  log.info({}, 'b');
  log.warn({}, 'c');
  log.error({}, 'd');
  t.strictSame(
    lines.map(line => JSON.parse(line).msg),
    ['c', 'd'],
  );
});

t.test(
  'control, ANSI, bidirectional and line-ending characters of a peer are escaped, in values, keys and messages',
  async t => {
    const attacks = [
      '\u001b[2J\u001b]0;owned\u0007',
      'ok\r\n{"level":"error","msg":"forged"}',
      'a\u202egnp.exe\u2066b\u2069',
      'zero\u200bwidth\ufeff',
      'line\u2028separator\u2029',
      'c1\u009b31mred',
      'nul\u0000byte\u007f',
    ];
    for (const format of ['json', 'text'] as const) {
      const { lines, log } = capture(format);
      for (const attack of attacks) {
        log.info({ sni: attack, [attack]: 1, deep: { list: [attack] } }, attack);
        log.info({ error: new Error(attack) }, 'failed');
      }
      t.equal(lines.length, attacks.length * 2);
      for (const line of lines) {
        t.notMatch(line.slice(0, -1), /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/u, 'no such character is left');
        t.equal(line.split('\n').length, 2, 'one line stays one line');
        if (format === 'json') t.match(JSON.parse(line), { level: 'info' });
      }
    }
    const { lines, log } = capture('json');
    log.info({ sni: attacks[0] }, 'plain');
    t.equal(
      JSON.parse(lines[0] ?? '').sni,
      '\\u{1b}[2J\\u{1b}]0;owned\\u{7}',
      'what was sent can still be told',
    );
  },
);

t.test('fields named like the log’s own do not take their place', async t => {
  const { lines, log } = capture('json');
  log.info({ level: 'error', time: 'never', msg: 'forged' }, 'real');
  t.equal(lines[0]?.match(/"msg":/g)?.length, 1, 'a key stands once');
  t.match(JSON.parse(lines[0] ?? ''), {
    level: 'info',
    msg: 'real',
    level_: 'error',
    time_: 'never',
    msg_: 'forged',
  });
});

t.test('values are bounded: 512 characters, 40 fields, 3 levels, no loop', async t => {
  const loop: Record<string, unknown> = {};
  loop.loop = loop;
  const many = Object.fromEntries(Array.from({ length: 100 }, (_, i) => [`f${i}`, i]));
  const { lines, log } = capture('json');
  log.info(
    { long: 'x'.repeat(1_000_000), loop, many, list: Array(100).fill(0), ...many },
    'm'.repeat(10_000),
  );
  t.ok((lines[0]?.length ?? 0) < 8000, `${lines[0]?.length} characters`);
  const line = JSON.parse(lines[0] ?? '');
  t.equal(line.long.length, 513);
  t.equal(line.msg.length, 1025);
  t.equal(line.list.length, 41);
  t.equal(line.many.more, 60);
  t.strictSame(safeFields({ a: { b: { c: { d: 1 } } } }), { a: { b: { c: '[…]' } } });
});

t.test('values of every kind can be written', async t => {
  t.strictSame(
    safeFields({
      none: undefined,
      nil: null,
      big: 12n,
      nan: Number.NaN,
      fn: () => 1,
      bytes: new Uint8Array(5),
      error: new LockwireError('tls', 'no'),
      system: Object.assign(new Error('refused'), { code: 'ECONNREFUSED' }),
      plain: new TypeError('odd'),
    }),
    {
      nil: null,
      big: '12',
      nan: 'NaN',
      fn: '[function]',
      bytes: '[5 bytes]',
      error: { code: 'tls', message: 'no' },
      system: { code: 'ECONNREFUSED', message: 'refused' },
      plain: { code: 'TypeError', message: 'odd' },
    },
  );
});

t.test('fields that are named like secrets are redacted at any depth; ids and names are not', async t => {
  const secrets = [
    'token',
    'accessToken',
    'Authorization',
    'proxy-authorization',
    'password',
    'dbPasswd',
    'client_secret',
    'cookie',
    'set-cookie',
    'key',
    'privateKey',
    'API_KEY',
    'sessionKey',
    'credential',
    'credentials',
    'proof',
    'jwt',
  ];
  const open = [
    'tokenId',
    'tokenFile',
    'agentKey',
    'keyId',
    'instance',
    'monkey',
    'keyed',
    'credentialKind',
    'session',
    'target',
  ];
  for (const name of secrets) t.ok(isSecretName(name), name);
  for (const name of open) t.notOk(isSecretName(name), name);
  const { lines, log } = capture('json');
  for (const name of secrets) {
    log.info({ [name]: 'hunter2', deep: { [name]: ['hunter2'] } }, 'x');
    log.child({ [name]: 'hunter2' }).info({}, 'x');
  }
  t.notMatch(lines.join(''), 'hunter2');
  t.match(lines[0], '[redacted]');
});

t.test('credentials are redacted wherever they stand in a text', async t => {
  const jwt = 'eyJhbGciOiJFUzI1NiJ9.eyJzdWIiOiJhIn0.c2lnbmF0dXJl';
  for (const [text, left] of [
    [`bad token ${jwt}!`, 'bad token [redacted]!'],
    ['Authorization: Bearer abcdef0123456789', 'Authorization: [redacted]'],
    ['basic dXNlcjpwYXNz', '[redacted]'],
    ['-----BEGIN EC PRIVATE KEY-----\nabc\n-----END EC PRIVATE KEY-----.', '[redacted].'],
    ['-----BEGIN PRIVATE KEY-----\nabc', '[redacted]'],
    ['a bearer of news', 'a bearer of news'],
  ] as const)
    t.equal(safeLogText(text), left);
  t.equal(
    safeLogText(`${'x'.repeat(500)}${jwt}`).includes('eyJ'),
    false,
    'also where it would be cut through',
  );
  const { lines, log } = capture('text');
  log.error({ error: new Error(`unexpected ${jwt}`) }, `cannot use ${jwt}`);
  t.notMatch(lines.join(''), 'eyJ');
});

t.test('lines to a file descriptor are all there after flush', async t => {
  const directory = mkdtempSync(join(tmpdir(), 'lockwire-log-'));
  t.teardown(() => rmSync(directory, { recursive: true }));
  const path = join(directory, 'log');
  const fd = openSync(path, 'w');
  const log = createLog({ level: 'info', format: 'json', write: fd });
  for (let n = 0; n < 1000; n += 1) log.info({ n }, 'line');
  await log.flush();
  const lines = readFileSync(path, 'utf8').trimEnd().split('\n');
  t.strictSame(
    lines.map(line => JSON.parse(line).n),
    Array.from({ length: 1000 }, (_, n) => n),
  );
  closeSync(fd);
});
