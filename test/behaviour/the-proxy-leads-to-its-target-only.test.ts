import { createServer } from 'node:net';
import t from 'tap';
import { exchange, startHost, talk } from '../support/e2e-sockets.ts';
import { World } from '../support/e2e-world.ts';
import { otherUser, sayAs } from '../support/loopback-other-user.ts';

const world = await World.make(t);
const host = await world.host();
const gateway = await world.gateway();
await world.expose(gateway, { target: 'plain', to: host.address });
const connect = await world.connect(gateway, {
  target: 'plain',
  args: ['--proxy', '127.0.0.1:0', '--hosts', 'agents.internal', '--hosts', 'studio.internal:443'],
});
const [, proxy = ''] = await connect.program.line(/CONNECT proxy on (\S+)$/);

const asking = (authority: string, more = ''): string =>
  `CONNECT ${authority} HTTP/1.1\r\nHost: ${authority}\r\n${more}\r\n`;
const opened = 'HTTP/1.1 200 Connection established\r\n\r\n';

/** Sends a request and what follows it, as one piece; ends as soon as the proxy has. */
async function ask(text: string, at = proxy): Promise<string> {
  const client = talk(at);
  client.socket.once('end', () => client.socket.end());
  client.write(text);
  await client.closed;
  return client.text;
}

t.test(
  'the target by its name and by the hosts that are given, whatever the port, beside the plain listener',
  async t => {
    for (const authority of ['plain:50051', 'PLAIN:1', 'agents.internal:80', 'studio.internal:443']) {
      t.equal(await exchange(proxy, `${asking(authority)}body`), `${opened}body`, authority);
    }
    t.equal(await exchange(connect.address, 'straight'), 'straight');
  },
);

t.test(
  'a head that dribbles, and 1 MiB that follows at once: what comes back is exactly what followed',
  async t => {
    const client = talk(proxy);
    for (const byte of asking('plain:50051')) {
      client.write(byte);
      await new Promise(setImmediate);
    }
    await client.received(opened.length);
    client.socket.end();
    t.equal(await client.closed, 'end');
    t.equal(client.text, opened);
    const body = 'x'.repeat(1024 * 1024);
    t.equal(await exchange(proxy, asking('plain:50051') + body), opened + body);
  },
);

t.test('any other host is 403 and names those that are known; nothing is dialled from here', async t => {
  const dialled: string[] = [];
  const victim = createServer(socket => {
    dialled.push('dialled');
    socket.destroy();
  });
  await new Promise<void>(resolve => victim.listen(0, '127.0.0.1', resolve));
  const { port } = victim.address() as { port: number };
  const before = host.sockets.length;
  const asked = [
    `127.0.0.1:${port}`,
    `localhost:${port}`,
    host.address,
    'studio.internal:80',
    'example.com:443',
  ];
  for (const authority of [...asked, '169.254.169.254:80', '[::1]:22']) {
    const text = await ask(asking(authority));
    t.match(text, /^HTTP\/1\.1 403 Forbidden\r\n/, authority);
    t.match(text, /it leads to plain:PORT, agents\.internal:PORT, studio\.internal:443/);
  }
  t.same(dialled, []);
  t.equal(host.sockets.length, before);
  victim.close();
});

t.test(
  'other methods are 405, rubbish 400, and a credential for a proxy is neither used nor logged',
  async t => {
    t.match(
      await ask('GET http://plain/ HTTP/1.1\r\nHost: plain\r\n\r\n'),
      /^HTTP\/1\.1 405 .*\r\nAllow: CONNECT\r\n/s,
    );
    t.match(await ask('\x16\x03\x01\x02\x00'), /^HTTP\/1\.1 400 /);
    t.match(await ask(asking('plain')), /^HTTP\/1\.1 400 /);
    const secret = 'Proxy-Authorization: Basic aHVudGVyMmh1bnRlcjI=\r\n';
    t.equal(await exchange(proxy, `${asking('plain:1', secret)}x`), `${opened}x`);
    t.match(await ask(asking('other:1', secret)), /^HTTP\/1\.1 403 /);
    for (const program of [connect.program, gateway.program]) t.notMatch(program.text, /aHVudGVy/);
  },
);

t.test('a proxy alone, on a unix socket; and never beyond loopback', async t => {
  const address = `unix:${world.directory}/proxy.sock`;
  const program = world.program([
    ...['connect', '--proxy', address, '--gateway', `127.0.0.1:${gateway.port}`, '--target', 'plain'],
    ...['--server-name', 'gateway.example', '--ca', `${world.directory}/ca.pem`],
    ...['--token-file', world.file('proxy.jwt', await world.token({ groups: ['agents'] }))],
    ...['--instance-key-file', `${world.directory}/proxy.key`],
  ]);
  await program.line(/connect ready on unix:.*, CONNECT proxy on unix:/);
  t.equal(await exchange(address, `${asking('plain:1')}x`), `${opened}x`);
  const wide = await world.startConnect(gateway, { target: 'plain', args: ['--proxy', '0.0.0.0:0'] });
  t.equal((await wide.ended).code, 2);
  t.match(wide.text, /--proxy "0\.0\.0\.0:0" is not loopback/);
});

t.test('another user is refused here as well; a gRPC target still wants the preface', async t => {
  const nobody = otherUser();
  if (nobody === undefined) t.comment('NOT SHOWN without root: a second user');
  else t.match(await sayAs(nobody, proxy, asking('plain:1')), { text: '', ending: 'ECONNRESET' });
  const rpc = await startHost();
  t.teardown(() => rpc.close());
  await world.expose(gateway, { target: 'rpc', to: rpc.address });
  const { program } = await world.connect(gateway, { target: 'rpc', args: ['--proxy', '127.0.0.1:0'] });
  const [, at = ''] = await program.line(/CONNECT proxy on (\S+)$/);
  t.match(
    await ask(`${asking('rpc:1')}GET / HTTP/1.1\r\n\r\n`, at),
    /^HTTP\/1\.1 200 .*\r\n\r\nHTTP\/1\.1 400 /s,
  );
  const preface = 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0';
  const answer = await exchange(at, `${asking('rpc:1')}${preface}`);
  t.equal(answer.slice(0, opened.length), opened);
  t.equal(answer.charCodeAt(opened.length + 3), 4, 'SETTINGS, a server’s first word (RFC 9113 section 3.4)');
  t.equal(rpc.sockets.length, 1);
});
