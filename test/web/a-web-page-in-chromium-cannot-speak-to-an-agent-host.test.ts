import t from 'tap';
import { silentLog } from '../../lib/core/ports.ts';
import { startAutogenHost } from '../../lib/demo/autogen-host.ts';
import { runTry } from '../../lib/demo/try-client.ts';
import { World } from '../support/e2e-world.ts';
import { attackFromPage, marks } from '../support/web-attacks.ts';
import { startRecorder } from '../support/web-recorder.ts';

const preface = 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n';

t.test('an attacker’s page in Chromium: nothing of it reaches the AutoGen host behind connect', async t => {
  const world = await World.make(t);
  const host = await startAutogenHost({ address: '127.0.0.1:0', log: silentLog });
  t.teardown(() => host.close());
  const hostPort = Number(host.address.split(':').at(-1));
  const [guarded, relay] = await Promise.all([startRecorder(hostPort), startRecorder(hostPort)]);
  t.teardown(() => {
    guarded.close();
    relay.close();
  });
  const gateway = await world.gateway();
  await world.expose(gateway, { target: 'rpc', to: guarded.address });
  const connect = await world.connect(gateway, { target: 'rpc' });

  let attacking = true;
  const attack = attackFromPage({
    connect: Number(connect.address.split(':').at(-1)),
    relay: relay.port,
  }).finally(() => {
    attacking = false;
  });
  // An honest worker all the while, through the very port that is attacked.
  let rounds = 0;
  for (; attacking || rounds === 0; rounds += 1) {
    const report = await runTry({ address: connect.address, rpcs: 10, publishes: 10, onProgress() {} });
    t.ok(report, `honest round ${rounds}`);
  }
  const results = await attack;
  t.comment(results);

  const reached = Buffer.concat(relay.sent()).toString('latin1');
  for (const mark of Object.values(marks)) {
    t.ok(reached.includes(mark), `a plain relay port: "${mark}" reaches the host`);
  }
  t.ok(
    relay.sent().some(bytes => bytes[0] === 0x16),
    'and a TLS handshake',
  );

  const passed = guarded.sent();
  t.ok(passed.length >= rounds, `${passed.length} honest connections`);
  for (const bytes of passed) {
    t.equal(bytes.toString('latin1', 0, preface.length), preface, 'what reaches the host is HTTP/2');
  }
  const all = Buffer.concat(passed).toString('latin1');
  for (const mark of [...Object.values(marks), 'Mozilla/', 'Sec-Fetch', 'evil.example']) {
    t.notOk(all.includes(mark), `connect’s port: "${mark}" does not`);
  }
  const refused = gateway.program.logs.filter(({ msg }) => msg === 'stream refused');
  t.ok(
    refused.length >= Object.keys(marks).length,
    `the page got as far as connect, ${refused.length} times`,
  );
  t.match(refused, Array(refused.length).fill({ target: 'rpc', reason: 'protocol' }));
});
