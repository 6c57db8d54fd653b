import { randomBytes } from 'node:crypto';
import t from 'tap';
import type { CloseReason } from '../../../lib/core/session.ts';
import type { TunnelStream } from '../../../lib/tunnel/stream.ts';
import { afterOwn, afterPeer, type StreamEvent, type StreamState } from '../../../lib/tunnel/stream-state.ts';
import { quiet, readAll, tunnelPair } from '../../support/tunnel-pair.ts';
import { againstRogue, settle } from '../../support/tunnel-rogue.ts';

/** Every event that a reader gets, in order, as words; `on` is done in the middle of it. */
function listen(stream: TunnelStream, on: (event: string) => void = () => {}): string[] {
  const events: string[] = [];
  const note = (event: string): void => {
    events.push(event);
    on(event);
  };
  stream.start({
    data: chunk => note(`data ${chunk.byteLength}`),
    end: () => note('end'),
    flushed: bytes => note(`flushed ${bytes}`),
    closed: ({ code }) => note(`closed ${code}`),
  });
  return events;
}

const cancelled: CloseReason = { code: 'cancelled', text: '' };

t.test('the table of states: each event of each state, and all others are errors', async t => {
  const allowed: Record<string, StreamState> = {
    'opening opened': 'open',
    'opening sendEnd': 'half-closed-local',
    'opening receiveEnd': 'half-closed-remote',
    'opening reset': 'closed',
    'open sendEnd': 'half-closed-local',
    'open receiveEnd': 'half-closed-remote',
    'open reset': 'closed',
    'half-closed-local opened': 'half-closed-local',
    'half-closed-local receiveEnd': 'closed',
    'half-closed-local reset': 'closed',
    'half-closed-remote opened': 'half-closed-remote',
    'half-closed-remote sendEnd': 'closed',
    'half-closed-remote reset': 'closed',
  };
  const states: StreamState[] = ['opening', 'open', 'half-closed-local', 'half-closed-remote', 'closed'];
  const events: StreamEvent[] = ['opened', 'sendEnd', 'receiveEnd', 'reset'];
  for (const state of states) {
    for (const event of events) {
      const next = allowed[`${state} ${event}`];
      t.equal(afterPeer(state, event), next, `${state} ${event}`);
      if (next === undefined) t.throws(() => afterOwn(state, event), { message: /^internal error/ });
      else t.equal(afterOwn(state, event), next);
    }
  }
});

t.test('a stream walks through its states, the same at both ends', async t => {
  const { client, gateway } = await tunnelPair();
  const near = client.session.open('autogen', 'unix');
  const nearEvents = listen(near);
  t.equal(near.state, 'opening');
  await quiet();
  const far = gateway.opened[0]!.stream;
  const farEvents = listen(far);
  t.equal(far.state, 'opening');
  far.accept();
  await quiet();
  t.equal(near.state, 'open');
  near.write(Buffer.from('ping'));
  near.end();
  near.write(Buffer.from('dropped: it has ended'));
  await quiet();
  t.equal(near.state, 'half-closed-local');
  t.equal(far.state, 'half-closed-remote');
  far.write(Buffer.from('pong!'));
  await quiet();
  far.end();
  await quiet();
  t.strictSame(nearEvents, ['flushed 4', 'data 5', 'end', 'closed done']);
  t.strictSame(farEvents, ['data 4', 'end', 'flushed 5', 'closed done']);
  t.equal(near.state, 'closed');
  t.equal(far.state, 'closed');
});

t.test('an opener may send and end before Opened; the acceptor then answers', async t => {
  const { client, gateway } = await tunnelPair();
  const near = client.session.open('autogen', 'unix');
  const nearEvents = listen(near);
  near.write(Buffer.from('early'));
  near.end();
  await quiet();
  const far = gateway.opened[0]!.stream;
  t.equal(far.state, 'half-closed-remote');
  far.accept();
  const farEvents = listen(far);
  far.write(Buffer.from('answer'));
  far.end();
  await quiet();
  t.strictSame(farEvents, ['data 5', 'end', 'flushed 6', 'closed done']);
  t.strictSame(nearEvents, ['flushed 5', 'data 6', 'end', 'closed done']);
});

t.test('what an acceptor writes before it accepts waits for its Opened', async t => {
  const a = againstRogue();
  a.rogue.open(1);
  const stream = a.opened[0]!;
  stream.write(Buffer.from('eager'));
  stream.end();
  await settle();
  t.equal(a.rogue.got.items.length, 0);
  stream.accept();
  await settle();
  t.strictSame(
    a.rogue.got.items.map(item => ('data' in item ? 'data' : item.frame.type)),
    ['opened', 'data', 'end'],
  );
});

for (const at of ['data 3', 'end', 'flushed 5', 'closed done']) {
  t.test(`a reader that resets its stream at '${at}' hears of nothing after 'closed', once`, async t => {
    const { client, gateway } = await tunnelPair({ onOpen: stream => stream.accept() });
    const near = client.session.open('autogen', 'unix');
    const nearEvents = listen(near);
    await quiet();
    const far = gateway.opened[0]!.stream;
    const events = listen(far, event => {
      if (event !== at) return;
      far.reset(cancelled);
      far.reset(cancelled);
      far.end();
      far.write(Buffer.from('x'));
      far.consume(1);
    });
    far.write(Buffer.from('hello'));
    near.write(Buffer.from('abc'));
    near.end();
    await quiet();
    far.end();
    await quiet();
    t.equal(events.filter(event => event.startsWith('closed')).length, 1);
    t.match(events.at(-1), /^closed/);
    t.match(nearEvents.at(-1), at === 'closed done' ? 'closed done' : 'closed cancelled');
    t.equal(client.session.streamCount + gateway.session.streamCount, 0);
    t.equal(client.session.state, 'open');
    t.same(gateway.pool.promised, { base: 0, growth: 0 });
  });
}

