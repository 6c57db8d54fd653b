import { once } from 'node:events';
import { connect } from 'node:http2';
import t from 'tap';
import { callOf, DirectWorld } from '../support/direct-world.ts';
import { run } from '../support/e2e-program.ts';
import { call } from '../support/http2-calls.ts';

const direct = await DirectWorld.make(t);
const { world, gateway } = direct;
const alice = await direct.agent('alice');
const nobody = await world.token({ sub: 'nobody', groups: [] });

t.test(
  'two tokens and a certificate on one connection are three principals, each with its own rights',
  async t => {
    const client = await direct.client(await direct.worker());
    const allowed = await direct.live(client, alice);
    t.match(
      await callOf(client, nobody, 'dialled.example').ended,
      { status: '7' },
      'a token is not the certificate',
    );
    const worker = await direct.live(client, undefined);
    t.ok((await allowed.echoes('a')) && (await worker.echoes('b')));
    const stranger = await direct.client(await direct.worker('stranger'));
    t.match(await callOf(stranger, undefined, 'dialled.example').ended, { status: '7' });
    t.ok(
      await direct.live(stranger, alice),
      'nor does a certificate without a permit stand in a token’s way',
    );
  },
);

t.test('without a credential: UNAUTHENTICATED or a 401 problem, and the connection goes on', async t => {
  const client = await direct.client();
  t.match(await callOf(client, undefined, 'dialled.example').ended, {
    status: '16',
    message: /neither a token \(authorization: Bearer\) nor a client certificate/,
  });
  const answer = await call(client, { ':authority': 'own.example', ':path': '/page' });
  t.match(answer, {
    status: 401,
    headers: { 'content-type': 'application/problem+json', 'www-authenticate': 'Bearer' },
  });
  t.match(JSON.parse(String(answer.body)), { title: 'Unauthenticated', status: 401 });
  for (const authorization of ['Bearer', 'Basic YWxpY2U6eA==', 'Bearer not.a.token']) {
    const headers = { ':authority': 'own.example', ':path': '/page', authorization };
    t.equal((await call(client, headers)).status, 401, authorization);
  }
  t.ok(await direct.live(client, alice), 'with a token, on the same connection');
});

t.test(
  'a path that policy forbids: PERMISSION_DENIED with a decision that lockwire explain knows',
  async t => {
    const client = await direct.client();
    const end = await callOf(client, alice, 'dialled.example', '/echo.Echo/Forbidden').ended;
    t.match(end, {
      status: '7',
      message: /^denied: call dialled \(no-forbidden\), decision \w+; ask your admin/,
    });
    t.match(end.message, String(end.decision));
    const explained = await run(['explain', String(end.decision), '--socket', gateway.adminSocket]);
    t.match(explained, { code: 0, out: /no-forbidden/ });
    t.match(explained.out, /\/echo\.Echo\/Forbidden/);
    t.match(explained.out, /alice/);
    const answer = await call(client, {
      authorization: `Bearer ${alice}`,
      ':authority': 'own.example',
      ':path': '/Forbidden',
    });
    t.match(answer, { status: 403, headers: { 'content-type': 'application/problem+json' } });
    t.match(JSON.parse(String(answer.body)), { title: 'Forbidden', decision: /^\w+$/ });
    t.ok(await direct.live(client, alice));
  },
);

t.test('a Bearer inside a tunnel never widens what the tunnel may do', async t => {
  await direct.expose();
  const policyDenies = { target: 'exposed', token: await world.token({ sub: 'caller', groups: ['agents'] }) };
  const side = await world.connect(gateway, policyDenies);
  const session = connect(`http://${side.address}`);
  t.teardown(() => session.destroy());
  await once(session, 'connect');
  // Somebody who may do more than the tunnel, and somebody who may do nothing.
  const admin = await world.token({ sub: 'root', groups: ['agents', 'roots'] });
  for (const token of [undefined, admin, nobody, 'not.a.token']) {
    const live = callOf(session, token, side.address);
    t.ok(await live.echoes('as the tunnel'), 'the tunnel’s identity decides');
    const refused = await callOf(session, token, side.address, '/echo.Echo/Roots').ended;
    t.match(refused, { status: '7', message: /decision/ }, 'also what it may not');
  }
  const own = callOf(await direct.client(), admin, 'gateway.example', '/echo.Echo/Roots');
  t.ok(await own.echoes('root'), 'the same token may, where it is who asks');
  t.notOk(
    direct.exposed.seen.some(({ headers }) => headers.authorization),
    'and it goes no further',
  );
});

t.test(
  '20 refused tokens in a minute end the connection; one token that is tried 100 times does not',
  async t => {
    const client = await direct.client();
    const live = await direct.live(client, alice);
    for (let i = 0; i < 5; i += 1) {
      const tries = Array.from(
        { length: 20 },
        () => callOf(client, 'the.same.token', 'dialled.example').ended,
      );
      for (const { status } of await Promise.all(tries)) t.equal(status, '16');
    }
    t.ok(await live.echoes('still there'));
    for (let i = 1; i < 20; i += 1)
      t.equal((await callOf(client, `token.number.${i}`, 'dialled.example').ended).status, '16');
    t.ok(await live.echoes('still there'), 'after 20 different ones');
    const closed = once(client, 'close');
    void callOf(client, 'token.number.20', 'dialled.example');
    await closed;
    t.match(await live.ended, { status: '16', message: 'too many credentials were refused' });
  },
);
