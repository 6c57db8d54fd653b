import { renameSync } from 'node:fs';
import { decodeJwt } from 'jose';
import t from 'tap';
import { adminAddressOf, adminGet } from '../support/e2e-admin.ts';
import { talk } from '../support/e2e-sockets.ts';
import { World } from '../support/e2e-world.ts';
import { admin } from '../support/store-admin.ts';

const livesSeconds = 8;

t.test(
  'a stream outlives its first token where the file brings a newer one, and ends with a reason where not',
  async t => {
    const world = await World.make(t);
    const host = await world.host();
    const gateway = await world.gateway({ admin: { bind: '127.0.0.1:0' } });
    await world.expose(gateway, { to: host.address });
    const short = (sub: string) => world.token({ sub, groups: ['agents'], issued: 0, expires: livesSeconds });

    const file = world.file('renewed', await short('renewed'));
    const [renewed, lapsing] = await Promise.all([
      world.connect(gateway, { tokenFile: file }),
      world.connect(gateway, { token: await short('lapsing') }),
    ]);
    // As whoever renews a token does it: whole, in place of the old one.
    renameSync(world.file('renewed.new', await world.token({ sub: 'renewed', groups: ['agents'] })), file);

    const kept = talk(renewed.address);
    const lost = talk(lapsing.address);
    for (const client of [kept, lost]) {
      client.write('before');
      await client.received(6);
    }

    const warned = /runs out at \S+ and was not renewed/;
    t.match(
      await gateway.program.logged(
        line => line.msg === 'a credential runs out soon and was not renewed',
        'the warning at the gateway',
      ),
      { level: 'warn', who: 'User::corp|lapsing', role: 'connect', kind: 'token' },
    );
    t.match(
      await lapsing.program.logged(
        line => line.msg === 'the credential runs out; the session ends when it does',
        'the warning at connect',
      ),
      { level: 'warn', detail: 'the token was not renewed' },
    );
    await lapsing.program.line(warned);
    const { body: metrics } = await adminGet(await adminAddressOf(gateway.program), '/metrics');
    t.match(metrics, /^lockwire_credentials_not_renewed_total\{kind="token"\} 1$/m);

    const ended = await gateway.program.logged(
      line => line.msg === 'tunnel ended' && line.who === 'User::corp|lapsing',
      'the end of the session whose token ran out',
    );
    t.match(ended, { reason: 'expired', detail: 'the credential ran out and was not renewed' });
    t.match(await lost.closed, /ECONNRESET|closed/, 'its local connection was reset');
    t.match(
      await lapsing.program.logged(line => line.msg === 'stream ended', 'the end of the stream'),
      { reason: 'expired' },
      'connect says why',
    );
    const session = await gateway.program.logged(
      line => line.msg === 'session ended' && line.who === 'User::corp|lapsing',
      'the line of the stream',
    );
    t.match(session, { reason: 'expired', bytesUp: 6, bytesDown: 6 });

    t.equal(kept.ending, undefined, 'the renewed one lives, its first token has run out too');
    kept.socket.end(' and after');
    t.equal(await kept.closed, 'end');
    t.equal(kept.text, 'before and after');
    t.equal(
      gateway.program.logs.filter(line => line.msg === 'tunnel up' && line.who === 'User::corp|renewed')
        .length,
      1,
      'on one and the same session',
    );
    for (const { logs } of [renewed.program, gateway.program])
      t.notOk(
        logs.some(line => /runs out/.test(line.msg ?? '') && line.who !== 'User::corp|lapsing'),
        'nobody is warned of what was renewed',
      );
  },
);

t.test('a token in the file that is of somebody else does not renew a session', async t => {
  const world = await World.make(t);
  const gateway = await world.gateway();
  const token = await world.token({ sub: 'alice', groups: ['agents'], issued: 0, expires: livesSeconds });
  const file = world.file('swapped', token);
  await world.connect(gateway, { tokenFile: file });
  renameSync(world.file('swapped.new', await world.token({ sub: 'bob', groups: ['agents'] })), file);
  const ended = await gateway.program.logged(line => line.msg === 'tunnel ended', 'the end of the session');
  t.match(ended, {
    who: 'User::corp|alice',
    reason: 'unauthenticated',
    detail: /not of the same issuer and subject/,
  });
  await gateway.program.logged(
    line => line.msg === 'tunnel up' && line.who === 'User::corp|bob',
    'a session of its own for the new credential',
  );
});

t.test('a token that is replaced long before its end is shown at once, without a signal', async t => {
  const world = await World.make(t);
  const gateway = await world.gateway();
  const [first, second] = [
    await world.token({ groups: ['agents'] }),
    await world.token({ groups: ['agents'] }),
  ];
  const file = world.file('replaced', first);
  const connect = await world.connect(gateway, { tokenFile: file });
  renameSync(world.file('replaced.new', second), file);
  await connect.program.logged(
    line => line.msg === 'token and certificates were read anew' && line.cause === 'a file changed',
    'that the file was read',
  );
  const shown = async (): Promise<string | undefined> =>
    (await admin(gateway, 'GET', '/sessions')).tunnels[0]?.credential.id;
  for (let i = 0; i < 200 && (await shown()) !== decodeJwt(second).jti; i += 1);
  t.equal(await shown(), decodeJwt(second).jti);
});

t.test('a newer token that was revoked ends the session as revoked, not as unknown', async t => {
  const world = await World.make(t);
  const gateway = await world.gateway();
  const second = await world.token({ groups: ['agents'] });
  const file = world.file('revoked', await world.token({ groups: ['agents'] }));
  await world.connect(gateway, { tokenFile: file });
  await admin(gateway, 'POST', '/revoke', { kind: 'token', value: decodeJwt(second).jti ?? '' });
  renameSync(world.file('revoked.new', second), file);
  t.match(await gateway.program.logged(line => line.msg === 'tunnel ended', 'the end of the session'), {
    reason: 'revoked',
    detail: /renewal refused: revoked: this token may not be used/,
  });
});
