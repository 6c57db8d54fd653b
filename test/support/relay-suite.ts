/**
 * What every relay promises, as a black box between two streams of any kind. A kind joins by one call of
 * `relaySuite`; a relay joins by handing in its own `join`.
 */
import { randomBytes } from 'node:crypto';
import type { Test } from 'tap';
import { systemClock } from '../../lib/core/clock.ts';
import type { ByteStream } from '../../lib/core/ports.ts';
import type { Closed, CloseReason, Connected } from '../../lib/core/session.ts';
import { type RelayHandle, relay as tcpRelay } from '../../lib/relay/tcp.ts';
import { Endpoint, quiet, sha256 } from './relay-endpoint.ts';
import { connectedFacts } from './relay-facts.ts';

/** Two ends of one connection. */
export interface StreamPair {
  readonly left: ByteStream;
  readonly right: ByteStream;
  close(): void;
}

export interface StreamKind {
  /** `TLS socket, one byte at a time` */
  readonly name: string;
  open(): Promise<StreamPair>;
  /** Largest transfer that is quick enough here. */
  readonly largestBytes: number;
  /** True where a reset brings its code to the peer; a socket's brings only that it was one. */
  readonly carriesCodes: boolean;
  /** Most that a writer gets rid of while the reader at the far end takes nothing: windows, buffers, the kernel's. */
  readonly stalledBytes: number;
  /** Most deliveries that a thousand writes of 10 B may come in; absent where the mode cuts them anyway. */
  readonly coalescedChunks?: number;
}

export type Join = (
  client: ByteStream,
  upstream: ByteStream,
  session: Connected,
  onClosed: (closed: Closed) => void,
) => RelayHandle;

const joinTcp: Join = (client, upstream, session, onClosed) =>
  tcpRelay(client, upstream, session, { clock: systemClock, onClosed });

/** A client, the relay, and a server; client and server are the test's. */
interface Scene {
  readonly client: Endpoint;
  readonly server: Endpoint;
  readonly handle: RelayHandle;
  /** Each call of `onClosed`. */
  readonly closed: Closed[];
  /** The first of them. */
  readonly finished: Promise<Closed>;
}

interface SceneOptions {
  readonly clientReads?: boolean;
  readonly serverReads?: boolean;
}

export function relaySuite(t: Test, kind: StreamKind, join: Join = joinTcp): void {
  t.test(kind.name, async t => {
    const set = async (t: Test, options: SceneOptions = {}): Promise<Scene> => {
      const [near, far] = await Promise.all([kind.open(), kind.open()]);
      t.teardown(() => {
        near.close();
        far.close();
      });
      const closed: Closed[] = [];
      const finished = Promise.withResolvers<Closed>();
      const handle = join(near.right, far.left, connectedFacts, facts => {
        closed.push(facts);
        finished.resolve(facts);
      });
      const client = new Endpoint(near.left, { reading: options.clientReads ?? true });
      const server = new Endpoint(far.right, { reading: options.serverReads ?? true });
      return { client, server, handle, closed, finished: finished.promise };
    };
    transfers(t, kind, set);
    halfCloses(t, kind, set);
    resets(t, kind, set);
    backPressure(t, kind, set);
    misuse(t, kind, set);
    closes(t, kind, set);
  });
}

type Set = (t: Test, options?: SceneOptions) => Promise<Scene>;

function transfers(t: Test, kind: StreamKind, set: Set): void {
  const sizes = [0, 1, 4095, 4096, 65_537, 300_000, 2_097_152].filter(size => size <= kind.largestBytes);
  sizes.push(Math.floor(Math.random() * kind.largestBytes));
  for (const size of sizes) {
    t.test(`${size} B each way arrive the same`, async t => {
      const { client, server, finished } = await set(t);
      const up = randomBytes(size);
      const down = randomBytes(Math.max(0, size - 7));
      await Promise.all([client.sendAndEnd(up), server.sendAndEnd(down)]);
      const closed = await finished;
      await Promise.all([client.untilClosed(), server.untilClosed()]);
      t.equal(server.sha256(), sha256(up), 'up');
      t.equal(client.sha256(), sha256(down), 'down');
      t.same([closed.bytesUp, closed.bytesDown], [up.byteLength, down.byteLength]);
      t.same([closed.reason.code, client.reason?.code, server.reason?.code], ['done', 'done', 'done']);
    });
  }

  t.test('a thousand writes of 10 B arrive in order, in few pieces', async t => {
    const { client, server, finished } = await set(t);
    const bytes = randomBytes(10_000);
    for (let at = 0; at < bytes.byteLength; at += 10) client.write(bytes.subarray(at, at + 10));
    client.stream.end();
    await server.untilEnd();
    t.equal(server.sha256(), sha256(bytes));
    if (kind.coalescedChunks !== undefined) {
      t.ok(server.chunks <= kind.coalescedChunks, `${server.chunks} pieces, at most ${kind.coalescedChunks}`);
    }
    server.stream.end();
    t.equal((await finished).reason.code, 'done');
  });

  t.test('200 questions of 1 to 300 B are each answered before the next is asked', async t => {
    const { client, server, finished } = await set(t);
    for (let round = 0; round < 200; round += 1) {
      const question = randomBytes(1 + ((round * 37) % 300));
      const before = server.receivedBytes;
      client.write(question);
      await server.untilReceived(before + question.byteLength);
      const answerFrom = client.receivedBytes;
      server.write(question.subarray(0, 1));
      await client.untilReceived(answerFrom + 1);
    }
    client.stream.end();
    server.stream.end();
    const closed = await finished;
    t.same([closed.bytesUp, closed.bytesDown], [server.receivedBytes, 200]);
  });
}

