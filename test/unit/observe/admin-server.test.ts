import { once } from 'node:events';
import { chmodSync, mkdirSync, mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { connect, createServer, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { LockwireError } from '../../../lib/core/errors.ts';
import { silentLog } from '../../../lib/core/ports.ts';
import { adminRequest } from '../../../lib/observe/admin-client.ts';
import { type Admin, type AdminOptions, startAdmin } from '../../../lib/observe/admin-server.ts';

const directory = mkdtempSync(join(tmpdir(), 'lockwire-admin-'));
t.teardown(() => rmSync(directory, { recursive: true }));

let ready = true;
const options = (more: Partial<AdminOptions> = {}): AdminOptions => ({
  health: () => ({ ready, reasons: ready ? [] : ['draining'] }),
  metrics: { render: async () => 'lockwire_sessions_total 5\n', contentType: 'text/plain; version=0.0.4' },
  routes: {
    'GET /sessions': async ({ query }) => ({ status: 200, body: { sessions: [], of: query.get('of') } }),
    'POST /echo': async ({ body }) => ({ status: 200, body }),
    'POST /fail': async () => {
      throw new Error('secret detail');
    },
    'POST /deny': async () => {
      throw new LockwireError('denied', 'not you');
    },
  },
  ...more,
});

async function start(t: Test, more: Partial<AdminOptions> = {}): Promise<Admin> {
  const admin = await startAdmin(options(more), { log: silentLog });
  t.teardown(() => admin.close());
  return admin;
}

/** Sends bytes as they are, and reads until the other side closes. */
async function raw(to: { port: number } | { path: string }, text: string): Promise<string> {
  const socket = connect({ ...to, ...('port' in to && { host: '127.0.0.1' }) } as { path: string });
  return readAll(socket, text);
}

async function readAll(socket: Socket, text: string): Promise<string> {
  let answer = '';
  socket.on('data', chunk => {
    answer += chunk.toString();
  });
  socket.on('error', () => {});
  socket.write(text);
  await closed(socket);
  return answer;
}

/** A reset is an end, too. */
function closed(socket: Socket): Promise<void> {
  return new Promise(resolve => socket.once('close', () => resolve()));
}

const get = (path: string, host: string, more = ''): string =>
  `GET ${path} HTTP/1.1\r\nHost: ${host}\r\nConnection: close\r\n${more}\r\n`;

function portOf(admin: Admin): number {
  return admin.address?.port ?? 0;
}

t.test('health, readiness and metrics on loopback', async t => {
  const port = portOf(await start(t, { bind: { host: '127.0.0.1', port: 0 } }));
  const url = `http://127.0.0.1:${port}`;
  t.strictSame(await (await fetch(`${url}/healthz`)).json(), { status: 'ok' });
  t.strictSame(await (await fetch(`${url}/readyz`)).json(), { status: 'ready', reasons: [] });
  ready = false;
  const unready = await fetch(`${url}/readyz`);
  ready = true;
  t.equal(unready.status, 503);
  t.strictSame(await unready.json(), { status: 'not ready', reasons: ['draining'] });
  const metrics = await fetch(`${url}/metrics`);
  t.equal(metrics.headers.get('content-type'), 'text/plain; version=0.0.4');
  t.equal(metrics.headers.get('cache-control'), 'no-store');
  t.equal(await metrics.text(), 'lockwire_sessions_total 5\n');
  t.equal(await (await fetch(`${url}/metrics`, { method: 'HEAD' })).text(), '');
});

t.test(
  'on TCP nothing else is served: not the routes, no other method, no other spelling of a path',
  async t => {
    const port = portOf(await start(t, { bind: { host: '127.0.0.1', port: 0 } }));
    const url = `http://127.0.0.1:${port}`;
    t.equal((await fetch(`${url}/sessions`)).status, 404);
    t.equal((await fetch(`${url}/echo`, { method: 'POST', body: '{}' })).status, 404);
    t.equal((await fetch(`${url}/metrics`, { method: 'POST', body: '{}' })).status, 405);
    for (const path of [
      '//metrics',
      '/./metrics',
      '/metrics/',
      '/%6detrics',
      '/metrics;x',
      'http://127.0.0.1/metrics',
      '/',
    ])
      t.match(await raw({ port }, get(path, '127.0.0.1')), /^HTTP\/1\.1 404 /, path);
    t.match(await raw({ port }, get('/metrics?x', '127.0.0.1')), /^HTTP\/1\.1 200 /);
  },
);

t.test('a web page whose name was rebound to loopback gets nothing; loopback names do', async t => {
  const port = portOf(await start(t, { bind: { host: '127.0.0.1', port: 0 } }));
  for (const host of [
    '127.0.0.1',
    `127.0.0.1:${port}`,
    'localhost',
    `LOCALHOST:${port}`,
    '[::1]',
    `[::1]:${port}`,
    '127.0.0.2',
  ])
    t.match(await raw({ port }, get('/metrics', host)), /^HTTP\/1\.1 200 /, host);
  for (const host of [
    'evil.example',
    `evil.example:${port}`,
    'localhost.evil.example',
    '127.0.0.1.evil.example',
    'localhost:1',
    '127.0.0.1@evil.example',
    '10.0.0.1',
    '[::2]',
    '0.0.0.0',
    '',
  ]) {
    const answer = await raw({ port }, get('/metrics', host));
    t.match(answer, /^HTTP\/1\.1 4(21|00) /, host);
    t.notMatch(answer, 'lockwire_sessions_total');
  }
  t.match(
    await raw({ port }, get('/metrics', 'localhost', 'Host: localhost\r\n')),
    /^HTTP\/1\.1 4(21|00) /,
    'two Hosts',
  );
  t.match(
    await raw({ port }, 'GET /metrics HTTP/1.1\r\nConnection: close\r\n\r\n'),
    /^HTTP\/1\.1 400 /,
    'no Host',
  );
  t.match(await raw({ port }, 'GET /metrics HTTP/1.0\r\n\r\n'), /^HTTP\/1\.1 421 /, 'no Host in HTTP/1.0');
  t.match(
    await raw({ port }, get('/metrics', 'localhost', 'Origin: https://evil.example\r\n')),
    /^HTTP\/1\.1 403 /,
  );
});

t.test('an address beyond loopback is refused, a busy port is named', async t => {
  for (const host of ['0.0.0.0', '::', '192.0.2.1', 'localhost.example'])
    await t.rejects(startAdmin(options({ bind: { host, port: 0 } }), { log: silentLog }), {
      code: 'config',
      message: /is not loopback/,
    });
  const port = portOf(await start(t, { bind: { host: '127.0.0.1', port: 0 } }));
  await t.rejects(startAdmin(options({ bind: { host: '127.0.0.1', port } }), { log: silentLog }), {
    code: 'io',
    message: new RegExp(`cannot bind the admin address 127.0.0.1:${port}: .*EADDRINUSE`),
  });
});

t.test('the socket is 0600 in a 0700 directory, whatever the umask, and serves the routes', async t => {
  const before = process.umask(0);
  t.teardown(() => process.umask(before));
  const socketPath = join(directory, 'made', 'admin.sock');
  await start(t, { socketPath });
  t.equal(process.umask(), 0, 'the umask is as it was');
  t.equal(statSync(socketPath).mode & 0o7777, 0o600);
  t.equal(statSync(join(directory, 'made')).mode & 0o7777, 0o700);
  t.strictSame(await adminRequest(socketPath, 'GET', '/sessions?of=alice'), { sessions: [], of: 'alice' });
  t.strictSame(await adminRequest(socketPath, 'GET', '/healthz'), { status: 'ok' });
  t.strictSame(await adminRequest(socketPath, 'POST', '/echo', { a: [1, 'ü'] }), { a: [1, 'ü'] });
  t.equal(await adminRequest(socketPath, 'POST', '/echo'), null);
});

t.test('errors of a route reach the command line by code; a bug says nothing of itself', async t => {
  const socketPath = join(directory, 'errors.sock');
  await start(t, { socketPath });
  await t.rejects(adminRequest(socketPath, 'POST', '/deny', {}), { code: 'denied', message: 'not you' });
  await t.rejects(adminRequest(socketPath, 'POST', '/fail', {}), { code: 'io', message: 'internal error' });
  await t.rejects(adminRequest(socketPath, 'GET', '/none'), { code: 'usage', message: 'no such path' });
  await t.rejects(adminRequest(socketPath, 'GET', '/echo'), { code: 'usage', message: 'expected POST' });
  await t.rejects(adminRequest(socketPath, 'GET', '/toString'), { code: 'usage' });
  t.match(
    await raw(
      { path: socketPath },
      'POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{x',
    ),
    /400 .*the body is not JSON/s,
  );
});

t.test('a body of 64 KiB is taken, one of a byte more is refused, stated or not', async t => {
  const socketPath = join(directory, 'body.sock');
  await start(t, { socketPath });
  const fits = 'x'.repeat(65_534);
  t.equal(await adminRequest(socketPath, 'POST', '/echo', fits), fits);
  await t.rejects(adminRequest(socketPath, 'POST', '/echo', `${fits}x`), {
    code: 'limit',
    message: /body of 65537 bytes or more, at most 65536/,
  });
  const head = 'POST /echo HTTP/1.1\r\nHost: x\r\n';
  const chunk = `4000\r\n${'1'.repeat(0x4000)}\r\n`;
  const answer = await raw(
    { path: socketPath },
    `${head}Transfer-Encoding: chunked\r\n\r\n${chunk.repeat(5)}`,
  );
  t.match(answer, /^HTTP\/1\.1 413 /, 'a chunked body without end');
  t.match(answer, /connection: close/i);
  t.match(await raw({ path: socketPath }, `${head}Content-Length: 9999999999\r\n\r\n`), /^HTTP\/1\.1 413 /);
});

t.test('silent, dribbling and half-sent requests are cut; a client beside them is served', async t => {
  const admin = await start(t, {
    bind: { host: '127.0.0.1', port: 0 },
    timeouts: { headersMs: 300, requestMs: 600, idleMs: 300 },
  });
  const port = portOf(admin);
  const silent = raw({ port }, '');
  const halfHeaders = raw({ port }, 'GET /metrics HTTP/1.1\r\nHost: local');
  const dribbling = connect({ host: '127.0.0.1', port });
  const dribbled = readAll(dribbling, 'GET /metrics HTTP/1.1\r\nX: ');
  const drip = setInterval(() => dribbling.write('x'), 50);
  t.teardown(() => clearInterval(drip));
  const idle = raw({ port }, 'GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n');
  t.equal((await fetch(`http://127.0.0.1:${port}/healthz`)).status, 200);
  t.match(await halfHeaders, /^(HTTP\/1\.1 408 .*)?$/s);
  t.match(await dribbled, /^(HTTP\/1\.1 408 .*)?$/s);
  t.match(await silent, /^(HTTP\/1\.1 408 .*)?$/s);
  t.match(await idle, /^HTTP\/1\.1 200 /, 'an idle kept-alive connection is closed after its answer');
});

t.test('a body that never ends is cut', async t => {
  const socketPath = join(directory, 'slow.sock');
  await start(t, { socketPath, timeouts: { headersMs: 300, requestMs: 600, idleMs: 300 } });
  const answer = await raw(
    { path: socketPath },
    'POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\n{',
  );
  t.match(answer, /^(HTTP\/1\.1 408 .*)?$/s);
});

t.test('of 65 connections the last is closed, and 64 held open do not keep others out for long', async t => {
  const port = portOf(
    await start(t, {
      bind: { host: '127.0.0.1', port: 0 },
      timeouts: { headersMs: 300, requestMs: 600, idleMs: 300 },
    }),
  );
  const held = Array.from({ length: 64 }, () => connect({ host: '127.0.0.1', port }).on('error', () => {}));
  await Promise.all(held.map(socket => once(socket, 'connect')));
  t.equal(await raw({ port }, get('/healthz', 'localhost')), '', 'the 65th gets nothing');
  await Promise.all(held.map(socket => closed(socket.resume())));
  t.match(await raw({ port }, get('/healthz', 'localhost')), /^HTTP\/1\.1 200 /);
});

t.test('headers of more than 8 KiB are refused', async t => {
  const port = portOf(await start(t, { bind: { host: '127.0.0.1', port: 0 } }));
  t.match(
    await raw({ port }, get('/healthz', 'localhost', `X: ${'x'.repeat(9000)}\r\n`)),
    /^HTTP\/1\.1 431 /,
  );
});

t.test(
  'a socket that a dead process left is taken over; a living gateway’s and other files are not',
  async t => {
    const socketPath = join(directory, 'stale.sock');
    await leaveStaleSocket(socketPath);
    const admin = await startAdmin(options({ socketPath }), { log: silentLog });
    t.strictSame(await adminRequest(socketPath, 'GET', '/healthz'), { status: 'ok' });
    await t.rejects(startAdmin(options({ socketPath }), { log: silentLog }), {
      code: 'config',
      message: /another gateway is running: it answers at /,
    });
    t.strictSame(
      await adminRequest(socketPath, 'GET', '/healthz'),
      { status: 'ok' },
      'the first still answers',
    );
    await admin.close();
    await t.rejects(adminRequest(socketPath, 'GET', '/healthz'), {
      code: 'unavailable',
      message: /no gateway is running here/,
    });
    const file = join(directory, 'file.sock');
    writeFileSync(file, 'precious');
    await t.rejects(startAdmin(options({ socketPath: file }), { log: silentLog }), {
      code: 'config',
      message: /is no socket: remove it/,
    });
  },
);

t.test('a directory that others can write is refused', async t => {
  const open = join(directory, 'open');
  mkdirSync(open);
  chmodSync(open, 0o777);
  const socketPath = join(open, 'admin.sock');
  await t.rejects(startAdmin(options({ socketPath }), { log: silentLog }), {
    code: 'config',
    message: /others can write .*: chmod 700 /,
  });
  chmodSync(open, 0o755);
  await (await startAdmin(options({ socketPath }), { log: silentLog })).close();
});

t.test('where one address fails nothing stays open', async t => {
  const socketPath = join(directory, 'gone', 'x'.repeat(120), 'admin.sock');
  await t.rejects(
    startAdmin(options({ bind: { host: '127.0.0.1', port: 0 }, socketPath }), { log: silentLog }),
    { code: 'io' },
  );
});

t.test('the command line says what is the matter', async t => {
  await t.rejects(adminRequest(join(directory, 'nothing.sock'), 'GET', '/sessions'), {
    code: 'unavailable',
    message: /^no gateway is running here: nothing answers at .*nothing\.sock$/,
  });
  const stale = join(directory, 'refused.sock');
  await leaveStaleSocket(stale);
  await t.rejects(adminRequest(stale, 'GET', '/sessions'), { code: 'unavailable' });
  const odd = join(directory, 'odd.sock');
  const server = createServer(socket => socket.end('HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nno'));
  server.listen(odd);
  t.teardown(() => server.close());
  await t.rejects(adminRequest(odd, 'GET', '/sessions'), {
    code: 'protocol',
    message: /something else than JSON/,
  });
});

/** As `kill -9` leaves it: the name is there, nobody listens. */
async function leaveStaleSocket(path: string): Promise<void> {
  const { spawnSync } = await import('node:child_process');
  const program = `require('net').createServer().listen(${JSON.stringify(path)}, () => process.kill(process.pid, 'SIGKILL'))`;
  spawnSync(process.execPath, ['--eval', program]);
  if (!statSync(path).isSocket()) throw new Error('no stale socket was left');
}
