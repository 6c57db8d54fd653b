import t from 'tap';
import { type AgentMessage, messageCodec } from '../../../../lib/demo/agent-rpc.ts';
import { scanMessage } from '../../../../lib/wire/autogen/scan.ts';
import { replaceRequestId, totalBytes } from '../../../../lib/wire/autogen/splice.ts';
import type { RequestView, ResponseView } from '../../../../lib/wire/autogen/views.ts';
import { part } from '../../../support/autogen-messages.ts';

const newId = '0123456789abcdef0123456789abcdef';

function request(dataBytes: number): AgentMessage {
  return {
    request: {
      requestId: '17',
      source: { type: 'planner', key: 'default' },
      target: { type: 'writer', key: 'draft-7' },
      method: '',
      payload: {
        dataType: 'Question',
        dataContentType: 'application/json',
        data: Buffer.alloc(dataBytes, 0x41),
      },
      metadata: { traceparent: '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01' },
    },
  };
}

t.test('a request of 256 B with another request id is the same but for that field', async t => {
  const bytes = messageCodec.encode(request(100));
  const view = scanMessage(bytes) as RequestView;
  t.equal(view.requestId, '17');
  t.same(view.source, { type: 'planner', key: 'default' });
  t.same(view.target, { type: 'writer', key: 'draft-7' });
  const pieces = replaceRequestId(view, newId);
  t.equal(pieces.length, 1);
  const expected = request(100);
  if (expected.request) expected.request.requestId = newId;
  t.same(pieces[0], messageCodec.encode(expected));
});

t.test('a request of 1 MiB is referred to, and only its head is new', async t => {
  const bytes = messageCodec.encode(request(1_048_576));
  const view = scanMessage(bytes) as RequestView;
  const pieces = replaceRequestId(view, newId);
  t.equal(pieces.length, 2);
  t.ok((pieces[0]?.byteLength ?? 0) < 50);
  t.equal(pieces[1]?.buffer, bytes.buffer, 'a view of the message');
  t.equal(totalBytes(pieces), bytes.byteLength + 30);
  const expected = request(1_048_576);
  if (expected.request) expected.request.requestId = newId;
  t.ok(messageCodec.encode(expected).equals(Buffer.concat(pieces)));
});

t.test('4,095 B are one piece and 4,096 B are two', async t => {
  for (const [dataBytes, count] of [
    [3_850, 1],
    [4_050, 2],
  ] as const) {
    const view = scanMessage(messageCodec.encode(request(dataBytes))) as RequestView;
    const pieces = replaceRequestId(view, newId);
    t.equal(pieces.length, totalBytes(pieces) < 4_096 ? 1 : 2);
    t.equal(pieces.length, count);
  }
});

const members = [
  ['request', 1],
  ['response', 2],
] as const;

for (const [kind, number] of members) {
  for (const size of [10, 10_000]) {
    t.test(`fields of ${size} B before, between and behind stay where they are in a ${kind}`, async t => {
      const unknown = (number: number): Buffer => part(number, 'u'.repeat(size));
      const around = (...id: Buffer[]): Buffer =>
        Buffer.concat([
          unknown(9),
          part(number, [unknown(10), part(4, []), unknown(11), ...id, unknown(12)]),
          unknown(13),
        ]);
      const view = scanMessage(around(part(1, '5'))) as RequestView | ResponseView;
      t.equal(view.kind, kind);
      t.same(Buffer.concat(replaceRequestId(view, newId)), around(part(1, newId)));
      t.same(Buffer.concat(replaceRequestId(view, 'größe')), around(part(1, 'größe')));
      t.same(Buffer.concat(replaceRequestId(view, '5')), around(part(1, '5')));
      t.same(Buffer.concat(replaceRequestId(view, '')), around(), 'left out');
    });

    t.test(`a request id that is absent comes to stand first in a ${kind} of ${size} B`, async t => {
      const other = part(9, 'u'.repeat(size));
      const view = scanMessage(Buffer.concat([part(number, [other]), other])) as RequestView | ResponseView;
      t.equal(view.kind, kind);
      const expected = Buffer.concat([part(number, [part(1, newId), other]), other]);
      t.same(Buffer.concat(replaceRequestId(view, newId)), expected);
      t.same(Buffer.concat(replaceRequestId(view, '')), Buffer.concat([part(number, [other]), other]));
    });
  }

  t.test(`a ${kind} with nothing in it gets a request id and loses it again`, async t => {
    const empty = scanMessage(part(number, [])) as RequestView | ResponseView;
    t.same(replaceRequestId(empty, '1'), [part(number, [part(1, '1')])]);
    t.same(replaceRequestId(empty, ''), [part(number, [])]);
    const named = scanMessage(part(number, [part(1, '1')])) as RequestView | ResponseView;
    t.same(replaceRequestId(named, ''), [part(number, [])]);
  });
}

t.test('the error text of a response goes through as it came, beside another request id', async t => {
  for (const text of ['', 'größe', 'x'.repeat(10_000)]) {
    const answer = (id: string): Buffer => part(2, [part(3, text), part(1, id)]);
    const view = scanMessage(answer('5')) as ResponseView;
    t.equal(view.error, text);
    t.same(Buffer.concat(replaceRequestId(view, newId)), answer(newId));
  }
});
