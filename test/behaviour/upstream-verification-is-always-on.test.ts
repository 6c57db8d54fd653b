import { once } from 'node:events';
import { type AddressInfo, createServer as createTcp } from 'node:net';
import { connect, createServer, type TlsOptions } from 'node:tls';
import t, { type Test } from 'tap';
import { systemClock } from '../../lib/core/clock.ts';
import { TlsDialer } from '../../lib/transport/tls-client.ts';
import { type Issued, makeAuthority, selfSigned } from '../support/transport-certificates.ts';
import { TurnedClock } from '../support/transport-clock.ts';
import { CarrierProbe } from '../support/transport-sockets.ts';

const day = 86_400_000;
const authority = await makeAuthority({ name: 'Upstreams' });
const stranger = await makeAuthority({ name: 'Inspection Box' });
const names = { dns: ['up.example'], ips: ['127.0.0.1'] };
const good = await authority.issue(names);

async function serve(t: Test, { certPem, keyPem }: Issued, options: TlsOptions = {}): Promise<number> {
  const server = createServer({ cert: certPem, key: keyPem, allowHalfOpen: true, ...options }, socket => {
    socket.on('error', () => undefined);
    socket.pipe(socket);
  });
  server.on('tlsClientError', (_, socket) => socket.destroy());
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.teardown(() => server.close());
  return (server.address() as AddressInfo).port;
}

function dialer(
  port: number,
  options: Partial<ConstructorParameters<typeof TlsDialer>[0]> = {},
  clock = systemClock,
) {
  return new TlsDialer(
    { host: '127.0.0.1', port, serverName: 'up.example', ca: [authority.certPem], alpn: [], ...options },
    { clock },
  );
}

async function honest(t: Test, port: number): Promise<void> {
  const { carrier } = await dialer(port).dial();
  const probe = new CarrierProbe(carrier);
  await probe.write('ping');
  await probe.received(4);
  t.equal(probe.text(), 'ping', 'the honest upstream is served');
  carrier.end();
  t.equal(await probe.closed, undefined);
}

