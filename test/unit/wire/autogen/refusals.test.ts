import t from 'tap';
import { scanMessage } from '../../../../lib/wire/autogen/scan.ts';
import { maxNameBytes } from '../../../../lib/wire/autogen/shapes.ts';
import type { MalformedReason } from '../../../../lib/wire/protobuf/errors.ts';
import { maxMapEntries } from '../../../../lib/wire/protobuf/walk.ts';
import { field, part, twinNames, varint } from '../../../support/autogen-messages.ts';

const victim = part(3, [part(1, 'admin'), part(2, 'x')]);
const own = part(3, [part(1, 'writer'), part(2, 'x')]);
const id = part(1, '1');
const attribute = (key: string, value: Buffer): Buffer => part(5, [part(1, key), part(2, [value])]);
const sender = (name: string): Buffer => attribute('agagentsendertype', part(3, name));

/** What the full decoder reads too, but reads otherwise than one that takes the first. */
const ambiguous: readonly [string, MalformedReason, RegExp, Buffer, reads: string][] = [
  ['a request id twice', 'duplicate', /RpcRequest: request_id twice/, part(1, [id, part(1, '2')]), '"2"'],
  ['a target twice', 'duplicate', /RpcRequest: target twice/, part(1, [id, own, victim]), 'admin'],
  [
    'a target in two parts, which merge',
    'duplicate',
    /RpcRequest: target twice/,
    part(1, [id, part(3, [part(1, 'writer')]), part(3, [part(1, 'admin')])]),
    'admin',
  ],
  [
    'an agent type twice',
    'duplicate',
    /AgentId: type twice/,
    part(1, [id, part(3, [part(1, 'writer'), part(1, 'admin')])]),
    'admin',
  ],
  [
    'a request twice',
    'duplicate',
    /Message: request twice/,
    Buffer.concat([part(1, [id, own]), part(1, [victim])]),
    'admin',
  ],
  [
    'a response behind a request',
    'oneof',
    /Message: response beside another/,
    Buffer.concat([part(1, [id, own]), part(2, [part(1, '9')])]),
    '"9"',
  ],
  ['a topic type twice', 'duplicate', /CloudEvent: type twice/, part(3, [part(4, 'a'), part(4, 'b')]), '"b"'],
  [
    'a sender twice',
    'map',
    /a key twice in attributes/,
    part(3, [sender('writer'), attribute('agmsgkind', part(3, 'publish')), sender('admin')]),
    'admin',
  ],
  [
    'a key twice in one entry',
    'duplicate',
    /attributes: key twice/,
    part(3, [part(5, [part(1, 'other'), part(1, 'agagentsendertype'), part(2, [part(3, 'admin')])])]),
    'admin',
  ],
  [
    'a sender as text and as bytes',
    'oneof',
    /CloudEventAttributeValue: ce_string beside another/,
    part(3, [attribute('agagentsendertype', Buffer.concat([part(4, 'writer'), part(3, 'admin')]))]),
    'admin',
  ],
  [
    'two kinds of data',
    'oneof',
    /CloudEvent: text_data beside another/,
    part(3, [part(4, 'a'), part(6, 'x'), part(7, 'y')]),
    '"a"',
  ],
];

t.test('what another parser could read otherwise is refused, by name', async t => {
  for (const [title, reason, text, bytes, reads] of ambiguous) {
    t.match(JSON.stringify(twinNames(bytes)), new RegExp(reads), `the full decoder reads ${title}`);
    t.throws(() => scanMessage(bytes), { code: 'protocol', reason, message: text }, title);
  }
});

t.test('each of these fields once is read', async t => {
  const request = part(1, [id, part(2, [part(1, 'a')]), own, part(6, [part(1, 'k'), part(2, 'v')])]);
  t.match(scanMessage(request), {
    requestId: '1',
    source: { type: 'a', key: '' },
    target: { type: 'writer' },
  });
  const event = part(3, [
    part(4, 'a'),
    sender('writer'),
    attribute('agagentsenderkey', part(3, '')),
    part(7, 'y'),
  ]);
  t.match(scanMessage(event), { topicType: 'a', topicSource: '', senderType: 'writer', senderKey: '' });
  t.match(scanMessage(part(2, [part(3, 'failed'), id])), { requestId: '1', failed: true, error: 'failed' });
});

