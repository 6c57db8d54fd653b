import t from 'tap';
import { defaultHostLimits } from '../../../lib/demo/options.ts';
import { Outbox } from '../../../lib/demo/outbox.ts';
import { TurnedClock } from '../../support/transport-clock.ts';

/** A sink that takes messages when the test says so. */
function scene(maxQueuedBytes: number) {
  const written: Buffer[] = [];
  const dones: (() => void)[] = [];
  const clock = new TurnedClock();
  let stalled = 0;
  const outbox = new Outbox(
    {
      write(bytes, done) {
        written.push(bytes);
        dones.push(done);
      },
    },
    { ...defaultHostLimits, maxQueuedBytes },
    clock,
    () => {
      stalled += 1;
    },
  );
  const leave = (count: number): void => {
    for (let i = 0; i < count; i += 1) dones.shift()?.();
  };
  return { outbox, written, clock, leave, stalled: () => stalled };
}

const message = (mark: number, bytes = 50_000): Buffer => Buffer.alloc(bytes, mark);

t.test('hands on 3,000 messages of 50 kB in order, one at a time', t => {
  const { outbox, written, leave } = scene(1e9);
  for (let i = 0; i < 3_000; i += 1) outbox.send(message(i % 256));
  t.equal(written.length, 1);
  for (let i = 0; i < 3_000; i += 1) leave(1);
  t.ok(written.length === 3_000 && written.every((bytes, i) => bytes[0] === i % 256));
  t.equal(outbox.queuedBytes, 0);
  t.end();
});

t.test('hands on small messages together, 64 KiB at most', t => {
  const { outbox, written } = scene(1e9);
  for (let i = 0; i < 100; i += 1) outbox.send(message(i, 1_000));
  t.equal(written.length, 65);
  t.end();
});

t.test('is full over 200 kB, and has room again when half of it has left', t => {
  const { outbox, leave, clock } = scene(200_000);
  let room = 0;
  for (let i = 0; i < 4; i += 1) outbox.send(message(i));
  t.notOk(outbox.full, '200 kB fit');
  outbox.send(message(4));
  t.ok(outbox.full);
  outbox.whenRoom(() => {
    room += 1;
  });
  leave(2);
  t.ok(outbox.full && room === 0, '150 kB are more than half');
  leave(1);
  t.ok(!outbox.full && room === 1 && clock.timers === 0);
  t.end();
});

t.test('is stalled when full and nothing leaves for 30 s; what leaves starts the wait anew', t => {
  const { outbox, leave, clock, stalled } = scene(200_000);
  for (let i = 0; i < 8; i += 1) outbox.send(message(i));
  clock.turn(29_999);
  leave(1);
  clock.turn(29_999);
  t.equal(stalled(), 0);
  clock.turn(1);
  t.equal(stalled(), 1);
  t.end();
});

t.test('closed, it drops all but what was handed on, takes no more, and lets the waiting go', t => {
  const { outbox, written, leave } = scene(200_000);
  let room = 0;
  for (let i = 0; i < 8; i += 1) outbox.send(message(i));
  outbox.whenRoom(() => {
    room += 1;
  });
  outbox.close();
  outbox.send(message(9));
  t.match([outbox.queuedBytes, room], [50_000, 1]);
  leave(1);
  t.match([outbox.queuedBytes, written.length], [0, 1]);
  t.end();
});