function halfCloses(t: Test, kind: StreamKind, set: Set): void {
  const request = randomBytes(Math.min(20_000, kind.largestBytes));
  const answer = randomBytes(Math.min(150_000, kind.largestBytes));

  t.test('the client ends first: the answer still comes, whole', async t => {
    const { client, server, finished } = await set(t);
    await client.sendAndEnd(request);
    await server.untilEnd();
    t.equal(client.ended, false);
    await server.sendAndEnd(answer);
    t.equal((await finished).reason.code, 'done');
    await client.untilClosed();
    t.equal(server.sha256(), sha256(request));
    t.equal(client.sha256(), sha256(answer));
  });

  t.test('the upstream ends first: the client can still send all it has', async t => {
    const { client, server, finished } = await set(t);
    await server.sendAndEnd(request);
    await client.untilEnd();
    t.equal(server.ended, false);
    await client.sendAndEnd(answer);
    t.equal((await finished).reason.code, 'done');
    await server.untilClosed();
    t.equal(client.sha256(), sha256(request));
    t.equal(server.sha256(), sha256(answer));
  });

  t.test('both end at once, with no byte sent', async t => {
    const { client, server, finished, closed } = await set(t);
    client.stream.end();
    server.stream.end();
    const facts = await finished;
    t.same([facts.reason.code, facts.bytesUp, facts.bytesDown], ['done', 0, 0]);
    t.same([(await client.untilClosed()).code, (await server.untilClosed()).code], ['done', 'done']);
    await quiet([client, server]);
    t.equal(closed.length, 1, 'closed is told once');
    t.equal(facts.session, connectedFacts.session);
    t.ok(facts.closedAtMs >= facts.connectedAtMs);
  });
}

function resets(t: Test, kind: StreamKind, set: Set): void {
  const cancelled: CloseReason = { code: 'cancelled', text: 'the user gave up' };
  const seen = (code: CloseReason['code']) => (kind.carriesCodes ? code : 'io');

  t.test('the client resets: the upstream sees it and its code', async t => {
    const { client, server, finished, closed } = await set(t);
    client.write(randomBytes(1000));
    await server.untilReceived(1000);
    client.stream.reset(cancelled);
    t.equal((await server.untilClosed()).code, seen('cancelled'));
    t.equal((await client.untilClosed()).code, 'cancelled');
    t.equal((await finished).reason.code, seen('cancelled'));
    await quiet([client, server]);
    t.same([closed.length, client.closedCount, server.closedCount], [1, 1, 1]);
    t.equal(server.ended, false, 'what was cut off does not look whole');
  });

  t.test('the upstream resets: the client sees it and its code', async t => {
    const { client, server, finished } = await set(t);
    server.write(randomBytes(1000));
    await client.untilReceived(1000);
    server.stream.reset({ code: 'unavailable', text: 'going down' });
    t.equal((await client.untilClosed()).code, seen('unavailable'));
    t.equal((await finished).reason.code, seen('unavailable'));
    t.equal(client.ended, false);
  });

  t.test('a reset after the half-close of its side is seen too', async t => {
    const { client, server, finished } = await set(t);
    client.stream.end();
    await server.untilEnd();
    server.write(randomBytes(10));
    await client.untilReceived(10);
    client.stream.reset(cancelled);
    // A socket whose peer has half-closed is not read any more: it learns of the reset from its next write.
    while (!server.reason) {
      server.write(randomBytes(1));
      await quiet([client, server], 5);
    }
    t.equal(server.reason.code, seen('cancelled'));
    t.equal((await finished).reason.code, seen('cancelled'));
  });

  t.test('a reset in the flight of bytes leaves a prefix of them', async t => {
    const { client, server, finished } = await set(t);
    const bytes = randomBytes(Math.min(200_000, kind.largestBytes));
    const sending = client.send(bytes);
    await server.untilReceived(500);
    client.stream.reset(cancelled);
    await Promise.all([sending, finished, server.untilClosed()]);
    t.equal(server.sha256(), sha256(bytes.subarray(0, server.receivedBytes)));
    t.equal(server.ended, false);
  });
}

