import { once } from 'node:events';
import { type ConnectionOptions, connect, type TLSSocket } from 'node:tls';
import t from 'tap';
import { makeAuthority } from '../support/transport-certificates.ts';
import { exchange, type Harness, startListener } from '../support/transport-listener.ts';

const authority = await makeAuthority({ name: 'CA' });
const server = await authority.issue({
  dns: ['gateway.example', 'legacy.example', '*.wild.example', 'plain.example'],
  ips: ['127.0.0.1'],
});

function start(): Promise<Harness> {
  return startListener({
    authority,
    server,
    serve: true,
    routes: {
      tcp: [
        { target: 'legacy', serverNames: ['Legacy.Example'], clientCertificate: false },
        { target: 'wild', serverNames: ['*.wild.example'], clientCertificate: false },
      ],
    },
  });
}

async function visit(port: number, options: ConnectionOptions): Promise<TLSSocket> {
  const socket = connect({
    port,
    host: '127.0.0.1',
    ca: [authority.certPem],
    // What is under test is what the listener makes of strange names, not what this client thinks of the certificate.
    checkServerIdentity: () => undefined,
    ...options,
  });
  await once(socket, 'secureConnect');
  return socket;
}

t.test(
  'exact names, one-label wildcards and ALPN lead where they should, in any case of letters',
  async t => {
    const harness = await start();
    t.teardown(() => harness.close());
    const cases: [ConnectionOptions, unknown, string | false][] = [
      [
        { servername: 'gateway.example', ALPNProtocols: ['h2', 'lockwire/1'] },
        { kind: 'tunnel' },
        'lockwire/1',
      ],
      [{ servername: '', ALPNProtocols: ['lockwire/1'] }, { kind: 'tunnel' }, 'lockwire/1'],
      [{ servername: 'never.heard.of', ALPNProtocols: ['lockwire/1'] }, { kind: 'tunnel' }, 'lockwire/1'],
      [{ servername: 'LEGACY.example' }, { kind: 'tcp', target: 'legacy' }, false],
      [
        { servername: 'legacy.example', ALPNProtocols: ['mqtt', 'h2'] },
        { kind: 'tcp', target: 'legacy' },
        'mqtt',
      ],
      [
        { servername: 'legacy.example', ALPNProtocols: ['lockwire/1'] },
        { kind: 'tcp', target: 'legacy' },
        'lockwire/1',
      ],
      [{ servername: 'a.wild.example' }, { kind: 'tcp', target: 'wild' }, false],
    ];
    for (const [options, route, alpn] of cases) {
      const handed = harness.next();
      const socket = await visit(harness.port, options);
      t.same((await handed).route, route, JSON.stringify(options));
      t.equal(socket.alpnProtocol, alpn);
      socket.destroy();
    }
  },
);

t.test(
  'h2 leads to the HTTP/2 targets once there are some, and a tcp target’s server name goes first',
  async t => {
    const harness = await start();
    t.teardown(() => harness.close());
    const http2: ConnectionOptions = { servername: 'gateway.example', ALPNProtocols: ['h2', 'http/1.1'] };
    await t.rejects(visit(harness.port, http2), { code: /NO_APPLICATION_PROTOCOL/ });
    const tcp = [{ target: 'legacy', serverNames: ['legacy.example'], clientCertificate: false }];
    harness.replace({ routes: { tunnel: true, http2: true, tcp } });
    for (const [options, route, alpn] of [
      [http2, { kind: 'http2' }, 'h2'],
      [{ ...http2, servername: 'any.thing.else' }, { kind: 'http2' }, 'h2'],
      [{ ...http2, servername: 'legacy.example' }, { kind: 'tcp', target: 'legacy' }, 'h2'],
      [{ ALPNProtocols: ['h2', 'lockwire/1'] }, { kind: 'tunnel' }, 'lockwire/1'],
    ] as const) {
      const handed = harness.next();
      const socket = await visit(harness.port, {
        ...options,
        ALPNProtocols: [...(options.ALPNProtocols as string[])],
      });
      const connection = await handed;
      t.same(connection.route, route, JSON.stringify(options));
      t.equal(connection.facts.alpn, alpn);
      t.equal(socket.alpnProtocol, alpn);
      socket.destroy();
    }
    await t.rejects(visit(harness.port, { servername: 'gateway.example', ALPNProtocols: ['http/1.1'] }), {
      code: /NO_APPLICATION_PROTOCOL/,
    });
  },
);

t.test('what has no route is refused, and the next client is served', async t => {
  const harness = await start();
  t.teardown(() => harness.close());
  for (const options of [
    { servername: 'gateway.example', ALPNProtocols: ['h2'] },
    { servername: 'a.b.wild.example', ALPNProtocols: ['h2'] },
    { servername: 'wild.example', ALPNProtocols: ['http/1.1'] },
  ]) {
    await t.rejects(
      visit(harness.port, options),
      { code: /NO_APPLICATION_PROTOCOL/ },
      JSON.stringify(options),
    );
    t.equal((await exchange(harness.dialer())).text, 'hello');
  }
  const noAlpn = await visit(harness.port, { servername: 'gateway.example' });
  noAlpn.resume();
  await once(noAlpn, 'end');
  t.match(harness.logged.at(-1)?.fields, { reason: 'no-route', serverName: 'gateway.example' });
  t.equal(harness.connections.length, 3);
});

t.test('no server name and no ALPN protocol takes the listener down', async t => {
  const harness = await start();
  t.teardown(() => harness.close());
  const names = [
    '__proto__',
    'constructor',
    'toString',
    '-',
    '.',
    'a..b',
    'x'.repeat(253),
    '*.wild.example',
    '\u00fc.example',
    'a\u0000b',
  ];
  for (const servername of names) {
    const socket = await visit(harness.port, { servername, ALPNProtocols: ['lockwire/1'] }).catch(
      () => undefined,
    );
    socket?.destroy();
  }
  for (const protocol of ['__proto__', '\u0000', '\u00ff\u00fe', 'x'.repeat(255)]) {
    for (const servername of ['gateway.example', 'legacy.example']) {
      const socket = await visit(harness.port, {
        servername,
        ALPNProtocols: [Buffer.from(protocol, 'latin1')] as unknown as string[],
      }).catch(() => undefined);
      socket?.destroy();
    }
  }
  t.equal((await exchange(harness.dialer())).text, 'hello');
});

t.test(
  'two hundred made-up names under a wildcard cost no more than 64 contexts, and all are served',
  async t => {
    const harness = await start();
    t.teardown(() => harness.close());
    for (let i = 0; i < 200; i += 1) {
      const socket = await visit(harness.port, { servername: `n${i}.wild.example` });
      socket.destroy();
    }
    const dialer = harness.dialer();
    await exchange(dialer);
    t.match(
      await exchange(dialer),
      { resumed: true },
      'a name that the certificate spells out still gets tickets',
    );
    const late = harness.dialer({ serverName: 'n199.wild.example', alpn: [] });
    await exchange(late);
    t.match(await exchange(late), { resumed: false }, 'a made-up one does not');
  },
);
