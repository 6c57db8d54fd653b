import t from 'tap';
import { formatAuthority, maxAuthorityChars, parseAuthority } from '../../../lib/core/authority.ts';

t.test('an authority is a host in lower case, with a port or without', t => {
  const cases: [string, object, string][] = [
    ['A.Example', { host: 'a.example' }, 'a.example'],
    ['a.example:8443', { host: 'a.example', port: 8443 }, 'a.example:8443'],
    ['127.0.0.1', { host: '127.0.0.1' }, '127.0.0.1'],
    ['127.0.0.1:1', { host: '127.0.0.1', port: 1 }, '127.0.0.1:1'],
    ['[2001:DB8::1]', { host: '2001:db8::1' }, '[2001:db8::1]'],
    ['[::1]:65535', { host: '::1', port: 65_535 }, '[::1]:65535'],
    ['autogen', { host: 'autogen' }, 'autogen'],
  ];
  for (const [text, authority, key] of cases) {
    const parsed = parseAuthority(text);
    t.same(parsed, authority, text);
    t.equal(parsed && formatAuthority(parsed), key);
    t.same(parseAuthority(key), authority, 'what is printed parses to the same');
  }
  t.end();
});

t.test('userinfo, empty and wrong ports, and names that are none are no authority', t => {
  const label = `${'a'.repeat(63)}.`;
  const longest = `${label.repeat(3)}${'b'.repeat(61)}`;
  t.equal(`${longest}:65535`.length, maxAuthorityChars);
  t.same(parseAuthority(`${longest}:65535`), { host: longest, port: 65_535 });
  for (const text of [
    ...[
      '',
      ':',
      ':443',
      'user@a.example',
      'user:pw@a.example:1',
      'a.example:',
      'a.example:0',
      'a.example:65536',
    ],
    ...[
      'a.example:01',
      'a.example:+1',
      'a.example:1:1',
      'a.example.',
      '.a.example',
      'a..example',
      '-a.example',
    ],
    ...[
      '::1',
      '::1:443',
      '[::1',
      '[::1]x',
      '[a.example]',
      '[127.0.0.1]',
      '256.0.0.1',
      '1.2.3',
      'a b',
      'a/b',
      'a\0b',
    ],
    ...['é.example', 'a.example\n', 'https://a.example', '*.example', `${longest}b`, `${longest}:655350`],
  ])
    t.equal(parseAuthority(text), undefined, JSON.stringify(text));
  t.end();
});
