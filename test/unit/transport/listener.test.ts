import t from 'tap';
import { exchange, startListener } from '../../support/transport-listener.ts';

t.test(
  'hands over a tunnel connection with its facts, its route and the same exporter at both ends',
  async t => {
    const harness = await startListener({ serve: true });
    t.teardown(() => harness.close());
    const handed = harness.next();
    const { carrier, facts, exporter } = await harness.dialer().dial();
    const accepted = await handed;
    t.same(accepted.route, { kind: 'tunnel' });
    t.match(accepted.facts, {
      session: /^[0-9a-f]{16}$/,
      listener: 'public',
      peerAddress: '127.0.0.1',
      serverName: 'gateway.example',
      alpn: 'lockwire/1',
      tlsVersion: 'TLSv1.3',
      resumed: false,
    });
    t.equal(accepted.facts.cipher, facts.cipher);
    t.equal(exporter().byteLength, 32);
    t.same(exporter(), accepted.exporter());
    t.equal(facts.peerIssuer, 'Test Server CA');
    t.same(accepted.certificates, []);
    carrier.destroy();
  },
);

t.test('serves, closes in order and forgets', async t => {
  const harness = await startListener({ serve: true });
  t.teardown(() => harness.close());
  t.match(await exchange(harness.dialer()), { text: 'hello', resumed: false });
  t.equal(harness.listener.unfinished, 0);
});
