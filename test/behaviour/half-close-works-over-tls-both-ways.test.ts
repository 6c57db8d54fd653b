import { randomBytes } from 'node:crypto';
import t from 'tap';
import { startListener } from '../support/transport-listener.ts';
import { CarrierProbe } from '../support/transport-sockets.ts';

for (const first of ['client', 'server'] as const) {
  t.test(`the ${first} ends first; the other side still sends 2 MiB, then both close in order`, async t => {
    const harness = await startListener();
    t.teardown(() => harness.close());
    const [dialled, accepted] = await Promise.all([harness.dialer().dial(), harness.next()]);
    accepted.permitted();
    const client = new CarrierProbe(dialled.carrier);
    const server = new CarrierProbe(accepted.carrier);
    const [early, late] = first === 'client' ? [client, server] : [server, client];
    await early.write('last words');
    early.carrier.end();
    await late.ended;
    t.equal(late.text(), 'last words');
    const payload = randomBytes(2 * 1024 * 1024);
    await late.write(payload);
    late.carrier.end();
    await early.ended;
    t.ok(Buffer.concat(early.chunks).equals(payload));
    t.equal(await early.closed, undefined);
    t.equal(await late.closed, undefined);
    t.equal(harness.listener.connections, 0);
  });
}

for (const who of ['client', 'server'] as const) {
  t.test(`an abort by the ${who} is an error to the other side, never an end`, async t => {
    const harness = await startListener();
    t.teardown(() => harness.close());
    const [dialled, accepted] = await Promise.all([harness.dialer().dial(), harness.next()]);
    const client = new CarrierProbe(dialled.carrier);
    const server = new CarrierProbe(accepted.carrier);
    const [doer, other] = who === 'client' ? [client, server] : [server, client];
    let ended = false;
    void other.ended.then(() => {
      ended = true;
    });
    await doer.write('half of a mess');
    await other.received(14);
    doer.carrier.destroy(true);
    t.match(await other.closed, { code: 'ECONNRESET' });
    t.notOk(ended);
    t.equal(await doer.closed, undefined);
  });
}
