import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import type { LocalAddress } from '../../../lib/core/address.ts';
import type { Carrier } from '../../../lib/core/ports.ts';
import { dialLocal, type LocalPeer, listenLocal } from '../../../lib/transport/local.ts';
import { TurnedClock } from '../../support/transport-clock.ts';
import { CarrierProbe } from '../../support/transport-sockets.ts';

/** A unix socket's path may have 107 bytes; the tests' own folders are deeper. */
function shortDir(t: Test): string {
  const dir = mkdtempSync(join(tmpdir(), 'lw-'));
  t.teardown(() => rmSync(dir, { recursive: true }));
  return dir;
}

const anyPort: LocalAddress = { kind: 'tcp', host: '127.0.0.1', port: 0 };

for (const kind of ['tcp', 'unix'] as const) {
  t.test(`listens and dials over ${kind}, half-closes both ways, and says who came`, async t => {
    const path = join(shortDir(t), 'lw.sock');
    const arrived = Promise.withResolvers<{ carrier: Carrier; from: LocalPeer }>();
    const listener = await listenLocal(kind === 'tcp' ? anyPort : { kind, path }, (carrier, from) =>
      arrived.resolve({ carrier, from }),
    );
    t.teardown(() => listener.close());
    const near = new CarrierProbe(await dialLocal(listener.address));
    const { carrier, from } = await arrived.promise;
    if (kind === 'unix') t.same(from, { ingress: 'unix' });
    else
      t.match(from, {
        ingress: 'loopback',
        peer: { address: '127.0.0.1', port: Number },
        own: { address: '127.0.0.1', port: Number },
      });
    await near.write('question');
    near.carrier.end();
    const far = new CarrierProbe(carrier);
    await far.ended;
    t.equal(far.text(), 'question');
    await far.write('answer');
    far.carrier.end();
    await near.ended;
    t.equal(near.text(), 'answer');
    t.equal(await near.closed, undefined);
    t.equal(await far.closed, undefined);
  });
}

t.test('a unix socket has mode 0600 and is gone after close, and the umask is as before', async t => {
  const path = join(shortDir(t), 'lw.sock');
  const before = process.umask();
  const listener = await listenLocal({ kind: 'unix', path }, () => undefined);
  t.equal(statSync(path).mode & 0o777, 0o600);
  t.equal(process.umask(), before);
  await listener.close();
  t.notOk(existsSync(path));
});

t.test(
  'the socket of a process that was killed is taken over; a live one, a file and a missing folder are errors',
  async t => {
    const dir = shortDir(t);
    const path = join(dir, 'lw.sock');
    const address: LocalAddress = { kind: 'unix', path };
    const child = spawn(process.execPath, [
      '-e',
      `require('net').createServer().listen(${JSON.stringify(path)}, () => console.log('up'))`,
    ]);
    await once(child.stdout, 'data');
    await t.rejects(
      listenLocal(address, () => undefined),
      { code: 'usage', message: `unix:${path} is in use` },
    );
    child.kill('SIGKILL');
    await once(child, 'close');
    t.ok(existsSync(path), 'it left its socket behind');
    const listener = await listenLocal(address, carrier => carrier.destroy());
    await t.rejects(
      listenLocal(address, () => undefined),
      { code: 'usage', message: /is in use; .*--listen/ },
    );
    const live = new CarrierProbe(await dialLocal(address));
    await live.ended;
    live.carrier.destroy();
    await listener.close();
    writeFileSync(path, 'precious');
    await t.rejects(
      listenLocal(address, () => undefined),
      { code: 'usage', message: /exists and is not a socket/ },
    );
    t.ok(existsSync(path));
    await t.rejects(
      listenLocal({ kind: 'unix', path: join(dir, 'no/such.sock') }, () => undefined),
      {
        code: 'usage',
        message: new RegExp(`the directory ${dir}/no does not exist`),
      },
    );
  },
);

t.test('a busy port says which and what to do', async t => {
  const listener = await listenLocal(anyPort, () => undefined);
  t.teardown(() => listener.close());
  const { port } = listener.address as { port: number };
  t.not(port, 0);
  await t.rejects(
    listenLocal(listener.address, () => undefined),
    {
      code: 'usage',
      message: `127.0.0.1:${port} is in use; stop the program that listens there, or choose another with --listen`,
    },
  );
});

t.test(
  'connections beyond the cap of 2 are closed as they come, and room is made by one that ends',
  async t => {
    const carriers: Carrier[] = [];
    const arrivals: (() => void)[] = [];
    const listener = await listenLocal(
      anyPort,
      carrier => {
        carriers.push(carrier);
        arrivals.shift()?.();
      },
      { maxConnections: 2 },
    );
    t.teardown(() => listener.close());
    const arrival = () => new Promise<void>(resolve => arrivals.push(resolve));
    const probes: CarrierProbe[] = [];
    for (let i = 0; i < 2; i += 1) {
      const arrived = arrival();
      probes.push(new CarrierProbe(await dialLocal(listener.address)));
      await arrived;
    }
    const third = new CarrierProbe(await dialLocal(listener.address));
    await Promise.race([third.ended, third.closed]);
    third.carrier.destroy();
    t.equal(carriers.length, 2);
    const gone = new CarrierProbe(carriers[0] as Carrier);
    gone.carrier.destroy();
    await gone.closed;
    await Promise.race([probes[0]?.ended, probes[0]?.closed]);
    const arrived = arrival();
    const fourth = await dialLocal(listener.address);
    await arrived;
    for (const carrier of [...carriers, fourth, ...probes.map(p => p.carrier)]) carrier.destroy();
  },
);

t.test('dialling where nobody listens is unavailable, and names the place', async t => {
  const listener = await listenLocal(anyPort, () => undefined);
  await listener.close();
  const { port } = listener.address as { port: number };
  await t.rejects(dialLocal(listener.address), {
    code: 'unavailable',
    message: `127.0.0.1:${port} is not served: nothing listens there (ECONNREFUSED)`,
  });
  const path = join(shortDir(t), 'none.sock');
  await t.rejects(dialLocal({ kind: 'unix', path }), { code: 'unavailable', message: /ENOENT/ });
});

t.test('dialling a place that does not answer ends with the timeout', async t => {
  const clock = new TurnedClock();
  const dialled = dialLocal(anyPort, { timeoutMs: 500, clock });
  // Before the event loop can say anything about the connection.
  clock.turn(500);
  await t.rejects(dialled, { code: 'unavailable', message: /did not answer within 500 ms/ });
});

t.test('a connection that resets before it was started does no harm', async t => {
  const arrived = Promise.withResolvers<Carrier>();
  const listener = await listenLocal(anyPort, carrier => arrived.resolve(carrier));
  t.teardown(() => listener.close());
  const { port } = listener.address as { port: number };
  const socket = connect({ port, host: '127.0.0.1' });
  await once(socket, 'connect');
  const carrier = await arrived.promise;
  socket.resetAndDestroy();
  await new Promise(resolve => socket.once('close', resolve));
  t.match(await new CarrierProbe(carrier).closed, { code: 'ECONNRESET' });
});
