import type { Server } from 'node:tls';
import t from 'tap';
import { defaultListenerLimits, type ListenerTls } from '../../../lib/transport/options.ts';
import { TlsServers } from '../../../lib/transport/tls-servers.ts';
import { makeAuthority } from '../../support/transport-certificates.ts';
import { TurnedClock } from '../../support/transport-clock.ts';

const authority = await makeAuthority({ name: 'CA' });
const other = await makeAuthority({ name: 'Other' });
const leaf = await authority.issue({ dns: ['a.example', 'b.example', '*.wild.example'] });
const tls: ListenerTls = {
  cert: leaf.certPem,
  key: leaf.keyPem,
  clientCertificates: 'optional',
  clientAuthorities: [authority.certPem],
};
const events = { secure: () => undefined, failed: () => undefined, alpn: () => undefined };

/** Node keeps what it was given there. */
const idContext = (server: Server) => (server as Server & { sessionIdContext: string }).sessionIdContext;

t.test('each covered name has a server and a session id context of its own; the others share one', t => {
  const servers = new TlsServers('public', tls, defaultListenerLimits, new TurnedClock(), events);
  const names = ['', 'a.example', 'b.example', 'x.wild.example', 'y.wild.example', 'unknown.example'];
  t.equal(new Set(names.map(name => idContext(servers.serverFor(name)))).size, names.length);
  t.equal(servers.serverFor('a.example'), servers.serverFor('a.example'));
  t.equal(servers.serverFor('unknown.example'), servers.serverFor('never.heard.of'));
  t.equal(servers.serverFor('a.b.wild.example'), servers.serverFor('never.heard.of'));
  t.end();
});

t.test('the id context changes with the listener and with the client authorities', t => {
  const of = (name: string, settings: ListenerTls) =>
    idContext(
      new TlsServers(name, settings, defaultListenerLimits, new TurnedClock(), events).serverFor('a.example'),
    );
  const contexts = [
    of('public', tls),
    of('second', tls),
    of('public', { ...tls, clientAuthorities: [other.certPem] }),
    of('public', { ...tls, clientAuthorities: [authority.certPem, other.certPem] }),
    of('public', { ...tls, clientCertificates: 'required' }),
  ];
  t.equal(new Set(contexts).size, contexts.length);
  t.equal(of('public', tls), contexts[0]);
  t.end();
});

t.test('at most 64 made-up names get a server; then they share the one without tickets', t => {
  const servers = new TlsServers('public', tls, defaultListenerLimits, new TurnedClock(), events);
  const made = new Set<Server>();
  for (let i = 0; i < 500; i += 1) made.add(servers.serverFor(`n${i}.wild.example`));
  t.ok(made.size <= defaultListenerLimits.maxTicketNames + 1, `${made.size} servers`);
  t.not(servers.serverFor('a.example'), servers.serverFor('n499.wild.example'));
  t.end();
});

t.test('keys are replaced every 12 h and with the authorities, and kept with a new leaf', async t => {
  const clock = new TurnedClock();
  const servers = new TlsServers('public', tls, defaultListenerLimits, clock, events);
  const keys = () => servers.serverFor('').getTicketKeys().toString('hex');
  const first = keys();
  clock.turn(12 * 3_600_000 - 1);
  t.equal(keys(), first);
  clock.turn(1);
  const second = keys();
  t.not(second, first);
  const renewed = await authority.issue({ dns: ['a.example'] });
  servers.prepare({ ...tls, cert: renewed.certPem, key: renewed.keyPem })();
  t.equal(keys(), second);
  const commit = servers.prepare({ ...tls, clientAuthorities: [other.certPem] });
  t.equal(keys(), second, 'what is only ready changes nothing');
  commit();
  t.not(keys(), second);
});

t.test('an ALPN callback that throws refuses the handshake and goes no further', t => {
  const servers = new TlsServers('public', tls, defaultListenerLimits, new TurnedClock(), {
    ...events,
    alpn: () => {
      throw new Error('a bug');
    },
  });
  const server = servers.serverFor('') as Server & {
    ALPNCallback(offer: { servername: string; protocols: string[] }): string | undefined;
  };
  t.equal(server.ALPNCallback({ servername: '', protocols: ['h2'] }), undefined);
  t.end();
});
