import { once } from 'node:events';
import { connect as connectTls } from 'node:tls';
import t from 'tap';
import { startBox } from '../support/e2e-inspection-box.ts';
import { exchange } from '../support/e2e-sockets.ts';
import { World } from '../support/e2e-world.ts';

t.test(
  'connect refuses a tunnel through a TLS-inspecting box whose CA it trusts, before its token leaves',
  async t => {
    const world = await World.make(t);
    const host = await world.host();
    const gateway = await world.gateway();
    await world.expose(gateway, { to: host.address });
    const box = await startBox(world, gateway.port);
    t.teardown(() => box.close());
    const token = await world.token({ groups: ['agents'] });

    const direct = await world.connect(gateway, { token, ca: box.caFile });
    t.equal(await exchange(direct.address, 'honest'), 'honest', 'directly, with the same trust, it works');

    // Without the check: a plain TLS client speaks to the gateway through the box and is none the wiser.
    const plain = connectTls({
      host: '127.0.0.1',
      port: box.port,
      servername: 'gateway.example',
      ca: box.ca,
      ALPNProtocols: ['lockwire/1'],
    });
    const [challenge] = (await once(plain, 'data')) as [Buffer];
    t.ok(plain.authorized, 'its TLS library trusts the box');
    t.ok(challenge.byteLength > 64, "the gateway's Challenge came through");
    plain.write(`token=${token}`);
    await once(plain, 'close');
    t.ok(box.seen().includes(token), 'the box reads the token of a client without the check');
    const before = box.seen().byteLength;

    for (const role of ['connect', 'expose'] as const) {
      const start = role === 'connect' ? world.startConnect.bind(world) : world.startExpose.bind(world);
      const program = await start({ port: box.port }, { token, ca: box.caFile, to: host.address });
      t.equal((await program.ended).code, 1, `${role} ends`);
      t.match(
        program.err.filter(line => line.startsWith('lockwire:')),
        [/TLS to the gateway is intercepted; the certificate seen was issued by Corporate Inspection CA/],
      );
      t.equal(box.seen().byteLength, before, `not one byte left ${role}`);
    }
    t.equal(await exchange(direct.address, 'still'), 'still');
  },
);
