import { createServer } from 'node:net';
import t from 'tap';
import { exchange } from '../support/e2e-sockets.ts';
import { World } from '../support/e2e-world.ts';
import { otherUser, sayAs } from '../support/loopback-other-user.ts';

const nobody = otherUser();

if (nobody === undefined) {
  t.comment(
    'NOT SHOWN: the tests need root, to be two users at once; the parser is tested in test/unit/transport',
  );
  t.pass('skipped but for the parser');
} else {
  const world = await World.make(t);
  const host = await world.host();
  const gateway = await world.gateway();
  await world.expose(gateway, { target: 'plain', to: host.address });

  await t.test('without the check, another user of the machine reaches a loopback port', async t => {
    const server = createServer({ allowHalfOpen: true }, socket => socket.pipe(socket));
    await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve));
    const { port } = server.address() as { port: number };
    t.same(await sayAs(nobody, `127.0.0.1:${port}`, 'hello'), { text: 'hello', ending: 'end' });
    server.close();
  });

  await t.test(
    'connect refuses another user, before a byte is read, and serves its own meanwhile',
    async t => {
      const connect = await world.connect(gateway, { target: 'plain' });
      t.equal(await exchange(connect.address, 'mine'), 'mine');
      const before = host.sockets.length;
      const said = await sayAs(nobody, connect.address, 'theirs');
      t.equal(said.text, '');
      t.equal(said.ending, 'ECONNRESET');
      t.equal(host.sockets.length, before, 'the host heard nothing');
      const line = await connect.program.logged(
        line => line.msg?.startsWith('local connection of another user refused') === true,
        'a line about the refusal',
      );
      t.equal(line.uid, nobody);
      t.equal(await exchange(connect.address, 'mine again'), 'mine again');
    },
  );

  for (const user of ['nobody', String(nobody)]) {
    await t.test(`--allow-user ${user} lets that user in`, async t => {
      const connect = await world.connect(gateway, { target: 'plain', args: ['--allow-user', user] });
      t.same(await sayAs(nobody, connect.address, 'hello'), { text: 'hello', ending: 'end' });
      t.equal(await exchange(connect.address, 'and its own'), 'and its own');
    });
  }

  await t.test('a user that does not exist is a usage error', async t => {
    const program = await world.startConnect(gateway, { target: 'plain', args: ['--allow-user', 'nosuch'] });
    t.equal((await program.ended).code, 2);
    t.match(program.text, /--allow-user "nosuch": no such user in \/etc\/passwd/);
  });
}
