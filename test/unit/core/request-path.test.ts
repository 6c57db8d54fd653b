import t from 'tap';
import { ambiguousPath, callContext } from '../../../lib/core/request-path.ts';

t.test('paths that every server reads in the same way pass as they are', t => {
  for (const path of [
    ...[
      '/',
      '/a',
      '/a/',
      '/agents.AgentRpc/OpenChannel',
      '/v1/chat/completions',
      '/.well-known/x',
      '/a/.b',
      '/...',
    ],
    ...[
      '/a..b',
      '/a/b.',
      '/a?x=//&y=/../;%2f%00\\',
      '/?',
      '/a?b?c',
      '/a%20b',
      '/a%3Ab',
      '/gpt%404',
      '/%E2%82%AC',
    ],
    ...[
      "/a!$&'()*+,=:@b",
      '/a|b',
      '/a^{b}',
      '/~user',
      '/a%25',
      '/a%252f',
      '/%7B',
      '/%5B',
      '/%3b',
      '/%3F',
      '/%60',
    ],
  ])
    t.equal(ambiguousPath(path), undefined, path);
  t.equal(ambiguousPath('*', 'OPTIONS'), undefined);
  t.end();
});

t.test('paths that servers read in two ways are named for what is wrong with them', t => {
  const cases: [string, RegExp][] = [
    ['', /^no slash at its start$/],
    ['*', /no slash/],
    ['a', /no slash/],
    ['?', /no slash/],
    ['http://a.example/', /no slash/],
    ['//', /empty segment/],
    ['//a.example/x', /empty segment/],
    ['/a//b', /empty segment/],
    ['/a//', /empty segment/],
    ['/.', /dots/],
    ['/..', /dots/],
    ['/./a', /dots/],
    ['/a/../b', /dots/],
    ['/a/..?x', /dots/],
    ['/a\\b', /backslash/],
    ['/a;b=1', /parameters/],
    ['/a/..;/b', /parameters/],
    ['/a#b', /fragment/],
    ['/a%2fb', /%2f/],
    ['/a%2Fb', /%2f/],
    ['/a%5Cb', /%5c/],
    ['/%2e%2e/a', /%2e/],
    ['/.%2E/a', /%2e/],
    ['/a%00', /control/],
    ['/a%0d%0Ab', /control/],
    ['/%7f', /control/],
    ['/%61dmin', /letter/],
    ['/%41', /letter/],
    ['/%7A', /letter/],
    ['/%30', /digit/],
    ['/a%2Db', /"-"/],
    ['/a%5fb', /"_"/],
    ['/%7euser', /"~"/],
    ['/a%', /not UTF-8/],
    ['/a%4', /not UTF-8/],
    ['/a%zz', /not UTF-8/],
    ['/%c0%af', /not UTF-8/],
    ['/%e0%80%af', /not UTF-8/],
    ['/%ff', /not UTF-8/],
    ['/a b', /a space/],
    ['/a\tb', /control/],
    ['/a\0', /control/],
    ['/a\x7f', /control/],
    ['/é', /beyond ASCII/],
    ['/a?b c', /a space/],
    ['/a?\u{1f600}', /beyond ASCII/],
    ['/a\n', /control/],
  ];
  for (const [path, what] of cases) t.match(ambiguousPath(path), what, JSON.stringify(path));
  for (const method of ['GET', 'options', ''])
    t.match(ambiguousPath('*', method), /no slash/, `* of ${method}`);
  t.end();
});

t.test(
  'each escape of an unreserved character is refused, and no other of plain ASCII that is printed',
  t => {
    for (let code = 0x20; code < 0x7f; code += 1) {
      const escaped = `/a%${code.toString(16)}b`;
      const refused = /[A-Za-z0-9._~/\\-]/.test(String.fromCharCode(code));
      t.equal(ambiguousPath(escaped) !== undefined, refused, `${escaped} (${String.fromCharCode(code)})`);
      t.equal(ambiguousPath(escaped.toUpperCase()) !== undefined, refused);
    }
    t.end();
  },
);

t.test('a path of 16 KiB is judged within 20 ms, whatever it is made of', t => {
  for (const piece of ['/a', '/.a', '%', '%25', '/', 'a.', '-', '%e2%82%ac']) {
    const path = `/${piece.repeat(16_384 / piece.length)}!`;
    const started = performance.now();
    ambiguousPath(path);
    t.ok(performance.now() - started < 20, piece);
  }
  t.end();
});

t.test('a policy is told method, host and path as they were sent: the host in lower case, no query', t => {
  t.same(callContext('POST', 'API.Example:8443', '/V1/Chat?key=secret?x'), {
    ...{ method: 'POST', host: 'api.example:8443', path: '/V1/Chat' },
  });
  t.same(callContext('OPTIONS', 'a', '*'), { method: 'OPTIONS', host: 'a', path: '*' });
  t.end();
});
