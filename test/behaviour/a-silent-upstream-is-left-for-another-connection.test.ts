/** A server whose process stands still, with neither FIN nor RST: its streams end in time, and the next call dials anew. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createServer, type ServerHttp2Session } from 'node:http2';
import t from 'tap';
import { sharedUpstream } from '../../lib/relay/http2/upstreams.ts';
import { call, grpcHeaders } from '../support/http2-calls.ts';
import { startBackend, startRig } from '../support/http2-rig.ts';

const limits = { keepaliveIntervalMs: 200, keepaliveTimeoutMs: 300, keepaliveSpacingMs: 200 };
const quiet = { ...grpcHeaders, ':path': '/never' };

/** Answers with the number of the connection that a call came by, and `/never` never. */
const program = `
  const server = require('node:http2').createServer();
  let sessions = 0;
  server.on('session', session => { session.number = ++sessions; session.on('error', () => {}); });
  server.on('stream', (stream, headers) => {
    stream.on('error', () => {});
    if (headers[':path'] === '/never') process.stdout.write('held\\n');
    else stream.respond({ ':status': 200, 'x-connection': stream.session.number }, { endStream: true });
  });
  server.listen(0, '127.0.0.1', () => process.stdout.write(server.address().port + '\\n'));
`;

async function startServer(test: { teardown(callback: () => unknown): void }) {
  const child = spawn(process.execPath, ['-e', program], { stdio: ['ignore', 'pipe', 'inherit'] });
  test.teardown(() => child.kill('SIGKILL'));
  const said = async (): Promise<string> => String((await once(child.stdout, 'data'))[0]).trim();
  return { child, said, port: Number(await said()) };
}

t.test(
  'a call to a server that is stopped ends with UNAVAILABLE; once it goes on, a new one is served',
  async t => {
    const { child, said, port } = await startServer(t);
    const rig = await startRig(port, { shared: sharedUpstream, probed: true, limits });
    const bare = await startRig(port, { shared: sharedUpstream, limits });
    t.teardown(() => Promise.all([rig.close(), bare.close()]));
    const [client, other] = [await rig.client(), await bare.client()];
    t.equal((await call(client, { ...grpcHeaders, ':path': '/now' })).headers['x-connection'], '1');
    t.equal((await call(other, { ...grpcHeaders, ':path': '/now' })).headers['x-connection'], '2');
    let unprobed = 'open';
    void call(other, quiet).then(() => {
      unprobed = 'ended';
    });
    await said();
    const held = call(client, quiet);
    await said();
    child.kill('SIGSTOP');
    const beganMs = performance.now();
    const { headers } = await held;
    t.equal(headers['grpc-status'], '14');
    t.match(
      decodeURIComponent(String(headers['grpc-message'])),
      /upstream: silent for .* a PING within 300 ms/,
    );
    t.comment(`after ${Math.round(performance.now() - beganMs)} ms`);
    t.equal(unprobed, 'open', 'without probes it still waits');
    child.kill('SIGCONT');
    t.equal((await call(client, { ...grpcHeaders, ':path': '/now' })).headers['x-connection'], '3');
  },
);

t.test('a quiet server that answers 5 PINGs keeps its stream, and answers in the end', async t => {
  const server = createServer();
  const backend = await startBackend(server);
  const rig = await startRig(backend.port, { shared: sharedUpstream, probed: true, limits });
  t.teardown(async () => {
    await rig.close();
    await backend.close();
  });
  const session = once(server, 'session') as Promise<[ServerHttp2Session]>;
  const stream = once(server, 'stream');
  const answer = call(await rig.client(), quiet);
  const [probed] = await session;
  const [held] = await stream;
  for (let pings = 0; pings < 5; pings += 1) await once(probed, 'ping');
  held.respond({ ':status': 204 }, { endStream: true });
  t.equal((await answer).status, 204);
});
