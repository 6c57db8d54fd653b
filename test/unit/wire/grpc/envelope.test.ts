import fc from 'fast-check';
import t from 'tap';
import {
  defaultMaxGrpcMessageBytes,
  GrpcEnvelopeDecoder,
  writeGrpcPrefix,
} from '../../../../lib/wire/grpc/envelope.ts';
import { GrpcError } from '../../../../lib/wire/grpc/errors.ts';
import {
  decodeMessages,
  decodeMessagesNaively,
  grpcMessage,
  MessageLog,
} from '../../../support/grpc-messages.ts';

const body = Buffer.concat([
  grpcMessage(Buffer.from('hello')),
  grpcMessage(Buffer.alloc(0)),
  grpcMessage(Buffer.from([1, 2, 3]), true),
  grpcMessage(Buffer.alloc(0), true),
  grpcMessage(Buffer.alloc(7, 0xff)),
]);
const told = [
  ...['begin false 5', '68656c6c6f', 'end'],
  ...['begin false 0', 'end'],
  ...['begin true 3', '010203', 'end'],
  ...['begin true 0', 'end'],
  ...['begin false 7', 'ffffffffffffff', 'end'],
];

t.test('five messages, empty and compressed ones too, at every pair of cuts', async t => {
  t.same(decodeMessages(body), { events: told, error: '', atBoundary: true });
  for (let first = 0; first <= body.byteLength; first += 1) {
    for (let second = first; second <= body.byteLength; second += 1) {
      const { events, error, atBoundary } = decodeMessages(body, [first, second]);
      if (error !== '' || !atBoundary || events.join() !== told.join()) t.fail(`cut at ${first}, ${second}`);
    }
  }
  t.same(decodeMessages(body, [...body.keys()]).events, told);
});

t.test('no boundary but between messages', async t => {
  const bytes = grpcMessage(Buffer.from('hello'));
  for (let length = 0; length <= bytes.byteLength; length += 1) {
    const { atBoundary } = decodeMessages(bytes.subarray(0, length));
    t.equal(atBoundary, length === 0 || length === bytes.byteLength, `behind ${length} bytes`);
  }
});

t.test('a message is handed on in views of what was pushed, before it is all there', async t => {
  const log = new MessageLog();
  const decoder = new GrpcEnvelopeDecoder(log);
  const bytes = grpcMessage(Buffer.alloc(100_000, 1));
  const first = Buffer.from(bytes.subarray(0, 16_384));
  decoder.push(first);
  t.equal(log.views[0]?.buffer, first.buffer);
  t.equal(log.views[0]?.byteLength, 16_379);
  t.notOk(decoder.atBoundary);
  decoder.push(bytes.subarray(16_384));
  t.equal(log.events.at(-1), 'end');
});

t.test('4 MiB is read and one byte more is refused with RESOURCE_EXHAUSTED by its prefix', async t => {
  t.equal(defaultMaxGrpcMessageBytes, 4_194_304);
  const prefix = Buffer.alloc(5);
  writeGrpcPrefix(prefix, 0, false, 4_194_304);
  t.same(decodeMessages(prefix), { events: ['begin false 4194304'], error: '', atBoundary: false });
  writeGrpcPrefix(prefix, 0, false, 4_194_305);
  for (let cut = 0; cut <= 5; cut += 1) {
    t.same(decodeMessages(prefix, [cut]), {
      events: [],
      error: '8: RESOURCE_EXHAUSTED: message of 4194305 bytes, limit 4194304',
      atBoundary: false,
    });
  }
  writeGrpcPrefix(prefix, 0, false, 0xffffffff);
  t.match(decodeMessages(prefix).error, /message of 4294967295 bytes/);
  t.match(decodeMessages(grpcMessage(Buffer.alloc(11)), [], 10).error, /message of 11 bytes, limit 10/);
});

t.test(
  'a flag of 2, 128 (trailers of gRPC-Web) or 255 is refused with INTERNAL by its first byte',
  async t => {
    for (const flag of [2, 0x80, 0xff]) {
      const { events, error } = decodeMessages(
        Buffer.concat([grpcMessage(Buffer.from('a')), Buffer.of(flag)]),
      );
      t.same(events, ['begin false 1', '61', 'end'], 'what came before is read');
      t.equal(error, `13: INTERNAL: compressed flag is ${flag}, expected 0 or 1`);
    }
  },
);

t.test('a decoder that has failed, or whose sink refused, stays failed', async t => {
  const decoder = new GrpcEnvelopeDecoder(new MessageLog());
  t.throws(() => decoder.push(Buffer.of(9)), { status: 13, code: 'protocol' });
  t.throws(() => decoder.push(grpcMessage(Buffer.from('a'))), /bytes behind a malformed message/);
  t.notOk(decoder.atBoundary);

  class Refusing extends MessageLog {
    override begin(): void {
      throw new GrpcError(8, 'message of 1 bytes, limit 0');
    }
  }
  const refusing = new GrpcEnvelopeDecoder(new Refusing());
  t.throws(() => refusing.push(grpcMessage(Buffer.from('a'))), { status: 8, code: 'limit' });
  t.throws(() => refusing.push(Buffer.of(0)), /bytes behind a malformed message/);
});

t.test('500 random bodies, cut at random, are read as by a naive decoder', async t => {
  const message = fc.tuple(fc.uint8Array({ maxLength: 40 }), fc.boolean());
  fc.assert(
    fc.property(fc.array(message, { maxLength: 6 }), fc.array(fc.nat({ max: 200 })), (messages, offsets) => {
      const bytes = Buffer.concat(messages.map(([payload, compressed]) => grpcMessage(payload, compressed)));
      const cuts = offsets.filter(offset => offset <= bytes.byteLength).sort((a, b) => a - b);
      t.same(decodeMessages(bytes, cuts), decodeMessagesNaively(bytes, defaultMaxGrpcMessageBytes));
    }),
    { numRuns: 500 },
  );
});
