import t, { type Test } from 'tap';
import type { Program } from '../support/e2e-program.ts';
import { run } from '../support/e2e-program.ts';
import { exchange, talk } from '../support/e2e-sockets.ts';
import { dialRaw } from '../support/e2e-tunnel.ts';
import { makeIssuer, World } from '../support/e2e-world.ts';

const world = await World.make(t);
const host = await world.host();
const gateway = await world.gateway();
const expose = await world.expose(gateway, { to: host.address });
const honest = await world.connect(gateway);

async function endsWith(t: Test, program: Program, what: RegExp): Promise<void> {
  const { code } = await program.ended;
  t.equal(code, 1);
  t.equal(program.out.length, 0, 'it never said that it was ready');
  const lines = program.err.filter(line => line.startsWith('lockwire:'));
  t.equal(lines.length, 1, `one line: ${program.text}`);
  t.match(lines[0], what);
}

t.test(
  'connect with a token that is no good ends at once with exit 1 and one line that says why',
  async t => {
    const stranger = await makeIssuer('https://issuer.example');
    const tokens: readonly [string, string, RegExp][] = [
      ['expired 2 minutes ago', await world.token({ issued: -600, expires: -120 }), /token expired at 2/],
      ['expired 10 s ago', await world.token({ issued: -600, expires: -10 }), /token expired at 2/],
      ['for another audience', await world.token({ aud: 'somewhere-else' }), /audience 'somewhere-else'/],
      [
        'of an unknown issuer',
        await world.token({ iss: 'https://evil.example' }),
        /the token was refused; the log of the gateway says why/,
      ],
      [
        'signed by another key',
        await stranger.sign({ groups: ['agents'] }),
        /the token was refused; the log of the gateway says why/,
      ],
    ];
    const programs = await Promise.all(tokens.map(([, token]) => world.startConnect(gateway, { token })));
    for (const [index, [name, , what]] of tokens.entries()) {
      const program = programs[index];
      if (program) await t.test(name, t => endsWith(t, program, what));
    }
    t.equal(await exchange(honest.address, 'honest'), 'honest', 'an honest client is served meanwhile');
  },
);

t.test('a connect that policy denies: its local connection is reset and it says whom to ask', async t => {
  const token = await world.token({ sub: 'mallory', groups: ['guests'] });
  const connect = await world.connect(gateway, { token });
  const client = talk(connect.address);
  client.write('let me in');
  t.match(await client.closed, /ECONNRESET|closed/, 'reset, not an orderly end');
  const line =
    /denied: connect autogen \(default-deny\), decision (\S+); ask your admin: lockwire explain \1$/;
  const [, decision = ''] = await connect.program.line(line);
  const told = await run(['explain', decision, '--socket', gateway.adminSocket]);
  t.equal(told.code, 0);
  t.match(told.out, /User::corp\|mallory/);
  t.match(told.out, /connect/);
  const unknown = await run(['explain', 'nonsuch', '--socket', gateway.adminSocket]);
  t.equal(unknown.code, 1, 'an unknown decision is said to be unknown');
  t.equal(host.sockets.length, 1, 'the host saw the honest connection only');
  t.equal(await exchange(honest.address, 'again'), 'again');
});

t.test('whether a target exists is told to those only who may ask for it', async t => {
  const raw = (token: string) =>
    dialRaw({ port: gateway.port, ca: world.authority.certPem, role: 'connect', token });
  const agent = await raw(await world.token({ groups: ['agents'] }));
  const known = await agent.open('nonsuch').untilClosed();
  t.match(known, { code: 'unknown-target', text: 'no target is named "nonsuch"' });
  const guest = await raw(await world.token({ sub: 'mallory', groups: [] }));
  const reasons = [await guest.open('nonsuch').untilClosed(), await guest.open('autogen').untilClosed()];
  t.same(
    reasons.map(({ code }) => code),
    ['denied', 'denied'],
  );
  for (const { session } of [agent, guest]) session.close({ code: 'done', text: '' });
});

t.test('an expose is refused a target that it may not serve, and one that does not exist', async t => {
  const agent = await world.token({ groups: ['agents'] });
  const programs = await Promise.all([
    world.startExpose(gateway, { to: host.address, token: agent }),
    world.startExpose(gateway, { to: host.address, target: 'nonsuch' }),
  ]);
  await endsWith(t, programs[0], /denied: expose autogen \(default-deny\), decision/);
  await endsWith(t, programs[1], /no target "nonsuch" is reached through an expose/);
  t.ok(expose.program.alive);
  t.equal(await exchange(honest.address, 'still here'), 'still here');
});

t.test('a frame against the role ends the session: an expose that opens', async t => {
  const token = await world.token({ sub: 'server', groups: ['hosts'] });
  const dial = { port: gateway.port, ca: world.authority.certPem, token, target: 'autogen' };
  const raw = await dialRaw({ ...dial, role: 'expose' });
  // What a program of ours would not send.
  raw.session.send(1, { type: 'open', target: 'autogen', ingress: 'loopback' });
  t.match(await raw.closed, { code: 'protocol', text: /open against role expose/ });
  t.equal(await exchange(honest.address, 'unhurt'), 'unhurt');
});

t.test('nothing is opened to a connect: it serves nothing, whatever it says', async t => {
  const token = await world.token({ groups: ['agents'] });
  const dial = { port: gateway.port, ca: world.authority.certPem, token };
  await t.rejects(dialRaw({ ...dial, role: 'connect', target: 'autogen' }), {
    code: 'unavailable',
    message: /role connect with target/,
  });
  const raw = await dialRaw({ ...dial, role: 'connect', onOpen: () => t.fail('opened to a connect') });
  await expose.program.kill();
  await gateway.program.logged(
    line => line.msg === 'tunnel ended' && line.role === 'expose',
    'the end of expose',
  );
  const client = talk(honest.address);
  client.write('x');
  t.match(await client.closed, /ECONNRESET|closed/, 'with no expose there is nobody to serve it');
  raw.session.send(1, { type: 'opened', limit: 1024 });
  t.match(await raw.closed, { code: 'protocol' }, 'a connect that takes up what was never opened');
});
