import t from 'tap';
import { type AgentMessage, messageCodec } from '../../../../lib/demo/agent-rpc.ts';
import { scanMessage } from '../../../../lib/wire/autogen/scan.ts';
import { replaceRequestId } from '../../../../lib/wire/autogen/splice.ts';
import type { RequestView } from '../../../../lib/wire/autogen/views.ts';

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
