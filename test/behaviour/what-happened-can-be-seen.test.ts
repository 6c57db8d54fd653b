import { statSync } from 'node:fs';
import t from 'tap';
import { adminAddressOf, adminGet } from '../support/e2e-admin.ts';
import { run } from '../support/e2e-program.ts';
import { exchange, talk } from '../support/e2e-sockets.ts';
import { dialRaw } from '../support/e2e-tunnel.ts';
import { World } from '../support/e2e-world.ts';

const world = await World.make(t);
const host = await world.host();
const gateway = await world.gateway({ admin: { bind: '127.0.0.1:0' } });
const admin = await adminAddressOf(gateway.program);
const tokens = {
  agent: await world.token({ groups: ['agents'] }),
  server: await world.token({ sub: 'server', groups: ['hosts'] }),
};
const args = ['--log-level', 'debug'];
const expose = await world.expose(gateway, { to: host.address, token: tokens.server, args });
const connect = await world.connect(gateway, { token: tokens.agent, args });

const get = (path: string, headers: Record<string, string> = {}, method = 'GET') =>
  adminGet(admin, path, headers, method);

t.test('each session leaves one line: who, what, how long, how much, why it ended', async t => {
  const before = gateway.program.logs.length;
  for (let i = 0; i < 3; i += 1)
    t.equal(await exchange(connect.address, 'x'.repeat(100 + i)), 'x'.repeat(100 + i));
  const lines = () => gateway.program.logs.slice(before).filter(line => line.msg === 'session ended');
  await gateway.program.until(() => lines().length >= 3, 'three lines');
  t.match(
    lines(),
    [100, 101, 102].map(bytes => ({
      who: 'User::corp|alice',
      target: 'autogen',
      upstream: /^tunnel:[0-9a-f]{16}$/,
      listener: 'public',
      peer: '127.0.0.1',
      rule: 'agents',
      durationMs: Number,
      bytesUp: bytes,
      bytesDown: bytes,
      reason: 'done',
    })),
  );
  t.equal(lines().length, 3);
});

t.test('health, readiness and metrics answer on loopback, to a Host that is theirs only', async t => {
  t.match(await get('/healthz'), { status: 200, body: /ok/ });
  t.match(await get('/readyz'), { status: 200, body: /ready/ });
  const { status, body } = await get('/metrics');
  t.equal(status, 200);
  t.match(body, /^lockwire_tunnels 2$/m);
  t.match(body, /^lockwire_relayed_bytes_total\{direction="up"\} [1-9]/m);
  t.match(body, /^lockwire_connections_accepted_total\{listener="public"\} [2-9]/m);
  t.equal((await get('/metrics', { host: 'evil.example' })).status, 421, 'DNS rebinding');
  t.equal((await get('/metrics', { origin: 'https://evil.example' })).status, 403, 'a web page');
  t.equal((await get('/sessions')).status, 404, 'what lives is for the admin socket');
  t.equal((await get('/metrics', {}, 'POST')).status, 405);
});

t.test('the admin socket is its owner’s only; lockwire sessions lists what lives', async t => {
  t.equal(statSync(gateway.adminSocket).mode & 0o777, 0o600);
  const stream = talk(connect.address);
  stream.write('alive');
  await stream.received(5);
  const { code, out } = await run(['sessions', '--config', gateway.config]);
  t.equal(code, 0);
  const listed = JSON.parse(out) as { tunnels: { role: string }[]; relays: object[] };
  t.same(listed.tunnels.map(({ role }) => role).sort(), ['connect', 'expose']);
  t.match(listed.relays, [{ principal: 'User::corp|alice', target: 'autogen' }]);
  stream.socket.end();
  await stream.closed;
});

t.test('what a peer may write is escaped before it comes to a log or a terminal', async t => {
  const evil = 'x\u001b[31mred\u202e\r\n{"level":"error","msg":"forged"}';
  const raw = await dialRaw({
    port: gateway.port,
    ca: world.authority.certPem,
    role: 'connect',
    token: tokens.agent,
  });
  await raw.open(evil).untilClosed();
  raw.session.close({ code: 'done', text: '' });
  const line = await gateway.program.logged(
    ({ msg, reason }) => msg === 'stream refused' && reason === 'unknown-target',
    'the refusal',
  );
  // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what must not be there
  t.notMatch(String(line.target), /[\u0000-\u001f\u202e]/);
  t.match(line.target, /red/, 'escaped, not dropped');
  t.notOk(
    gateway.program.logs.some(({ msg }) => msg === 'forged'),
    'no line was forged',
  );
  const [notice] = raw.notices;
  // biome-ignore lint/suspicious/noControlCharactersInRegex: as above
  t.notMatch(notice?.text, /[\u0000-\u001f\u202e]/);
});

t.test('no token, nor a part of one, is in any log', async t => {
  const bad = `${tokens.agent.slice(0, -8)}AAAAAAAA`;
  const refused = await world.startConnect(gateway, { token: bad, args });
  t.equal((await refused.ended).code, 1);
  await gateway.program.logged(line => line.msg === 'tunnel refused', 'the refusal');
  const texts = { gateway: gateway.program, connect: connect.program, expose: expose.program, refused };
  for (const [name, program] of Object.entries(texts)) {
    t.ok(program.text.length > 50, `${name} logged something`);
    for (const token of [...Object.values(tokens), bad]) {
      // The header is the same for all; payload and signature are what tells and proves.
      const [, payload = '', signature = ''] = token.split('.');
      for (const part of [payload, signature])
        for (let at = 0; at + 16 <= part.length; at += 8)
          if (program.text.includes(part.slice(at, at + 16))) t.fail(`${name} logged part of a token`);
    }
  }
  t.pass('none');
});

t.test('a gateway that drains answers readyz no more: its address is the successor’s', async t => {
  const stream = talk(connect.address);
  stream.write('alive');
  await stream.received(5);
  gateway.program.signal('SIGTERM');
  await gateway.program.logged(line => line.msg === 'draining; once more to end at once', 'that it drains');
  await t.rejects(get('/readyz'), { code: /ECONN(REFUSED|RESET)/ });
  stream.socket.end();
  t.equal(await stream.closed, 'end');
  t.same(await gateway.program.ended, { code: 0, signal: null });
});
