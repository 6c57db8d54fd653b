import fc from 'fast-check';
import t from 'tap';
import {
  defaultBeginningBytes,
  GrpcMessages,
  type GrpcMessagesOptions,
  type GrpcMessagesSink,
} from '../../../../lib/wire/grpc/messages.ts';
import { grpcMessage } from '../../../support/grpc-messages.ts';

class Log implements GrpcMessagesSink {
  readonly events: string[] = [];
  told = 0;
  message(bytes: Uint8Array, wireBytes: number): void {
    this.events.push(Buffer.from(bytes).toString('latin1'));
    this.told += wireBytes;
  }
  tooLarge(length: number, beginning: Uint8Array): void {
    this.events.push(`tooLarge ${length} ${Buffer.from(beginning).toString('latin1')}`);
  }
  passed(wireBytes: number): void {
    this.told += wireBytes;
  }
}

function read(bytes: Uint8Array, cuts: readonly number[], options: GrpcMessagesOptions): Log {
  const log = new Log();
  const messages = new GrpcMessages(log, options);
  let at = 0;
  for (const cut of [...cuts, bytes.byteLength]) {
    messages.push(bytes.subarray(at, cut));
    at = cut;
  }
  t.ok(messages.atBoundary);
  t.equal(messages.heldBytes, 0);
  t.equal(log.told, bytes.byteLength, 'credit for every byte, once');
  return log;
}

const body = Buffer.concat([
  grpcMessage(Buffer.from('hello')),
  grpcMessage(Buffer.from('this is too large')),
  grpcMessage(Buffer.alloc(0)),
  grpcMessage(Buffer.from('ten bytes!')),
]);

t.test('four messages, one of them too large, at every pair of cuts', async t => {
  const expected = ['hello', 'tooLarge 17 this', '', 'ten bytes!'];
  const options = { maxMessageBytes: 10, beginningBytes: 4 };
  for (let first = 0; first <= body.byteLength; first += 1) {
    for (let second = first; second <= body.byteLength; second += 1) {
      const { events } = read(body, [first, second], options);
      if (events.join() !== expected.join()) t.fail(`cut at ${first}, ${second}: ${events}`);
    }
  }
  t.same(read(body, [...body.keys()], options).events, expected, 'byte by byte');
});

t.test('a message in one part is a view of what was pushed', async t => {
  const bytes = grpcMessage(Buffer.alloc(1_000, 1));
  const views: Uint8Array[] = [];
  const sink = Object.assign(new Log(), { message: (view: Uint8Array) => views.push(view) });
  new GrpcMessages(sink).push(bytes);
  t.equal(views[0]?.buffer, bytes.buffer);
});

t.test('20 MiB against a limit of 4 MiB hold 4 KiB, and are told once they came', async t => {
  t.equal(defaultBeginningBytes, 4_096);
  const log = new Log();
  const messages = new GrpcMessages(log);
  const bytes = grpcMessage(Buffer.alloc(20 * 1024 * 1024, 0x61));
  let most = 0;
  for (let at = 0; at < bytes.byteLength; at += 1_000) {
    messages.push(bytes.subarray(at, at + 1_000));
    most = Math.max(most, messages.heldBytes);
    if (at === 5_000) t.equal(log.events.length, 1, 'told long before the end');
  }
  t.equal(most, 4_096);
  t.same(log.events, [`tooLarge ${20 * 1024 * 1024} ${'a'.repeat(4_096)}`]);
  t.equal(log.told, bytes.byteLength);
  messages.push(grpcMessage(Buffer.from('next')));
  t.equal(log.events.at(-1), 'next');
});

t.test('4 MiB are a message, and one byte more is too large', async t => {
  t.equal(read(grpcMessage(Buffer.alloc(4_194_304)), [9], {}).events[0]?.length, 4_194_304);
  t.match(read(grpcMessage(Buffer.alloc(4_194_305)), [9], {}).events[0], /^tooLarge 4194305 /);
});

t.test('a prefix that claims 4 MiB holds nothing, and what came at most twice', async t => {
  const messages = new GrpcMessages(new Log());
  const bytes = grpcMessage(Buffer.alloc(4_194_304));
  messages.push(bytes.subarray(0, 5));
  t.equal(messages.heldBytes, 0);
  for (let at = 5; at < bytes.byteLength; at += 10_000) {
    messages.push(bytes.subarray(at, at + 10_000));
    const came = at + 10_000 - 5;
    if (messages.heldBytes > Math.max(16_384, came * 2)) t.fail(`${messages.heldBytes} held of ${came}`);
  }
  t.equal(messages.heldBytes, 0);
});

t.test('a compressed message is INTERNAL without an encoding and UNIMPLEMENTED with one', async t => {
  const bytes = grpcMessage(Buffer.from('x'), true);
  for (const encoding of [undefined, 'identity']) {
    const messages = new GrpcMessages(new Log(), encoding === undefined ? {} : { encoding });
    t.throws(() => messages.push(bytes), { status: 13, message: /flagged compressed/ });
    t.throws(() => messages.push(grpcMessage(Buffer.from('x'))), /malformed message/, 'for good');
  }
  const messages = new GrpcMessages(new Log(), { encoding: 'gzip' });
  messages.push(grpcMessage(Buffer.from('not compressed')));
  t.throws(() => messages.push(bytes), { status: 12, message: /send them with grpc-encoding identity/ });
});

t.test('300 random bodies, cut at random, are the messages that were written', async t => {
  const message = fc.uint8Array({ maxLength: 60 });
  fc.assert(
    fc.property(fc.array(message, { maxLength: 8 }), fc.array(fc.nat({ max: 400 })), (messages, offsets) => {
      const bytes = Buffer.concat(messages.map(one => grpcMessage(one)));
      const cuts = offsets.filter(offset => offset <= bytes.byteLength).sort((a, b) => a - b);
      const { events } = read(bytes, cuts, { maxMessageBytes: 40, beginningBytes: 10 });
      const expected = messages.map(one => {
        const text = Buffer.from(one).toString('latin1');
        return one.byteLength > 40 ? `tooLarge ${one.byteLength} ${text.slice(0, 10)}` : text;
      });
      t.same(events, expected);
    }),
    { numRuns: 300 },
  );
});