function backPressure(t: Test, kind: StreamKind, set: Set): void {
  for (const slow of ['server', 'client'] as const) {
    t.test(`a ${slow} that reads nothing stops the writer, and then gets every byte`, async t => {
      const scene = await set(t, slow === 'server' ? { serverReads: false } : { clientReads: false });
      const reader = scene[slow];
      const writer = slow === 'server' ? scene.client : scene.server;
      const bytes = randomBytes(Math.min(kind.stalledBytes * 2, Math.max(kind.largestBytes, 400_000)));
      const sending = writer.sendAndEnd(bytes);
      await quiet([scene.client, scene.server], 200);
      const stalledAt = writer.flushedBytes;
      t.ok(stalledAt <= kind.stalledBytes, `${stalledAt} B flushed, at most ${kind.stalledBytes}`);
      await quiet([scene.client, scene.server], 200);
      t.ok(writer.flushedBytes <= kind.stalledBytes);
      reader.write(Buffer.from('the other direction moves all the while'));
      await writer.untilReceived(39);
      reader.read();
      await sending;
      reader.stream.end();
      t.equal((await scene.finished).reason.code, 'done');
      await reader.untilClosed();
      t.equal(reader.sha256(), sha256(bytes));
    });
  }
}

function misuse(t: Test, _kind: StreamKind, set: Set): void {
  t.test('a write after the end is ignored, and so is a second end', async t => {
    const { client, server, finished } = await set(t);
    client.write(Buffer.from('all'));
    client.stream.end();
    client.stream.write(Buffer.from('too late'));
    client.stream.end();
    await server.untilEnd();
    t.equal(server.sha256(), sha256(Buffer.from('all')));
    server.stream.end();
    t.equal((await finished).bytesUp, 3);
  });

  t.test('credit that is given back after the close is harmless', async t => {
    const { client, server, finished } = await set(t, { serverReads: false });
    client.write(randomBytes(5000));
    await server.untilReceived(5000);
    client.stream.end();
    server.stream.end();
    t.equal((await finished).reason.code, 'done');
    await server.untilClosed();
    t.doesNotThrow(() => server.consumeHeld());
    server.stream.reset({ code: 'cancelled', text: '' });
    server.stream.write(Buffer.from('x'));
    await quiet([client, server]);
    t.equal(server.closedCount, 1);
  });
}

function closes(t: Test, kind: StreamKind, set: Set): void {
  const killed: CloseReason = { code: 'revoked', text: 'revoked by an administrator' };
  const seen = kind.carriesCodes ? 'revoked' : 'io';

  t.test('the relay is closed: both ends see the reason, once', async t => {
    const { client, server, handle, closed, finished } = await set(t);
    client.write(randomBytes(100));
    await server.untilReceived(100);
    handle.close(killed);
    handle.close({ code: 'shutdown', text: 'a second reason' });
    t.equal((await finished).reason.code, 'revoked');
    t.equal((await client.untilClosed()).code, seen);
    t.equal((await server.untilClosed()).code, seen);
    handle.close(killed);
    await quiet([client, server]);
    t.same([closed.length, client.closedCount, server.closedCount], [1, 1, 1]);
    t.equal(closed[0]?.bytesUp, 100);
  });

  t.test('the relay is closed with bytes stalled in both directions', async t => {
    const { client, server, handle, finished } = await set(t, { clientReads: false, serverReads: false });
    const bytes = randomBytes(400_000);
    const sending = [client.send(bytes), server.send(bytes)];
    await quiet([client, server]);
    handle.close({ code: 'shutdown', text: 'drain timeout' });
    t.equal((await finished).reason.code, 'shutdown');
    client.read();
    server.read();
    await Promise.all([client.untilClosed(), server.untilClosed(), ...sending]);
    t.equal(server.sha256(), sha256(bytes.subarray(0, server.receivedBytes)), 'a prefix');
    t.equal(client.sha256(), sha256(bytes.subarray(0, client.receivedBytes)), 'a prefix');
  });

  t.test('the client has ended both ways while the server is behind: nothing is lost', async t => {
    const { client, server, finished } = await set(t, { serverReads: false });
    const bytes = randomBytes(Math.min(400_000, kind.stalledBytes));
    server.stream.end();
    await client.untilEnd();
    const sending = client.sendAndEnd(bytes);
    await quiet([client, server], 100);
    server.read();
    await sending;
    t.equal((await finished).reason.code, 'done');
    t.equal((await server.untilClosed()).code, 'done');
    t.equal(server.sha256(), sha256(bytes));
  });
}
