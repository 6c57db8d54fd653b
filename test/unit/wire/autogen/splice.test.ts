import t from 'tap';
import { type AgentMessage, messageCodec } from '../../../../lib/demo/agent-rpc.ts';
import { scanMessage } from '../../../../lib/wire/autogen/scan.ts';
import {
  replaceRequestId,
  rewriteResponse,
  totalBytes,
  withEnvelope,
} from '../../../../lib/wire/autogen/splice.ts';
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
  const pieces = replaceRequestId(view, newId, 'enveloped');
  t.equal(pieces.length, 2);
  t.ok((pieces[0]?.byteLength ?? 0) < 50);
  t.equal(pieces[1]?.buffer, bytes.buffer, 'a view of the message');
  t.equal(totalBytes(pieces), bytes.byteLength + 5 + 30);
  const whole = Buffer.concat(pieces);
  t.equal(whole.readUInt32BE(1), whole.byteLength - 5);
  t.same(whole, Buffer.concat(withEnvelope(replaceRequestId(view, newId))));
  t.equal((scanMessage(whole.subarray(5)) as RequestView).requestId, newId);
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

t.test('fields before, between and behind stay where they are, small and large', async t => {
  for (const size of [10, 10_000]) {
    const unknown = (number: number): Buffer => part(number, 'u'.repeat(size));
    const bytes = Buffer.concat([
      unknown(9),
      part(2, [unknown(10), part(3, 'stack of client-17'), unknown(11), part(1, '5'), unknown(12)]),
      unknown(13),
    ]);
    const view = scanMessage(bytes) as ResponseView;
    t.same(
      Buffer.concat(rewriteResponse(view, { requestId: newId, error: 'failed' })),
      Buffer.concat([
        unknown(9),
        part(2, [unknown(10), part(3, 'failed'), unknown(11), part(1, newId), unknown(12)]),
        unknown(13),
      ]),
    );
    t.same(
      Buffer.concat(rewriteResponse(view, { error: '' })),
      Buffer.concat([
        unknown(9),
        part(2, [unknown(10), unknown(11), part(1, '5'), unknown(12)]),
        unknown(13),
      ]),
    );
    t.same(Buffer.concat(rewriteResponse(view, {})), bytes);
  }
});

t.test('a field that is absent comes to stand in its message', async t => {
  const empty = scanMessage(part(2, [])) as ResponseView;
  t.same(replaceRequestId(empty, '1'), [part(2, [part(1, '1')])]);
  t.same(rewriteResponse(empty, { requestId: '1', error: 'gone' }), [
    part(2, [part(1, '1'), part(3, 'gone')]),
  ]);
  const answered = scanMessage(part(2, [part(1, '1')])) as ResponseView;
  t.same(rewriteResponse(answered, { error: 'größe' }), [part(2, [part(1, '1'), part(3, 'größe')])]);
  t.same(replaceRequestId(answered, ''), [part(2, [])]);
});
