import { once } from 'node:events';
import { mkdtemp, rm, stat, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Metadata, status } from '@grpc/grpc-js';
import t, { type Test } from 'tap';
import type { Timer } from '../../../lib/core/clock.ts';
import { silentLog } from '../../../lib/core/ports.ts';
import { type AutogenHost, startAutogenHost } from '../../../lib/demo/autogen-host.ts';
import type { HostLimits } from '../../../lib/demo/options.ts';
import {
  addSubscription,
  agentRpcService,
  getSubscriptions,
  removeSubscription,
} from '../../../lib/demo/service.ts';
import { DemoWorker } from '../../support/demo-worker.ts';
import { TurnedClock } from '../../support/transport-clock.ts';

/** Tells when the host begins to watch a full queue. */
class WatchedClock extends TurnedClock {
  readonly watching = Promise.withResolvers<void>();

  override after(delayMs: number, callback: () => void): Timer {
    if (delayMs === stallTimeoutMs) this.watching.resolve();
    return super.after(delayMs, callback);
  }
}

const stallTimeoutMs = 12_345;

interface Scene {
  readonly host: AutogenHost;
  readonly clock: WatchedClock;
  worker(clientId: string | undefined, options?: { reads?: boolean }): DemoWorker;
}

async function scene(t: Test, limits: Partial<HostLimits> = {}): Promise<Scene> {
  const clock = new WatchedClock();
  const host = await startAutogenHost({ address: '127.0.0.1:0', log: silentLog, limits, clock });
  const workers: DemoWorker[] = [];
  t.teardown(async () => {
    for (const worker of workers) worker.leave();
    await host.close();
  });
  return {
    host,
    clock,
    worker(clientId, options) {
      const worker = new DemoWorker(host.address, clientId, options);
      workers.push(worker);
      return worker;
    },
  };
}

t.test(
  'a channel and a call without client-id, or with one of 1,025 B, are refused; one of 1,024 B is taken',
  async t => {
    const { worker, host } = await scene(t);
    const nameless = worker(undefined);
    t.equal((await nameless.ended).code, status.INVALID_ARGUMENT);
    await t.rejects(nameless.register('x'), { code: status.INVALID_ARGUMENT });
    t.equal((await worker('i'.repeat(1_025)).ended).code, status.RESOURCE_EXHAUSTED);
    await worker('i'.repeat(1_024)).register('x');
    t.equal(host.stats().clients, 1);
  },
);

t.test('a second channel of the same client-id is refused, and the first one goes on', async t => {
  const { worker } = await scene(t);
  const first = worker('one');
  await first.register('echo');
  const second = worker('one');
  t.match(await second.ended, { code: status.ALREADY_EXISTS });
  first.request('1', 'echo');
  t.equal((await first.next()).request?.target?.type, 'echo');
});

t.test(
  'two callers with the same request id, asking the same worker at once, each get their own answer',
  async t => {
    const { worker } = await scene(t);
    const [alice, bob, target] = [worker('alice'), worker('bob'), worker('target')];
    await target.register('echo');
    alice.request('1', 'echo', Buffer.from('alice'));
    const first = (await target.next()).request;
    bob.request('1', 'echo', Buffer.from('bob'));
    const second = (await target.next()).request;
    t.not(first?.requestId, second?.requestId);
    // The order in which AutoGen's own host gives the first answer to the second caller.
    for (const asked of [first, second])
      target.send({ response: { requestId: asked?.requestId ?? '', payload: asked?.payload ?? null } });
    const toAlice = (await alice.next()).response;
    const toBob = (await bob.next()).response;
    t.match([toAlice?.requestId, String(toAlice?.payload?.data)], ['1', 'alice']);
    t.match([toBob?.requestId, String(toBob?.payload?.data)], ['1', 'bob']);
  },
);

t.test('an answer from a worker that was not asked is dropped, the asked one is heard', async t => {
  const { worker, host } = await scene(t);
  const [caller, target, liar] = [worker('caller'), worker('target'), worker('liar')];
  await target.register('echo');
  await liar.register('liar');
  caller.request('1', 'echo');
  const asked = (await target.next()).request?.requestId ?? '';
  liar.send({ response: { requestId: asked, error: 'forged' } });
  // Messages of one worker keep their order: when this answer is here, the forged one was judged.
  liar.request('9', 'nobody');
  await liar.next();
  target.send({ response: { requestId: asked, error: 'honest' } });
  t.equal((await caller.next()).response?.error, 'honest');
  t.equal(host.stats().ignored, 1);
});

t.test('a request to an unknown agent, and one whose worker leaves, are answered with an error', async t => {
  const { worker, host } = await scene(t);
  const [caller, target] = [worker('caller'), worker('target')];
  caller.request('1', 'nobody\u202e');
  t.match((await caller.next()).response, {
    requestId: '1',
    error: 'no agent of type nobody\\u{202e} is registered',
  });
  await target.register('echo');
  caller.request('2', 'echo');
  await target.next();
  target.leave();
  t.match((await caller.next()).response, { requestId: '2', error: 'the worker that was asked is gone' });
  t.match(host.stats(), { pendingRequests: 0, agentTypes: 0, clients: 1 });
});

