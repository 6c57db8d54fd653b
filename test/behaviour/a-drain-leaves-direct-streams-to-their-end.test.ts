import { once } from 'node:events';
import { Client, credentials, Metadata, status } from '@grpc/grpc-js';
import t from 'tap';
import { DirectWorld } from '../support/direct-world.ts';

const same = (bytes: Buffer): Buffer => bytes;

function grpcClient({ world, gateway }: DirectWorld): Client {
  return new Client(
    `127.0.0.1:${gateway.port}`,
    credentials.createSsl(Buffer.from(world.authority.certPem)),
    {
      'grpc.ssl_target_name_override': 'gateway.example',
      'grpc.default_authority': 'dialled.example',
    },
  );
}

t.test(
  'SIGTERM: a live stream goes on to its end, new calls of the same client go to the successor',
  async t => {
    const direct = await DirectWorld.make(t, { store: 'drain' });
    const { gateway } = direct;
    const metadata = new Metadata();
    metadata.set('authorization', `Bearer ${await direct.agent('alice')}`);
    const client = grpcClient(direct);
    t.teardown(() => client.close());
    const live = client.makeBidiStreamRequest('/echo.Echo/Stream', same, same, metadata);
    const ended = once(live, 'status');
    const echoes = async (text: string): Promise<string> => {
      live.write(Buffer.from(text));
      return String((await once(live, 'data'))[0]);
    };
    t.equal(await echoes('before'), 'before');

    gateway.program.signal('SIGTERM');
    await gateway.program.logged(({ msg }) => msg === 'draining; once more to end at once', 'that it drains');
    t.equal(await echoes('during'), 'during');

    const successor = await direct.successor();
    const answer = await new Promise(resolve =>
      client.makeUnaryRequest('/echo.Echo/Say', same, same, Buffer.from('new'), metadata, (error, got) =>
        resolve(error ?? String(got)),
      ),
    );
    t.equal(answer, 'new');
    t.equal(await echoes('after'), 'after');
    t.ok(gateway.program.alive, 'the old one still carries its stream');

    live.end();
    t.match(await ended, [{ code: status.OK }]);
    t.same(await gateway.program.ended, { code: 0, signal: null }, 'with its last stream it ends well');
    t.match(
      gateway.program.logs.filter(({ msg }) => msg === 'HTTP/2 connection ended'),
      [{ who: 'User::corp|alice', requests: 1 }],
    );
    t.ok(successor.program.alive);
  },
);

t.test('an idle connection ends with the go-away, and does not hold the gateway up', async t => {
  const direct = await DirectWorld.make(t);
  const client = await direct.client();
  const call = await direct.live(client, await direct.agent('alice'));
  call.stream.end();
  t.match(await call.ended, { status: '0' });
  const closed = once(client, 'close');
  direct.gateway.program.signal('SIGTERM');
  await closed;
  t.same(await direct.gateway.program.ended, { code: 0, signal: null });
});

t.test('a second SIGTERM ends a live stream at once: UNAVAILABLE, with the reason', async t => {
  const direct = await DirectWorld.make(t);
  const live = await direct.live(await direct.client(), await direct.agent('alice'));
  direct.gateway.program.signal('SIGTERM');
  await direct.gateway.program.logged(({ msg }) => msg === 'draining; once more to end at once', 'drain');
  t.ok(await live.echoes('during'));
  direct.gateway.program.signal('SIGTERM');
  t.match(await live.ended, { status: '14', message: 'the gateway is shutting down' });
  t.match(await direct.gateway.program.ended, { signal: null });
});
