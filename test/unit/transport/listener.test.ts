import t from 'tap';
import { systemClock } from '../../../lib/core/clock.ts';
import { noMetrics, silentLog } from '../../../lib/core/ports.ts';
import { Listener } from '../../../lib/transport/listener.ts';
import { exchange, startListener } from '../../support/transport-listener.ts';
import { CarrierProbe } from '../../support/transport-sockets.ts';

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

t.test('a renewed certificate serves the next connection; a bad one changes nothing', async t => {
  const harness = await startListener({ serve: true });
  t.teardown(() => harness.close());
  const renewed = await harness.authority.issue({ dns: ['gateway.example'] });
  const before = await harness.dialer().dial();
  harness.replace({ tls: { ...harness.tls, cert: renewed.certPem, key: renewed.keyPem } });
  const after = await harness.dialer().dial();
  t.not(after.facts.peerCertificateSha256, before.facts.peerCertificateSha256);
  for (const bad of [
    { cert: renewed.certPem },
    { cert: 'x' },
    { key: 'x' },
    { clientAuthorities: ['x'] },
    { clientCertificates: 'required' as const },
  ]) {
    t.throws(() => harness.replace({ tls: { ...harness.tls, ...bad } }), { code: 'config' });
  }
  const still = await harness.dialer().dial();
  t.equal(still.facts.peerCertificateSha256, after.facts.peerCertificateSha256);
  t.equal(before.exporter().byteLength, 32, 'the first connection lives on');
  for (const { carrier } of [before, after, still]) carrier.destroy();
});

t.test('close stops accepting and drops handshakes; what was handed over lives on', async t => {
  const harness = await startListener({ serve: true });
  t.teardown(() => harness.close());
  const [dialled] = await Promise.all([harness.dialer().dial(), harness.next()]);
  const silent = await harness.tcp();
  const dropped = new Promise(resolve => silent.once('close', resolve));
  silent.once('end', () => silent.end());
  silent.resume();
  while (harness.listener.connections < 2) await new Promise(resolve => setImmediate(resolve));
  await harness.listener.close();
  await dropped;
  await t.rejects(harness.dialer().dial(), { code: 'unavailable' });
  const probe = new CarrierProbe(dialled.carrier);
  await probe.write('alive');
  await probe.received(5);
  t.equal(probe.text(), 'alive');
  probe.carrier.end();
  await probe.closed;
});

t.test('a busy port is a usage error that names it', async t => {
  const harness = await startListener();
  t.teardown(() => harness.close());
  const { certPem: cert, keyPem: key } = harness.server;
  const second = new Listener(
    {
      name: 'second',
      bind: { host: '127.0.0.1', port: harness.port },
      tls: { cert, key, clientCertificates: 'none', clientAuthorities: [] },
      routes: { tunnel: true, http2: false, tcp: [] },
    },
    { clock: systemClock, log: silentLog, metrics: noMetrics, onConnection: () => undefined },
  );
  await t.rejects(second.listen(), {
    code: 'usage',
    message: `listener second: 127.0.0.1:${harness.port} is in use; choose another in "bind"`,
  });
});

t.test('a throw in the wiring ends that connection only', async t => {
  const harness = await startListener({ serve: true });
  t.teardown(() => harness.close());
  const push = harness.connections.push;
  harness.connections.push = () => {
    harness.connections.push = push;
    throw new Error('a bug');
  };
  await t.rejects(exchange(harness.dialer()));
  t.match(harness.logged, [{ level: 'error', fields: { error: 'a bug' } }]);
  t.equal((await exchange(harness.dialer())).text, 'hello');
});

t.test('the exporter of a connection that is gone is an error of its own', async t => {
  const harness = await startListener();
  t.teardown(() => harness.close());
  const { carrier, exporter } = await harness.dialer().dial();
  const probe = new CarrierProbe(carrier);
  carrier.destroy();
  await probe.closed;
  t.throws(exporter, { code: 'closed' });
});
