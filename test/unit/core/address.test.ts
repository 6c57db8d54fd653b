import t from 'tap';
import {
  formatAddress,
  isLoopback,
  maxUnixPathBytes,
  parseHostPort,
  parseLocalAddress,
  plainAddress,
} from '../../../lib/core/address.ts';

t.test('reads every form of a local address, and prints it as it can be read again', t => {
  const cases = {
    '127.0.0.1:50051': { kind: 'tcp', host: '127.0.0.1', port: 50051 },
    '127.9.8.7:0': { kind: 'tcp', host: '127.9.8.7', port: 0 },
    '[::1]:65535': { kind: 'tcp', host: '::1', port: 65535 },
    'localhost:80': { kind: 'tcp', host: '127.0.0.1', port: 80 },
    'LocalHost:80': { kind: 'tcp', host: '127.0.0.1', port: 80 },
    'unix:/run/lockwire.sock': { kind: 'unix', path: '/run/lockwire.sock' },
    'unix:relative/a b:c.sock': { kind: 'unix', path: 'relative/a b:c.sock' },
  } as const;
  for (const [text, address] of Object.entries(cases)) {
    t.same(parseLocalAddress(text, '--to'), address, text);
    t.same(parseLocalAddress(formatAddress(address), '--to'), address);
  }
  t.end();
});

t.test('refuses what would carry plaintext off this machine, and says what it takes', t => {
  for (const text of [
    '0.0.0.0:80',
    '10.0.0.1:80',
    '[::]:80',
    '[fe80::1]:80',
    '[::ffff:10.0.0.1]:80',
    'example.com:80',
    '128.0.0.1:80',
    '127.1.example.com:80',
  ]) {
    t.throws(
      () => parseLocalAddress(text, '--to'),
      { code: 'usage', message: /(plaintext never leaves|expected 127)/ },
      text,
    );
  }
  t.end();
});

t.test('refuses what is no address, naming it with its control characters escaped', t => {
  for (const text of [
    '',
    ':',
    '127.0.0.1',
    '127.0.0.1:',
    '127.0.0.1:x',
    '127.0.0.1:123456',
    '::1:80',
    '[::1]',
    '[::1]80',
    '[127.0.0.1]:80',
    '127.0.0.1:-1',
    '127.0.0.1:80 ',
    'unix',
    'http://127.0.0.1:80',
    `${'x'.repeat(300)}:1`,
  ]) {
    t.throws(() => parseLocalAddress(text, '--to'), { code: 'usage' }, text.slice(0, 40));
  }
  t.throws(() => parseLocalAddress('127.0.0.1:65536', '--to'), {
    code: 'usage',
    message: /65536/,
  });
  t.throws(() => parseLocalAddress('unix:', '--to'), { code: 'usage', message: /expected unix:PATH/ });
  t.throws(() => parseLocalAddress('unix:/a\0b', '--to'), { code: 'usage' });
  t.throws(() => parseLocalAddress('\u001b[31m', '--to'), { code: 'usage', message: /"\\u\{1b\}\[31m"/ });
  const longest = `/${'s'.repeat(maxUnixPathBytes - 1)}`;
  t.same(parseLocalAddress(`unix:${longest}`, '--to'), { kind: 'unix', path: longest });
  t.throws(() => parseLocalAddress(`unix:${longest}s`, '--to'), {
    code: 'usage',
    message: new RegExp(`at most ${maxUnixPathBytes}`),
  });
  t.end();
});

t.test('reads HOST:PORT for names, IPv4 and bracketed IPv6', t => {
  t.same(parseHostPort('gateway.example:8443'), { host: 'gateway.example', port: 8443 });
  t.same(parseHostPort('10.0.0.1:1'), { host: '10.0.0.1', port: 1 });
  t.same(parseHostPort('[2001:db8::1]:443'), { host: '2001:db8::1', port: 443 });
  t.equal(formatAddress({ host: '2001:db8::1', port: 443 }), '[2001:db8::1]:443');
  for (const text of ['gateway.example', '2001:db8::1:443', '[gateway.example]:1']) {
    t.equal(parseHostPort(text), undefined, text);
  }
  t.end();
});

t.test('knows loopback, also as IPv4 in IPv6', t => {
  for (const host of ['127.0.0.1', '127.255.255.254', '::1', 'localhost', '::ffff:127.0.0.1'])
    t.ok(isLoopback(host), host);
  for (const host of [
    '0.0.0.0',
    '::',
    '126.255.255.255',
    'localhost.example',
    '',
    '::ffff:10.0.0.1',
    '0:0:0:0:0:0:0:2',
  ])
    t.notOk(isLoopback(host), host);
  t.equal(plainAddress('::ffff:192.0.2.1'), '192.0.2.1');
  t.equal(plainAddress('2001:db8::1'), '2001:db8::1');
  t.end();
});