const malformed: readonly [string, MalformedReason, Buffer][] = [
  ['a tag that is cut', 'truncated', Buffer.of(0x8a)],
  ['a length that is absent', 'truncated', Buffer.of(0x0a)],
  ['a request longer than its message', 'length', Buffer.of(0x0a, 1)],
  [
    'a request id longer than its request',
    'length',
    Buffer.concat([part(1, [Buffer.of(0x0a, 9)]), part(99, 'x'.repeat(20))]),
  ],
  ['a tag of 2 bytes that 1 byte says', 'varint', Buffer.of(0x8a, 0x00, 0)],
  ['a length of 2 bytes that 1 byte says', 'varint', part(1, [Buffer.of(0x0a, 0x81, 0x00, 0x31)])],
  ['a length of 6 bytes', 'varint', Buffer.of(0x0a, 0x81, 0x80, 0x80, 0x80, 0x80, 0x01)],
  ['field number 0', 'tag', Buffer.of(0x02, 0)],
  ['field number 2^29', 'tag', Buffer.of(0x82, 0x80, 0x80, 0x80, 0x10, 0)],
  ['an unknown varint of 11 bytes', 'varint', field(15, 0, Buffer.alloc(11, 0x80))],
  ['an unknown varint of 65 bits', 'varint', field(15, 0, Buffer.from('ffffffffffffffffff02', 'hex'))],
  ['an overlong unknown varint', 'varint', field(15, 0, Buffer.of(0x80, 0x00))],
  ['a request as a varint', 'wire-type', field(1, 0, Buffer.of(1))],
  ['a request id as fixed64', 'wire-type', part(1, [field(1, 1, Buffer.alloc(8))])],
  ['a boolean as bytes', 'wire-type', part(3, [attribute('x', part(1, 'true'))])],
  ['wire type 6', 'wire-type', field(15, 6, Buffer.of(0))],
  ['wire type 7 of a known field', 'wire-type', part(1, [field(1, 7, Buffer.of(0))])],
  ['a group', 'group', Buffer.concat([field(15, 3, Buffer.alloc(0)), field(15, 4, Buffer.alloc(0))])],
  ['a request as a group', 'group', Buffer.concat([field(1, 3, id), field(1, 4, Buffer.alloc(0))])],
  ['100,000 groups inside each other', 'group', Buffer.alloc(100_000, 0x7b)],
  ['a fixed64 that is cut', 'truncated', field(15, 1, Buffer.alloc(7))],
  ['a fixed32 that is cut', 'truncated', field(15, 5, Buffer.alloc(3))],
  ['a request id that is not UTF-8', 'utf8', part(1, [part(1, [Buffer.of(0xff)])])],
  ['an overlong character', 'utf8', part(1, [part(1, [Buffer.of(0xc0, 0xaf)])])],
  ['a surrogate', 'utf8', part(1, [own, part(4, [Buffer.of(0xed, 0xa0, 0x80)])])],
  ['100 characters and half of one', 'utf8', part(2, [part(3, [Buffer.alloc(100, 0x61), Buffer.of(0xc3)])])],
  [
    'a metadata value that is not UTF-8',
    'utf8',
    part(1, [part(6, [part(1, 'k'), part(2, [Buffer.of(0x80)])])]),
  ],
  ['a third field in an entry', 'map', part(1, [part(6, [part(1, 'k'), part(2, 'v'), part(3, 'w')])])],
  ['a sender of bytes', 'map', part(3, [attribute('agagentsendertype', part(4, 'admin'))])],
  ['a sender without a value', 'map', part(3, [part(5, [part(1, 'agagentsenderkey')])])],
  ['two entries without a key', 'map', part(1, [part(6, [part(2, 'v')]), part(6, [part(2, 'w')])])],
];

t.test('what is no message of ours is refused, by name', async t => {
  for (const [title, reason, bytes] of malformed) {
    t.throws(() => scanMessage(bytes), { code: 'protocol', reason }, title);
  }
});

t.test('names of 1,024 bytes are read, and 1,025 are refused', async t => {
  t.equal(maxNameBytes, 1_024);
  const long = 'x'.repeat(1_024);
  t.match(scanMessage(part(1, [part(1, long)])), { requestId: long });
  t.match(scanMessage(part(3, [sender(long)])), { senderType: long });
  const longer = `${long}x`;
  const each: Record<string, Buffer> = {
    'RpcRequest: request_id of 1025 bytes, limit 1024': part(1, [part(1, longer)]),
    'AgentId: type of 1025 bytes, limit 1024': part(1, [part(3, [part(1, longer)])]),
    'AgentId: key of 1025 bytes, limit 1024': part(1, [part(2, [part(2, longer)])]),
    'RpcResponse: request_id of 1025 bytes, limit 1024': part(2, [part(1, longer)]),
    'CloudEvent: id of 1025 bytes, limit 1024': part(3, [part(1, longer)]),
    'CloudEvent: source of 1025 bytes, limit 1024': part(3, [part(2, longer)]),
    'CloudEvent: type of 1025 bytes, limit 1024': part(3, [part(4, longer)]),
    'CloudEvent: agagentsendertype of 1025 bytes, limit 1024': part(3, [sender(longer)]),
  };
  for (const [message, bytes] of Object.entries(each)) {
    t.throws(() => scanMessage(bytes), { code: 'protocol', reason: 'name-size', message });
  }
  t.equal(
    scanMessage(part(2, [part(3, 'x'.repeat(5_000_000))]))?.kind,
    'response',
    'an error text has no limit of its own',
  );
});

t.test('64 entries of a map are read, and 65 are refused', async t => {
  t.equal(maxMapEntries, 64);
  const entries = (count: number): Buffer[] =>
    Array.from({ length: count }, (_, index) => part(6, [part(1, `k${index}`), part(2, 'v')]));
  t.match(scanMessage(part(1, [id, ...entries(64)])), { requestId: '1' });
  t.throws(() => scanMessage(part(1, entries(65))), {
    reason: 'map',
    message: /more than 64 entries in metadata/,
  });
});

t.test('a message that says nothing known is undefined', async t => {
  t.equal(scanMessage(new Uint8Array(0)), undefined);
  t.equal(scanMessage(part(4, 'of a later AutoGen')), undefined);
  t.match(scanMessage(part(1, [])), { kind: 'request', requestId: '', source: undefined, target: undefined });
  t.match(scanMessage(new Uint8Array(part(1, [id]))), { requestId: '1' }, 'of a plain Uint8Array');
});

t.test('a varint of 64 bits and a negative int32 are passed over', async t => {
  const minusOne = Buffer.from('ffffffffffffffffff01', 'hex');
  const event = part(3, [part(4, 'a'), attribute('n', field(2, 0, minusOne)), field(15, 0, minusOne)]);
  t.match(scanMessage(event), { topicType: 'a' });
  t.match(scanMessage(Buffer.concat([part(1, [id]), field(2 ** 29 - 1, 0, varint(2 ** 40))])), {
    requestId: '1',
  });
});
