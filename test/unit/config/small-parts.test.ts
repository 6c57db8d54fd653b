import t from 'tap';
import { formatDuration, parseDuration } from '../../../lib/config/duration.ts';
import { editDistance, nearMiss } from '../../../lib/config/near-miss.ts';
import { formatPath, showValue } from '../../../lib/config/problem.ts';
import {
  formatAddress,
  isLoopback,
  parseBind,
  parseHostPort,
  parseLocalAddress,
} from '../../../lib/core/address.ts';

t.test('durations are a whole number and a unit, and nothing else', async t => {
  for (const [text, ms] of [
    ['0ms', 0],
    ['500ms', 500],
    ['30s', 30_000],
    ['10m', 600_000],
    ['24h', 86_400_000],
    ['2d', 172_800_000],
  ] as const)
    t.equal(parseDuration(text), ms, text);
  for (const text of [
    '',
    '10',
    '10 s',
    '1.5s',
    '-1s',
    '+1s',
    '01s',
    '10M',
    '10sec',
    '1h30m',
    '9999999999s',
    '1e3s',
  ])
    t.equal(parseDuration(text), undefined, text);
  t.equal(formatDuration(90_000), '90s');
  t.equal(formatDuration(600_000), '10m');
  t.equal(formatDuration(1), '1ms');
  t.equal(formatDuration(0), '0ms');
});

t.test('a misspelt word finds the one that was meant, a different word finds none', async t => {
  const keys = ['name', 'bind', 'tls', 'minVersion', 'clientCertificates', 'handshakeTimeout'];
  t.equal(nearMiss('minVerison', keys), 'minVersion');
  t.equal(nearMiss('MINVERSION', keys), 'minVersion');
  t.equal(nearMiss('clientCertificate', keys), 'clientCertificates');
  t.equal(nearMiss('bnd', keys), 'bind');
  t.equal(nearMiss('port', keys), undefined);
  t.equal(nearMiss('zzzzzzzzzz', keys), undefined);
  t.equal(nearMiss('x'.repeat(100_000), keys), undefined, 'a word of 100,000 letters is not compared');
  t.equal(editDistance('abcd', 'abdc'), 1, 'a swap of neighbours is one mistake');
  t.equal(editDistance('', 'abc'), 3);
  t.equal(editDistance('kitten', 'sitting'), 3);
});

t.test('an address to bind is an IP address and a port', async t => {
  t.strictSame(parseBind('0.0.0.0:8443'), { host: '0.0.0.0', port: 8443 });
  t.strictSame(parseBind('[::1]:0'), { host: '::1', port: 0 });
  t.strictSame(parseBind('localhost:1'), { host: '127.0.0.1', port: 1 });
  for (const text of [
    '',
    ':1',
    '1.2.3.4',
    '1.2.3:80',
    '1.2.3.4:65536',
    '1.2.3.4:080',
    '::1:80',
    '[1.2.3.4]:80',
    'a.example:1',
    '1.2.3.4:1x',
    '[::1]',
  ])
    t.equal(parseBind(text), undefined, text);
});

t.test('an address to dial is a host and a port other than 0', async t => {
  t.strictSame(parseHostPort('gateway.example:8443'), { host: 'gateway.example', port: 8443 });
  t.strictSame(parseHostPort('[2001:db8::1]:443'), { host: '2001:db8::1', port: 443 });
  for (const text of [
    'gateway.example:0',
    'gateway.example',
    '-a.example:1',
    'a..b:1',
    '1.2.3.400:1',
    'https://a:1',
    'a b:1',
    'a@b:1',
  ])
    t.equal(parseHostPort(text), undefined, text);
});

t.test('loopback is told from what only looks like it', async t => {
  for (const host of ['127.0.0.1', '127.9.9.9', '::1', '::ffff:127.0.0.1']) t.ok(isLoopback(host), host);
  for (const host of [
    '127.0.0.1.example',
    '0.0.0.0',
    '::',
    '128.0.0.1',
    'localhost.example',
    '::ffff:10.0.0.1',
  ])
    t.notOk(isLoopback(host), host);
  t.equal(formatAddress({ host: '::1', port: 2 }), '[::1]:2');
});

t.test('a local address is loopback or a unix socket', async t => {
  t.strictSame(parseLocalAddress('127.0.0.1:50051', '--listen'), {
    kind: 'tcp',
    host: '127.0.0.1',
    port: 50051,
  });
  t.strictSame(parseLocalAddress('unix:/run/x.sock', '--listen'), { kind: 'unix', path: '/run/x.sock' });
  t.strictSame(parseLocalAddress('unix:///run/x.sock', '--listen'), { kind: 'unix', path: '/run/x.sock' });
  t.strictSame(parseLocalAddress('unix:x.sock', '--listen'), { kind: 'unix', path: 'x.sock' });
  t.throws(() => parseLocalAddress('0.0.0.0:1', '--listen'), {
    code: 'usage',
    message: /"0.0.0.0:1" is not loopback/,
  });
  t.throws(() => parseLocalAddress('nonsense', '--to'), { code: 'usage', message: /--to "nonsense"/ });
  t.throws(() => parseLocalAddress('unix:', '--to'), { code: 'usage' });
  t.throws(() => parseLocalAddress(`unix:/${'x'.repeat(107)}`, '--to'), {
    message: /108 bytes long, the system takes at most 107/,
  });
});

t.test('an error shows a value, but never one that may be a secret', async t => {
  t.equal(showValue(['bind'], 'x'), '"x"');
  t.equal(showValue(['limits', 'sessions'], -1), '-1');
  t.ok((showValue(['bind'], 'x'.repeat(500)) ?? '').length <= 82);
  t.equal(showValue(['bind'], 'a\u001b[2Jb\u202e'), '"a\\u001b[2Jb\\u{202e}"');
  for (const [path, value] of [
    [['tls', 'key'], 'hunter2'],
    [['apiToken'], 'hunter2'],
    [['clientSecret', 0], 'hunter2'],
    [['bind'], '-----BEGIN PRIVATE KEY-----'],
    [['audience'], 'eyJhbGciOiJFUzI1NiJ9.e30.x'],
    [['issuer'], 'https://user:hunter2@idp.example'],
  ] as const)
    t.equal(showValue(path, value), undefined, path.join('.'));
  t.equal(formatPath(['listeners', 0, 'tls', 'key']), 'listeners[0].tls.key');
});
