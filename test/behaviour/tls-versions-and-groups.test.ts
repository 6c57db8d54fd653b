import { once } from 'node:events';
import { type ConnectionOptions, connect, type TLSSocket } from 'node:tls';
import t from 'tap';
import { type Harness, startListener } from '../support/transport-listener.ts';

/** Resolves with the socket; rejects with the error of the handshake. */
async function handshake(harness: Harness, options: ConnectionOptions): Promise<TLSSocket> {
  const socket = connect({
    port: harness.port,
    host: '127.0.0.1',
    servername: 'gateway.example',
    ca: [harness.authority.certPem],
    ALPNProtocols: ['lockwire/1'],
    ...options,
  });
  await once(socket, 'secureConnect');
  return socket;
}

t.test('TLS 1.2 is refused by default and 1.3 served', async t => {
  const harness = await startListener({ serve: true });
  t.teardown(() => harness.close());
  await t.rejects(handshake(harness, { maxVersion: 'TLSv1.2' }), { code: /PROTOCOL_VERSION/ });
  const socket = await handshake(harness, {});
  t.equal(socket.getProtocol(), 'TLSv1.3');
  socket.destroy();
});

t.test(
  'a listener that allows TLS 1.2 takes it with forward secrecy and authenticated encryption only',
  async t => {
    const harness = await startListener({ serve: true, tls: { minVersion: 'TLSv1.2' } });
    t.teardown(() => harness.close());
    const good = await handshake(harness, { maxVersion: 'TLSv1.2' });
    t.equal(good.getProtocol(), 'TLSv1.2');
    t.match(good.getCipher().name, /^ECDHE-ECDSA-AES128-GCM/);
    good.destroy();
    for (const ciphers of ['ECDHE-ECDSA-AES128-SHA256', 'AES128-GCM-SHA256', 'ECDHE-ECDSA-AES256-SHA']) {
      await t.rejects(
        handshake(harness, { maxVersion: 'TLSv1.2', ciphers: `${ciphers}@SECLEVEL=0` }),
        ciphers,
      );
    }
    await t.rejects(
      handshake(harness, { maxVersion: 'TLSv1.1', minVersion: 'TLSv1', ciphers: 'ALL@SECLEVEL=0' }),
    );
  },
);

t.test('a dialer and a listener of ours agree on X25519MLKEM768; others get what they can', async t => {
  const harness = await startListener({ serve: true });
  t.teardown(() => harness.close());
  const { carrier, facts } = await harness.dialer().dial();
  t.match(facts, {
    group: 'X25519MLKEM768',
    version: 'TLSv1.3',
    alpn: 'lockwire/1',
    serverName: 'gateway.example',
  });
  carrier.destroy();
  for (const [ecdhCurve, name] of [
    ['X25519:X25519MLKEM768', 'X25519'],
    ['prime256v1', 'prime256v1'],
    ['secp384r1', 'secp384r1'],
  ] as const) {
    const socket = await handshake(harness, { ecdhCurve });
    t.match(socket.getEphemeralKeyInfo(), { name }, ecdhCurve);
    socket.destroy();
  }
  await t.rejects(handshake(harness, { ecdhCurve: 'secp521r1' }));
});

t.test('nothing that a dialer of ours speaks to may be older than TLS 1.3 unless it was told so', async t => {
  const { createServer } = await import('node:tls');
  const harness = await startListener();
  t.teardown(() => harness.close());
  const old = createServer({
    cert: harness.server.certPem,
    key: harness.server.keyPem,
    maxVersion: 'TLSv1.2',
  });
  old.on('tlsClientError', (_, socket) => socket.destroy());
  old.listen(0, '127.0.0.1');
  await once(old, 'listening');
  t.teardown(() => old.close());
  const { port } = old.address() as { port: number };
  await t.rejects(harness.dialer({ port, alpn: [] }).dial(), { code: 'tls' });
  const { carrier, facts } = await harness.dialer({ port, alpn: [], minVersion: 'TLSv1.2' }).dial();
  t.equal(facts.version, 'TLSv1.2');
  carrier.destroy();
});
