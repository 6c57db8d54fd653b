import { setImmediate as immediate } from 'node:timers/promises';
import t from 'tap';
import { BufferedStream } from '../../../lib/core/buffered-stream.ts';
import type { CarrierEvents } from '../../../lib/core/ports.ts';
import { fixedWindow, ReadBudget } from '../../../lib/core/read-budget.ts';
import type { CloseReason } from '../../../lib/core/session.ts';

/** A carrier that notes what is asked of it; the test plays its events. */
class NotedCarrier {
  readonly calls: string[] = [];
  events: CarrierEvents | undefined;
  done: (() => void) | undefined;

  start(events: CarrierEvents): void {
    this.events = events;
  }

  write(chunks: readonly Uint8Array[], done: () => void): void {
    this.calls.push(`write ${Buffer.concat(chunks).toString()}`);
    this.done = done;
  }

  end(): void {
    this.calls.push('end');
  }

  destroy(abort = false): void {
    this.calls.push(abort ? 'abort' : 'destroy');
  }

  pause(): void {
    this.calls.push('pause');
  }

  resume(): void {
    this.calls.push('resume');
  }
}

function set(budget = fixedWindow(100)) {
  const carrier = new NotedCarrier();
  const stream = new BufferedStream(carrier, budget);
  const seen: string[] = [];
  const reasons: CloseReason[] = [];
  stream.start({
    data: chunk => seen.push(`data ${chunk.byteLength}`),
    end: () => seen.push('end'),
    flushed: bytes => seen.push(`flushed ${bytes}`),
    closed: reason => {
      seen.push(`closed ${reason.code}`);
      reasons.push(reason);
    },
  });
  const events = carrier.events as CarrierEvents;
  const receive = (bytes: number) => events.data(Buffer.alloc(bytes));
  return { carrier, stream, seen, reasons, events, receive };
}

const cancelled: CloseReason = { code: 'cancelled', text: 'enough' };

t.test('a window of 100 B: pauses when it is full, goes on when half of it was given back', t => {
  const { carrier, stream, receive } = set();
  receive(99);
  t.same(carrier.calls, []);
  receive(1);
  t.same(carrier.calls, ['pause']);
  receive(50);
  t.same(carrier.calls, ['pause'], 'what was read already is delivered; no second pause');
  stream.consume(99);
  t.same(carrier.calls, ['pause'], '51 B outstanding');
  stream.consume(1);
  t.same(carrier.calls, ['pause', 'resume'], '50 B outstanding');
  t.end();
});

t.test('end waits for the write in flight and for what is queued behind it', async t => {
  const { carrier, stream, seen } = set();
  stream.write(Buffer.from('a'));
  await immediate();
  stream.write(Buffer.from('b'));
  stream.end();
  stream.write(Buffer.from('too late'));
  t.same(carrier.calls, ['write a']);
  carrier.done?.();
  t.same(carrier.calls, ['write a', 'write b']);
  carrier.done?.();
  t.same(carrier.calls, ['write a', 'write b', 'end']);
  t.same(seen, ['flushed 1', 'flushed 1']);
});

t.test('end with nothing queued ends at once, and once', t => {
  const { carrier, stream } = set();
  stream.end();
  stream.end();
  t.same(carrier.calls, ['end']);
  t.end();
});

t.test(
  'after a reset nothing is written, delivered, ended or resumed; its reason comes with the close',
  async t => {
    const { carrier, stream, seen, events, receive } = set();
    receive(100);
    stream.write(Buffer.from('a'));
    await immediate();
    stream.write(Buffer.from('queued'));
    stream.reset(cancelled);
    stream.reset({ code: 'io', text: 'later' });
    stream.write(Buffer.from('b'));
    stream.end();
    stream.consume(100);
    receive(5);
    events.end();
    carrier.done?.();
    await immediate();
    t.same(carrier.calls, ['pause', 'write a', 'abort']);
    events.closed(undefined);
    t.same(seen, ['data 100', 'closed cancelled']);
  },
);

t.test('a reset from inside `flushed` does not end the carrier too', async t => {
  const carrier = new NotedCarrier();
  const stream = new BufferedStream(carrier);
  stream.start({ data() {}, end() {}, flushed: () => stream.reset(cancelled), closed() {} });
  stream.write(Buffer.from('a'));
  stream.end();
  await immediate();
  carrier.done?.();
  t.same(carrier.calls, ['write a', 'abort']);
});

t.test('more given back than was delivered is our bug: that one stream is reset', t => {
  const { carrier, stream, seen, reasons, events, receive } = set();
  receive(10);
  stream.consume(11);
  t.same(carrier.calls, ['abort']);
  events.closed(undefined);
  t.same(seen, ['data 10', 'closed internal']);
  t.equal(reasons[0]?.text, 'internal error: 11 B given back of 10 B outstanding');
  t.end();
});

t.test('how a close is told', async t => {
  await t.test('both directions ended: done', t => {
    const { stream, seen, events } = set();
    stream.end();
    events.end();
    events.closed(undefined);
    t.same(seen, ['end', 'closed done']);
    t.end();
  });
  await t.test('the end was asked for but its bytes never left: io', async t => {
    const { stream, seen, events } = set();
    stream.write(Buffer.from('a'));
    stream.end();
    await immediate();
    events.end();
    events.closed(undefined);
    t.same(seen, ['end', 'closed io']);
  });
  await t.test('with an error: io, its text made safe for a terminal', t => {
    const { stream, reasons, events } = set();
    stream.end();
    events.end();
    events.closed(new Error('bad\u001b[31m record'));
    t.same(reasons, [{ code: 'io', text: 'bad\\u{1b}[31m record' }]);
    t.end();
  });
  await t.test('twice: told once, and given-back credit after it is ignored', t => {
    const { carrier, stream, seen, events, receive } = set();
    receive(100);
    events.closed(undefined);
    events.closed(undefined);
    stream.consume(100);
    stream.write(Buffer.from('x'));
    stream.end();
    stream.reset(cancelled);
    t.same(seen, ['data 100', 'closed io']);
    t.same(carrier.calls, ['pause']);
    t.end();
  });
});

t.test('a stream shares its budget from its start to its close', t => {
  const budget = new ReadBudget();
  const { events, stream } = set(budget);
  t.equal(budget.streams, 1);
  stream.reset(cancelled);
  t.equal(budget.streams, 1, 'the carrier still has its buffers');
  events.closed(undefined);
  t.equal(budget.streams, 0);
  t.throws(() => stream.start({ data() {}, end() {}, flushed() {}, closed() {} }), /started once/);
  t.end();
});