t.test('a worker that leaves frees its agent types and subscriptions for another', async t => {
  const { worker } = await scene(t);
  const [first, second, watcher] = [worker('first'), worker('second'), worker('watcher')];
  await first.register('writer');
  await first.subscribe('s', 'topic', 'writer');
  await t.rejects(second.register('writer'), {
    code: status.INVALID_ARGUMENT,
    details: 'agent type writer is already registered',
  });
  await t.rejects(second.subscribe('s', 'other', 'writer'), { code: status.INVALID_ARGUMENT });
  await t.rejects(second.subscribe('t', 'topic', 'writer'), { code: status.INVALID_ARGUMENT });
  // Told when the worker is gone: its own request is then answered.
  watcher.request('1', 'writer');
  await first.next();
  first.leave();
  await watcher.next();
  await second.register('writer');
  await second.subscribe('s', 'topic', 'writer');
});

t.test('an event reaches each worker once, by type or by prefix, as the bytes that were sent', async t => {
  const { worker } = await scene(t);
  const [publisher, exact, prefix, deaf] = [worker('p'), worker('exact'), worker('prefix'), worker('deaf')];
  await publisher.register('own');
  await exact.register('a');
  await exact.register('b');
  await prefix.register('c');
  await deaf.register('d');
  await publisher.subscribe('0', 'news', 'own');
  await exact.subscribe('1', 'news', 'a');
  await exact.subscribe('2', 'news', 'b');
  await prefix.unary(addSubscription, {
    subscription: { id: '3', typePrefixSubscription: { topicTypePrefix: 'ne', agentType: 'c' } },
  });
  await deaf.subscribe('4', 'new', 'd');
  const data = Buffer.from([0, 1, 2, 255]);
  publisher.publish('news', data, 'first');
  publisher.publish('news', data, 'second');
  for (const who of [publisher, exact, prefix])
    for (const id of ['first', 'second']) {
      const { cloudEvent } = await who.next();
      t.equal(cloudEvent?.id, id);
      t.same(Buffer.from(cloudEvent?.binaryData ?? []), data);
    }
  publisher.request('1', 'd');
  t.ok((await deaf.next()).request, 'the deaf one heard nothing before this');
});

t.test('subscriptions are listed and removed by their owner only', async t => {
  const { worker } = await scene(t);
  const [owner, other] = [worker('owner'), worker('other')];
  await owner.register('a');
  await other.register('b');
  await owner.subscribe('s', 'topic', 'a');
  t.same((await other.unary(getSubscriptions, {})).subscriptions, []);
  await t.rejects(other.unary(removeSubscription, { id: 's' }), { code: status.INVALID_ARGUMENT });
  t.match((await owner.unary(getSubscriptions, {})).subscriptions, [{ id: 's' }]);
  await owner.unary(removeSubscription, { id: 's' });
  t.same((await owner.unary(getSubscriptions, {})).subscriptions, []);
});

t.test('a message of 4 MiB and 1 B ends its channel, one of 3 MiB passes', async t => {
  const { worker } = await scene(t);
  const [caller, target] = [worker('caller'), worker('target')];
  await target.register('echo');
  caller.request('1', 'echo', Buffer.alloc(3 * 1024 * 1024, 7));
  t.equal((await target.next()).request?.payload?.data.byteLength, 3 * 1024 * 1024);
  caller.request('2', 'echo', Buffer.alloc(4 * 1024 * 1024 + 1));
  t.equal((await caller.ended).code, status.RESOURCE_EXHAUSTED);
});

t.test(
  'a message at the limit that the longer request id would push over it is an error, not the end of the target',
  async t => {
    const { worker } = await scene(t, { maxMessageBytes: 100 });
    const [caller, target] = [worker('caller'), worker('target')];
    await target.register('echo');
    // Ids '1' to 'z' are one byte long in base 36; the 36th is two.
    for (let i = 0; i < 36; i += 1) {
      caller.request('', 'echo', Buffer.alloc(54));
      const answer = await Promise.race([target.next(), caller.next()]);
      if (!answer.response) continue;
      t.match(answer.response.error, /the message is 101 bytes long, the most is 100/);
      break;
    }
    caller.request('1', 'echo');
    t.ok((await target.next()).request);
  },
);

t.test('of 2 clients, 2 agent types, 2 subscriptions and 2 requests a third is refused', async t => {
  const two = { maxClients: 2, maxAgentTypes: 2, maxSubscriptions: 2, maxPendingRequests: 2 };
  const { worker } = await scene(t, two);
  const [one, other] = [worker('one'), worker('other')];
  await one.register('a');
  await other.register('b');
  await t.rejects(one.register('c'), { code: status.RESOURCE_EXHAUSTED });
  t.equal((await worker('third').ended).code, status.RESOURCE_EXHAUSTED);
  await one.subscribe('1', 'x', 'a');
  await one.subscribe('2', 'y', 'a');
  await t.rejects(one.subscribe('3', 'z', 'a'), { code: status.RESOURCE_EXHAUSTED });
  for (const id of ['1', '2', '3']) one.request(id, 'b');
  t.match((await one.next()).response, { requestId: '3', error: /^2 requests of this worker wait/ });
});