const wrong: [string, Issued, RegExp][] = [
  [
    'an expired certificate',
    await authority.issue({
      ...names,
      notBefore: new Date(Date.now() - 3 * day),
      notAfter: new Date(Date.now() - day),
    }),
    /has expired \(the leaf is valid until 20.*; certificate issued by CN=Upstreams$/,
  ],
  [
    'a certificate that is not valid yet',
    await authority.issue({ ...names, notBefore: new Date(Date.now() + day) }),
    /is not valid yet/,
  ],
  [
    'a certificate for another name',
    await authority.issue({ dns: ['other.example'] }),
    /not for up\.example but for DNS:other\.example; certificate issued by CN=Upstreams$/,
  ],
  [
    'a certificate from an unknown authority',
    await stranger.issue(names),
    /no authority that is trusted here .*; certificate issued by CN=Inspection Box$/,
  ],
  ['a self-signed certificate', await selfSigned(names), /self-signed/],
  [
    'a certificate for clients only',
    await authority.issue({ ...names, usages: ['client'] }),
    /not for TLS servers/,
  ],
];

for (const [name, issued, message] of wrong) {
  t.test(`${name} is refused, and the reason and the issuer are told`, async t => {
    const port = await serve(t, issued);
    await t.rejects(dialer(port).dial(), { code: 'tls', message });
    const blind = connect({ port, host: '127.0.0.1', rejectUnauthorized: false });
    await once(blind, 'secureConnect');
    blind.destroy();
    t.pass('a client that does not verify is taken in');
    await honest(t, await serve(t, good));
  });
}

t.test(
  'a server that does not agree to the protocol that is required is refused, and the protocol is told',
  async t => {
    const h2 = { alpn: ['h2'], alpnRequired: true };
    const message =
      /does not speak h2: it agreed to no such protocol \(ALPN\); certificate issued by CN=Upstreams$/;
    const without = await serve(t, good);
    await t.rejects(dialer(without, h2).dial(), { code: 'tls', message }, 'a server that knows no ALPN');
    const other = await serve(t, good, { ALPNProtocols: ['http/1.1'] });
    await t.rejects(
      dialer(other, h2).dial(),
      { code: 'tls', message: /does not speak h2: it agreed to no such protocol \(ALPN\)/ },
      'a server that sends the alert',
    );
    const { carrier } = await dialer(without, { alpn: ['h2'] }).dial();
    carrier.destroy();
    const agrees = dialer(await serve(t, good, { ALPNProtocols: ['h2'] }), h2);
    for (const resumed of [false, true]) {
      const dialled = await agrees.dial();
      t.equal(dialled.facts.alpn, 'h2', resumed ? 'also on a resumed session' : 'a server that agrees');
      t.equal(dialled.facts.resumed, resumed);
      const probe = new CarrierProbe(dialled.carrier);
      await probe.write('x');
      await probe.received(1);
      dialled.carrier.end();
      await probe.closed;
    }
  },
);

t.test('NODE_TLS_REJECT_UNAUTHORIZED=0 changes nothing', async t => {
  const before = process.env.NODE_TLS_REJECT_UNAUTHORIZED;
  t.teardown(() => {
    if (before === undefined) delete process.env.NODE_TLS_REJECT_UNAUTHORIZED;
    else process.env.NODE_TLS_REJECT_UNAUTHORIZED = before;
  });
  process.env.NODE_TLS_REJECT_UNAUTHORIZED = '0';
  const port = await serve(t, await stranger.issue(names));
  await t.rejects(dialer(port).dial(), { code: 'tls' });
});

t.test('an address is verified against the certificate’s addresses where no name is given', async t => {
  const port = await serve(t, good);
  const { carrier, facts } = await dialer(port, { serverName: '127.0.0.1' }).dial();
  t.notOk(facts.serverName);
  carrier.destroy();
  const nameOnly = await serve(t, await authority.issue({ dns: ['up.example'] }));
  await t.rejects(dialer(nameOnly, { serverName: '127.0.0.1' }).dial(), { code: 'tls' });
});

t.test('a session is resumed, but not once the certificate it was verified with has run out', async t => {
  const clock = new TurnedClock();
  const short = await authority.issue({ ...names, notAfter: new Date(Date.now() + 3_600_000) });
  const port = await serve(t, short);
  const again = dialer(port, {}, clock);
  const resumed: boolean[] = [];
  for (let i = 0; i < 2; i += 1) {
    const { carrier, facts } = await again.dial();
    resumed.push(facts.resumed);
    const probe = new CarrierProbe(carrier);
    await probe.write('x');
    await probe.received(1);
    carrier.end();
    await probe.closed;
  }
  t.same(resumed, [false, true]);
  clock.turn(3_600_000 + 2000);
  await t.rejects(again.dial(), { code: 'tls', message: /has expired/ });
});

t.test('a port that answers in plain, one that hangs up and one that nobody serves each say so', async t => {
  const plain = createTcp(socket => {
    socket.on('error', () => undefined);
    socket.end('HTTP/1.1 400 Bad Request\r\n\r\n');
  });
  const curt = createTcp(socket => socket.resetAndDestroy());
  for (const server of [plain, curt]) {
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
  }
  const portOf = (server: typeof plain) => (server.address() as AddressInfo).port;
  await t.rejects(dialer(portOf(plain)).dial(), { code: 'tls', message: /does not speak TLS/ });
  await t.rejects(dialer(portOf(curt)).dial(), { code: 'unavailable' });
  const free = portOf(curt);
  curt.close();
  plain.close();
  await t.rejects(dialer(free).dial(), {
    code: 'unavailable',
    message: `127.0.0.1:${free} cannot be reached: ECONNREFUSED`,
  });
  await t.rejects(dialer(1, { host: 'nowhere.invalid' }).dial(), {
    code: 'unavailable',
    message: /nowhere\.invalid:1 cannot be found/,
  });
});

t.test('a server that never answers the handshake is given up after 10 s', async t => {
  const clock = new TurnedClock();
  const accepted = Promise.withResolvers<void>();
  const silent = createTcp(socket => {
    socket.on('error', () => undefined);
    socket.once('data', () => accepted.resolve());
  });
  silent.listen(0, '127.0.0.1');
  await once(silent, 'listening');
  t.teardown(() => silent.close());
  const { port } = silent.address() as AddressInfo;
  const dialled = dialer(port, {}, clock).dial();
  await accepted.promise;
  clock.turn(10_000);
  await t.rejects(dialled, { code: 'timeout', message: `127.0.0.1:${port} did not answer within 10000 ms` });
  t.equal(clock.timers, 0);
});

t.test('half a client certificate, a key of another and an empty authority are config errors', async t => {
  const { certPem: cert } = good;
  t.throws(() => dialer(1, { cert }), { code: 'config', message: /both certificate and key/ });
  t.throws(() => dialer(1, { cert, key: authority.keyPem }), { code: 'config', message: /does not belong/ });
  t.throws(() => dialer(1, { ca: [''] }), { code: 'config' });
  t.throws(() => dialer(1, { ca: [] }), { code: 'config', message: /no authority/ });
});
