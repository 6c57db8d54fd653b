import t from 'tap';
import { Routes } from '../../../lib/transport/routes.ts';

const tcp = [
  { target: 'exact', serverNames: ['a.example', 'B.Example'], clientCertificate: true },
  { target: 'wild', serverNames: ['*.example'], clientCertificate: false },
];

t.test('an exact name goes before a wildcard, a wildcard is one label, and case does not matter', t => {
  const routes = new Routes('public', { tunnel: true, http2: false, tcp });
  t.equal(routes.tcpRoute('a.example')?.target, 'exact');
  t.equal(routes.tcpRoute('b.example')?.target, 'exact');
  t.equal(routes.tcpRoute('c.example')?.target, 'wild');
  for (const name of ['', 'example', '.example', 'x.y.example', 'a.example.', '__proto__', 'constructor']) {
    t.equal(routes.tcpRoute(name), undefined, name);
  }
  t.end();
});

t.test('a target agrees to the first protocol that is text; the tunnel only to its own', t => {
  const routes = new Routes('public', { tunnel: true, http2: false, tcp });
  t.match(routes.choose('a.example', ['mqtt', 'x']), {
    route: { target: 'exact' },
    alpn: 'mqtt',
    clientCertificate: true,
  });
  t.match(routes.choose('a.example', ['\u000a\u000a', 'h2']), { alpn: 'h2' });
  t.match(routes.choose('a.example', ['\u00fa\u00fa']), { route: { target: 'exact' }, alpn: '' });
  t.match(routes.choose('elsewhere', ['h2', 'lockwire/1']), {
    route: { kind: 'tunnel' },
    alpn: 'lockwire/1',
  });
  t.match(routes.choose('elsewhere', ['h2']), { route: undefined });
  t.match(routes.choose('elsewhere', []), { route: undefined });
  const none = new Routes('public', { tunnel: false, http2: false, tcp: [] });
  t.match(none.choose('elsewhere', ['lockwire/1']), { route: undefined });
  t.end();
});

t.test('where there are HTTP/2 targets h2 leads to them, after server names and the tunnel', t => {
  const routes = new Routes('public', { tunnel: true, http2: true, tcp });
  t.same(routes.choose('elsewhere', ['h2', 'http/1.1']), {
    ...{ route: { kind: 'http2' }, alpn: 'h2', clientCertificate: false },
  });
  t.match(routes.choose('', ['http/1.1', 'h2']), { route: { kind: 'http2' }, alpn: 'h2' });
  t.match(routes.choose('a.example', ['h2']), { route: { kind: 'tcp', target: 'exact' }, alpn: 'h2' });
  t.match(routes.choose('elsewhere', ['h2', 'lockwire/1']), { route: { kind: 'tunnel' } });
  for (const offered of [[], ['http/1.1'], ['h2c'], ['H2'], ['h3']])
    t.match(routes.choose('elsewhere', offered), { route: undefined }, JSON.stringify(offered));
  t.end();
});

t.test('odd names and names that lead two ways are config errors', t => {
  for (const name of ['', '*', '*.', 'a.*.example', 'a b', 'a..b', '.a', 'a.', 'é.example', '*a.example']) {
    t.throws(
      () =>
        new Routes('public', {
          tunnel: true,
          http2: false,
          tcp: [{ target: 'x', serverNames: [name], clientCertificate: false }],
        }),
      { code: 'config', message: /is not a server name/ },
      JSON.stringify(name),
    );
  }
  const twice = { target: 'y', serverNames: ['A.EXAMPLE'], clientCertificate: false };
  t.throws(() => new Routes('public', { tunnel: true, http2: false, tcp: [...tcp, twice] }), {
    code: 'config',
    message: 'listener public: server name "A.EXAMPLE" leads to both exact and y',
  });
  t.end();
});
