import t from 'tap';
import type { ByteStream, StreamEvents } from '../../../lib/core/ports.ts';
import { type Closed, type CloseReason, done } from '../../../lib/core/session.ts';
import { checkRelayOptions } from '../../../lib/relay/options.ts';
import { type RelayHandle, relay } from '../../../lib/relay/tcp.ts';
import { connectedFacts } from '../../support/relay-facts.ts';
import { ManualClock } from '../../support/tunnel-pair.ts';

/** A stream that notes what is asked of it; the test plays its events. */
class NotedStream implements ByteStream {
  readonly calls: string[] = [];
  events: StreamEvents | undefined;
  /** A tunnel's stream closes within `reset`, a socket's later. */
  closesAtOnce = false;
  #closed = false;

  start(events: StreamEvents): void {
    this.calls.push('start');
    this.events = events;
  }

  write(chunk: Uint8Array): void {
    this.calls.push(`write ${chunk.byteLength}`);
  }

  end(): void {
    this.calls.push('end');
  }

  reset(reason: CloseReason): void {
    this.calls.push(`reset ${reason.code}`);
    if (this.closesAtOnce) this.close(reason);
  }

  consume(bytes: number): void {
    this.calls.push(`consume ${bytes}`);
  }

  close(reason: CloseReason): void {
    if (this.#closed) return;
    this.#closed = true;
    this.events?.closed(reason);
  }
}

interface Scene {
  readonly client: NotedStream;
  readonly upstream: NotedStream;
  readonly handle: RelayHandle;
  readonly closed: Closed[];
  readonly clock: ManualClock;
}

function set(options: { idleTimeoutMs?: number } = {}): Scene {
  const client = new NotedStream();
  const upstream = new NotedStream();
  const clock = new ManualClock();
  const closed: Closed[] = [];
  const hooks = { clock, onClosed: (facts: Closed) => closed.push(facts) };
  const handle = relay(client, upstream, connectedFacts, hooks, options);
  client.calls.length = 0;
  upstream.calls.length = 0;
  return { client, upstream, handle, closed, clock };
}

const io: CloseReason = { code: 'io', text: 'read ECONNRESET' };
const killed: CloseReason = { code: 'revoked', text: 'by an administrator' };

t.test('passes data, end and credit to the other side, each way', t => {
  const { client, upstream } = set();
  client.events?.data(Buffer.alloc(5));
  client.events?.end();
  upstream.events?.flushed(3);
  t.same(upstream.calls, ['write 5', 'end']);
  t.same(client.calls, ['consume 3']);
  upstream.events?.data(Buffer.alloc(7));
  upstream.events?.end();
  client.events?.flushed(7);
  t.same(client.calls, ['consume 3', 'write 7', 'end']);
  t.same(upstream.calls, ['write 5', 'end', 'consume 7']);
  t.end();
});

t.test('counts what came from the client, and what went out to it', t => {
  const { client, upstream, closed, clock } = set();
  client.events?.data(Buffer.alloc(5));
  upstream.events?.data(Buffer.alloc(70));
  client.events?.flushed(40);
  clock.advance(1234);
  client.close(io);
  upstream.close(io);
  t.same(closed, [{ ...connectedFacts, closedAtMs: clock.now(), reason: io, bytesUp: 5, bytesDown: 40 }]);
  t.end();
});

for (const first of ['client', 'upstream'] as const) {
  const second = first === 'client' ? 'upstream' : 'client';

  t.test(`${first} closes orderly first: ${second} writes on, and the session is done with it`, t => {
    const scene = set();
    scene[first].events?.end();
    scene[second].events?.end();
    scene[first].close(done);
    t.notOk(scene[second].calls.some(call => call.startsWith('reset')));
    t.equal(scene.closed.length, 0);
    scene[second].events?.flushed(9);
    scene[second].close(done);
    t.same(
      scene.closed.map(facts => facts.reason.code),
      ['done'],
    );
    t.end();
  });

  t.test(`${first} is done and ${second} then breaks: the session says how`, t => {
    const scene = set();
    scene[first].events?.end();
    scene[second].events?.end();
    scene[first].close(done);
    scene[second].close(io);
    t.same(
      scene.closed.map(facts => facts.reason.code),
      ['io'],
    );
    t.end();
  });

  t.test(`${first} breaks: ${second} is reset with the same reason, whatever it says itself`, t => {
    const scene = set();
    scene[first].close(io);
    t.same(scene[second].calls, ['reset io']);
    scene[second].close({ code: 'cancelled', text: '' });
    t.same(
      scene.closed.map(facts => facts.reason),
      [io],
    );
    t.end();
  });

  t.test(`${first} says done in the middle: what it cut off does not look whole`, t => {
    const scene = set();
    scene[first].events?.end();
    scene[first].close(done);
    t.same(scene[second].calls, ['end', 'reset cancelled']);
    scene[second].close({ code: 'cancelled', text: '' });
    t.match(scene.closed[0]?.reason, {
      code: 'cancelled',
      text: `the ${first} closed before both directions had ended`,
    });
    t.end();
  });

  t.test(`close while only ${second} is left resets that one`, t => {
    const scene = set();
    scene[first].events?.end();
    scene[second].events?.end();
    scene[first].close(done);
    scene[first].calls.length = 0;
    scene[second].calls.length = 0;
    scene.handle.close(killed);
    t.same([scene[first].calls, scene[second].calls], [[], ['reset revoked']]);
    scene[second].close(killed);
    t.same(
      scene.closed.map(facts => facts.reason),
      [killed],
    );
    t.end();
  });
}

t.test('close resets both, once, with the first reason; also where a stream closes within its reset', t => {
  for (const atOnce of [[], ['client'], ['upstream'], ['client', 'upstream']] as const) {
    const scene = set();
    for (const side of atOnce) scene[side].closesAtOnce = true;
    scene.handle.close(killed);
    scene.handle.close(io);
    t.same([scene.client.calls, scene.upstream.calls], [['reset revoked'], ['reset revoked']]);
    scene.client.close(killed);
    scene.upstream.close(killed);
    scene.handle.close(io);
    t.same(
      scene.closed.map(facts => facts.reason),
      [killed],
    );
  }
  t.end();
});

t.test('a stream that closes within `start` of the relay ends it, and nothing hangs', t => {
  for (const side of ['client', 'upstream'] as const) {
    const streams = { client: new NotedStream(), upstream: new NotedStream() };
    const closed: Closed[] = [];
    const dead = streams[side];
    const other = streams[side === 'client' ? 'upstream' : 'client'];
    dead.start = events => events.closed(io);
    // As a tunnel's: reset before it was started, it says so when it is.
    let reset: CloseReason | undefined;
    other.reset = reason => {
      reset = reason;
      other.events?.closed(reason);
    };
    other.start = events => {
      other.events = events;
      if (reset) events.closed(reset);
    };
    const hooks = { clock: new ManualClock(), onClosed: (facts: Closed) => closed.push(facts) };
    relay(streams.client, streams.upstream, connectedFacts, hooks);
    t.same(
      closed.map(facts => facts.reason),
      [io],
      side,
    );
  }
  t.end();
});

t.test('without an idle timeout, the default, a day of silence ends nothing', t => {
  const { client, closed, clock } = set();
  clock.advance(86_400_000);
  t.same([client.calls, closed], [[], []]);
  t.end();
});

t.test('an idle timeout of 60 s', async t => {
  await t.test('is put off by anything that moves in either direction', t => {
    const { client, upstream, clock } = set({ idleTimeoutMs: 60_000 });
    const moves = [
      () => client.events?.data(Buffer.alloc(1)),
      () => upstream.events?.flushed(1),
      () => upstream.events?.data(Buffer.alloc(1)),
      () => client.events?.end(),
    ];
    for (const move of moves) {
      clock.advance(59_999);
      move();
    }
    clock.advance(59_999);
    t.notOk([...client.calls, ...upstream.calls].some(call => call.startsWith('reset')));
    clock.advance(1);
    t.ok(client.calls.includes('reset timeout'));
    t.ok(upstream.calls.includes('reset timeout'));
    t.end();
  });
  await t.test('ends the session with the limit in its reason, and leaves no timer', t => {
    const { client, upstream, closed, clock } = set({ idleTimeoutMs: 60_000 });
    clock.advance(60_000);
    client.close(io);
    upstream.close(io);
    t.same(closed[0]?.reason, { code: 'timeout', text: 'nothing moved for 60000 ms (idleTimeoutMs)' });
    clock.advance(600_000);
    t.equal(closed.length, 1);
    t.end();
  });
  await t.test('is refused below 1 s and above what a timer holds', t => {
    t.throws(() => checkRelayOptions({ idleTimeoutMs: 999 }), { code: 'config', message: /999/ });
    t.throws(() => checkRelayOptions({ idleTimeoutMs: 2 ** 31 }), { code: 'config' });
    t.throws(() => checkRelayOptions({ idleTimeoutMs: Number.NaN }), { code: 'config' });
    t.doesNotThrow(() => checkRelayOptions({ idleTimeoutMs: 1000 }));
    t.end();
  });
});