t.test('a reader that resets in the first of the chunks that waited for it gets no other', async t => {
  const a = againstRogue();
  a.rogue.open(1);
  a.rogue.data(1, Buffer.alloc(8_000));
  a.rogue.data(1, Buffer.alloc(8_000));
  a.rogue.send(1, { type: 'end' });
  const stream = a.opened[0]!;
  const events = listen(stream, event => event.startsWith('data') && stream.reset(cancelled));
  t.strictSame(events, ['data 8000', 'closed cancelled']);
});

t.test('a stream that was cut before it had a reader is never told of an orderly end', async t => {
  const a = againstRogue();
  a.rogue.open(1);
  a.rogue.data(1, 'half of it');
  a.rogue.send(1, { type: 'end' });
  a.rogue.send(1, { type: 'reset', code: 'done', text: '', decision: '' });
  t.strictSame(listen(a.opened[0]!), ['closed cancelled'], 'nor is a Reset with `done`');
});

t.test('one that ended orderly before it had a reader gives all of it', async t => {
  const a = againstRogue({
    onOpen: stream => {
      stream.accept();
      stream.end();
    },
  });
  a.rogue.open(1);
  a.rogue.data(1, 'all of it');
  await settle();
  a.rogue.send(1, { type: 'end' });
  t.equal(a.session.streamCount, 0);
  t.strictSame(listen(a.opened[0]!), ['data 9', 'end', 'closed done']);
});

t.test('streams that a session ends under are lost, whatever it is called: never done', async t => {
  for (const code of ['done', 'revoked'] as const) {
    const { client, gateway } = await tunnelPair({ onOpen: stream => stream.accept() });
    const near = readAll(client.session.open('autogen', 'unix'));
    await quiet();
    const far = readAll(gateway.opened[0]!.stream);
    gateway.session.close({ code, text: '' });
    t.match(await far.closed, { code: code === 'done' ? 'session-lost' : code });
    t.match(await near.closed, { code: code === 'done' ? 'session-lost' : code });
    t.match(await gateway.closed, { code });
    t.throws(() => gateway.session.open('autogen', 'unix'), { code: 'protocol' });
    t.throws(() => client.session.open('autogen', 'unix'), { code: 'unavailable' });
  }
});

t.test(
  'a connection that breaks loses its streams; one that broke after a go-away was shut down',
  async t => {
    for (const drains of [false, true]) {
      const { client, gateway, carriers } = await tunnelPair({ onOpen: stream => stream.accept() });
      const near = readAll(client.session.open('autogen', 'unix'));
      await quiet();
      readAll(gateway.opened[0]!.stream);
      if (drains) gateway.session.drain({ code: 'shutdown', text: 'restarting' });
      await quiet();
      carriers[0].breakOff();
      t.match(
        await near.closed,
        drains ? { code: 'shutdown', text: 'restarting' } : { code: 'session-lost' },
      );
      t.match(await client.closed, drains ? { code: 'shutdown' } : { code: 'io', text: 'connection reset' });
    }
  },
);

t.test(
  'drain: what is open runs on, what is new is refused, and the last stream ends the session',
  async t => {
    const { client, gateway } = await tunnelPair({ onOpen: stream => stream.accept() });
    const near = client.session.open('autogen', 'unix');
    const nearRead = readAll(near);
    await quiet();
    const far = readAll(gateway.opened[0]!.stream);
    const crossing = readAll(client.session.open('autogen', 'unix'));
    gateway.session.drain({ code: 'replaced', text: 'a new process takes over' });
    await quiet();
    t.match(client.goAways, [{ code: 'shutdown', text: 'a new process takes over' }]);
    t.match(await crossing.closed, { code: 'shutdown' }, 'it crossed the go-away');
    t.throws(() => client.session.open('autogen', 'unix'), { code: 'unavailable' });
    const bytes = randomBytes(300_000);
    near.write(bytes);
    near.end();
    await far.ended;
    t.ok(far.bytes().equals(bytes));
    gateway.opened[0]!.stream.end();
    t.match(await nearRead.closed, { code: 'done' });
    t.match(await client.closed, { code: 'done' });
    t.match(await gateway.closed, { code: 'done' });
  },
);

t.test('a text of 3 KB is cut to the 1024 B that a Reset carries, not in a character', async t => {
  const { client, gateway } = await tunnelPair();
  const near = readAll(client.session.open('autogen', 'unix'));
  await quiet();
  gateway.opened[0]!.stream.reset({ code: 'unavailable', text: `x${'é'.repeat(1_500)}` });
  t.match(await near.closed, { code: 'unavailable', text: `x${'é'.repeat(511)}` });
});

t.test('more given back than came is our own bug: it ends that stream and no other', async t => {
  const { client, gateway } = await tunnelPair({ onOpen: stream => stream.accept() });
  const near = readAll(client.session.open('autogen', 'unix'));
  await quiet();
  const far = gateway.opened[0]!.stream;
  const events = listen(far);
  far.consume(1);
  t.strictSame(events, ['closed internal']);
  t.match(await near.closed, { code: 'internal', text: 'internal error' });
  t.equal(gateway.session.state, 'open');
});

t.test('a stream is started once, and is not accepted by its opener', async t => {
  const { client } = await tunnelPair();
  const near = client.session.open('autogen', 'unix');
  readAll(near);
  t.throws(() => readAll(near), { message: /started once/ });
  t.throws(() => near.accept(), { message: /accepted by its opener/ });
});
