import t from 'tap';
import { RequestRoutes } from '../../../lib/gateway-request-routes.ts';
import type { Target } from '../../../lib/gateway-target.ts';

function target(name: string, hosts: string[], services: string[] = []): Target {
  const http2 = { grpc: true, upstreamMode: 'own', hosts, services } as const;
  return { name, stateful: false, http2, upstream: { kind: 'tunnel' } };
}

const targets: Target[] = [
  target('models', ['models.example', '[2001:db8::1]']),
  target('admin', ['gw.example:9443', 'plain.example:443']),
  target('autogen', [], ['agents.AgentRpc']),
  target('other', ['other.example'], ['a.B', 'Top']),
  { name: 'legacy', stateful: false, http2: undefined, upstream: { kind: 'tunnel' } },
];

t.test('a request goes by its authority, then by its service, then nowhere', t => {
  const routes = new RequestRoutes(targets);
  const cases: [string, string, string | undefined][] = [
    ['models.example', '/v1/x', 'models'],
    ['Models.Example:8443', '/v1/x', 'models'],
    ['[2001:DB8::1]:8443', '/', 'models'],
    ['models.example', '/agents.AgentRpc/OpenChannel', 'models'],
    ['gw.example:9443', '/', 'admin'],
    ['gw.example', '/', undefined],
    ['gw.example:443', '/', undefined],
    ['plain.example', '/', 'admin'],
    ['plain.example:443', '/', 'admin'],
    ['plain.example:8443', '/', undefined],
    ['gw.example:8443', '/agents.AgentRpc/OpenChannel', 'autogen'],
    ['', '/agents.AgentRpc/OpenChannel', 'autogen'],
    ['gw.example', '/a.B/C?x=1', 'other'],
    ['gw.example', '/Top/C', 'other'],
    ['gw.example', '/agents.AgentRpc', undefined],
    ['gw.example', '/agents.agentrpc/OpenChannel', undefined],
    ['gw.example', '/x/agents.AgentRpc/OpenChannel', undefined],
    ['gw.example', '//agents.AgentRpc/OpenChannel', undefined],
    ['gw.example', 'agents.AgentRpc/OpenChannel', undefined],
    ['user@models.example', '/', undefined],
    ['models.example.', '/', undefined],
    ['__proto__', '/__proto__/constructor', undefined],
    ['', '', undefined],
  ];
  for (const [authority, path, name] of cases)
    t.equal(routes.find(authority, path)?.name, name, `${authority} ${path}`);
  t.equal(new RequestRoutes([]).find('models.example', '/a.B/C'), undefined);
  t.end();
});

t.test('an authority that comes again is not looked up again, but after a reload', t => {
  const routes = new RequestRoutes(targets);
  for (const authority of ['models.example', 'gw.example:9443', 'models.example', 'nobody.example'])
    for (let i = 0; i < 2; i += 1)
      t.equal(
        routes.find(authority, '/agents.AgentRpc/X')?.name,
        { 'models.example': 'models', 'gw.example:9443': 'admin' }[authority] ?? 'autogen',
      );
  t.equal(routes.find('', '/'), undefined);
  routes.replace([target('later', ['nobody.example'])]);
  t.equal(routes.find('nobody.example', '/')?.name, 'later');
  t.equal(routes.find('models.example', '/'), undefined);
  t.equal(routes.find('models.example', '/'), undefined);
  routes.replace(targets);
  t.equal(routes.find('models.example', '/')?.name, 'models');
  const long = `${'a'.repeat(300)}.example`;
  t.equal(routes.find(long, '/'), routes.find(long, '/'));
  t.end();
});
