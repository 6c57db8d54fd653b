import { decodeJwt } from 'jose';
import t from 'tap';
import { exchange, talk } from '../support/e2e-sockets.ts';
import { World } from '../support/e2e-world.ts';
import { admin } from '../support/store-admin.ts';

t.test(
  'a new token is shown at once on SIGHUP, in band; a file that is no token changes nothing',
  async t => {
    const world = await World.make(t);
    const host = await world.host();
    const gateway = await world.gateway();
    await world.expose(gateway, { to: host.address });
    const [first, second] = [
      await world.token({ groups: ['agents'] }),
      await world.token({ groups: ['agents'] }),
    ];
    const tokenFile = world.file('renewed.jwt', first);
    const connect = await world.connect(gateway, { tokenFile });
    const live = talk(connect.address);
    live.write('x');
    await live.received(1);
    const shown = async (): Promise<string> => {
      const { tunnels } = await admin(gateway, 'GET', '/sessions');
      return tunnels.find(({ principal }) => principal === 'User::corp|alice')?.credential.id ?? '';
    };
    t.equal(await shown(), decodeJwt(first).jti);
    world.file('renewed.jwt', second);
    connect.program.signal('SIGHUP');
    await connect.program.logged(({ msg }) => msg === 'token and certificates were read anew', 'the reload');
    // Each exchange is a round trip behind the renewal.
    for (let i = 0; i < 50 && (await shown()) !== decodeJwt(second).jti; i += 1)
      await exchange(connect.address, 'y');
    t.equal(await shown(), decodeJwt(second).jti);
    world.file('renewed.jwt', 'this is no token');
    connect.program.signal('SIGHUP');
    await connect.program.logged(({ msg }) => /^not reloaded/.test(msg ?? ''), 'the complaint');
    live.write('z');
    await live.received(2);
    t.equal(await shown(), decodeJwt(second).jti, 'the session goes on as it was');
  },
);