t.test('what is registered without a channel is forgotten after 30 s, with one it stays', async t => {
  const { worker, host, clock } = await scene(t);
  const [zombie, live] = [worker('zombie'), worker('live')];
  await zombie.register('a');
  await live.register('b');
  zombie.channel.cancel();
  live.request('1', 'a');
  while ((await live.next()).response === undefined);
  await zombie.register('a');
  t.equal(host.stats().agentTypes, 2);
  clock.turn(30_000);
  t.match(host.stats(), { agentTypes: 1, clients: 1 });
});

t.test('a worker that reads nothing pauses its publisher at 1 MiB, and once let go sets it free', async t => {
  const { worker, host, clock } = await scene(t, { maxQueuedBytes: 1024 * 1024, stallTimeoutMs });
  const [publisher, stuck, live] = [worker('publisher'), worker('stuck', { reads: false }), worker('live')];
  const bystander = worker('bystander');
  await stuck.register('s');
  await live.register('l');
  await stuck.subscribe('1', 'flood', 's');
  const events = 400;
  for (let i = 0; i < events; i += 1) publisher.publish('flood', Buffer.alloc(65_536), String(i));
  publisher.request('last', 'l');
  await clock.watching.promise;
  // Time for the host to take more, if it would; and others are served meanwhile.
  for (let i = 0; i < 50; i += 1) {
    bystander.request(String(i), 'l');
    await live.next();
  }
  // 1 MiB is 16 events; the socket holds some as well.
  t.ok(host.stats().events < 100, `${host.stats().events} of ${events} were taken`);
  clock.turn(stallTimeoutMs);
  t.equal((await live.next()).request?.source, null);
  t.equal(host.stats().events, events);
  stuck.read();
  t.equal((await stuck.ended).code, status.RESOURCE_EXHAUSTED);
});

t.test('close ends each channel with a reason and frees the port at once', async t => {
  const { worker, host } = await scene(t);
  const one = worker('one');
  await one.register('a');
  await host.close();
  t.match(await one.ended, { code: status.UNAVAILABLE, details: 'the host is stopping' });
  const again = await startAutogenHost({ address: host.address, log: silentLog });
  await again.close();
});

t.test(
  'a control channel opens with a client-id, and its first message is told that state is not transferred',
  async t => {
    const { worker } = await scene(t);
    const { OpenControlChannel: method } = agentRpcService;
    const open = (clientId: string | undefined) => {
      const metadata = new Metadata();
      if (clientId !== undefined) metadata.set('client-id', clientId);
      const { client } = worker('any');
      const { path, requestSerialize, responseDeserialize } = method;
      const call = client.makeBidiStreamRequest(path, requestSerialize, responseDeserialize, metadata);
      call.on('error', () => {});
      call.resume();
      return { call, ended: new Promise(resolve => call.once('status', resolve)) };
    };
    t.match(await open(undefined).ended, { code: status.INVALID_ARGUMENT });
    const { call, ended } = open('one');
    call.write({});
    t.match(await ended, { code: status.UNIMPLEMENTED, details: 'this host does not transfer state' });
  },
);

t.test('an address beyond loopback and a busy one are usage errors', async t => {
  const { host } = await scene(t);
  for (const address of ['0.0.0.0:0', '10.0.0.1:50051', '127.0.0.1:70000', 'example.com:1', 'unix:', ':1'])
    await t.rejects(startAutogenHost({ address, log: silentLog }), { code: 'usage' }, address);
  await t.rejects(startAutogenHost({ address: host.address, log: silentLog }), {
    code: 'usage',
    message: `${host.address} is in use by another program: stop it or choose another address`,
  });
});

t.test(
  'a unix socket is 0600; a dead one is replaced, a living one and any other file are left alone',
  async t => {
    const directory = await mkdtemp(join(tmpdir(), 'lockwire-'));
    t.teardown(() => rm(directory, { recursive: true }));
    const path = join(directory, 'host.sock');
    const start = () => startAutogenHost({ address: `unix:${path}`, log: silentLog });
    const host = await start();
    t.equal((await stat(path)).mode & 0o777, 0o600);
    await t.rejects(start(), { code: 'usage', message: /in use/ });
    await host.close();
    await writeFile(path, 'mine');
    await t.rejects(start(), { code: 'usage', message: /is no socket/ });
    await rm(path);
    const bare = createServer().listen(path);
    await once(bare, 'listening');
    await t.rejects(start(), { code: 'usage', message: /in use/ });
    bare.close();
  },
);
