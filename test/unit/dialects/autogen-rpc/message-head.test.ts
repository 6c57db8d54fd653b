import t from 'tap';
import { headBytes, readMessageHead } from '../../../../lib/dialects/autogen-rpc/message-head.ts';
import { part } from '../../../support/autogen-messages.ts';

t.test(
  'the first 1,024 B of a request or response of 5 MB say its id, and of an event that it is one',
  async t => {
    const data = part(5, [part(1, 'Blob'), part(2, 'application/json'), part(3, [Buffer.alloc(5_000_000)])]);
    const request = part(1, [part(1, '17'), part(3, [part(1, 'writer'), part(2, 'k')]), data]);
    t.same(readMessageHead(request.subarray(0, headBytes)), { kind: 'request', requestId: '17' });
    const response = part(2, [part(1, '18'), data]);
    t.same(readMessageHead(response.subarray(0, headBytes)), { kind: 'response', requestId: '18' });
    const event = part(3, [part(2, 'session'), part(4, 'news'), part(6, [Buffer.alloc(5_000_000)])]);
    t.same(readMessageHead(event.subarray(0, headBytes)), { kind: 'event', requestId: undefined });
  },
);

t.test('a request id behind other fields, behind the cut or half cut off is none', async t => {
  const late = part(1, [part(5, [part(3, [Buffer.alloc(9_000)])]), part(1, '17')]);
  t.same(readMessageHead(late.subarray(0, headBytes)), { kind: 'request', requestId: undefined });
  const request = part(1, [part(1, '17'), part(3, [part(1, 'writer'), part(2, 'k')])]);
  for (let length = 0; length <= request.byteLength; length += 1)
    t.same(
      readMessageHead(request.subarray(0, length)),
      { kind: length < 2 ? 'unknown' : 'request', requestId: length < 6 ? undefined : '17' },
      `of ${length} bytes`,
    );
});

t.test('an id that claims 127 B of its 1 is none, and nothing throws', async t => {
  const lying = part(1, [Buffer.of(0x0a, 0x7f, 0x31)]);
  t.same(readMessageHead(lying), { kind: 'request', requestId: undefined });
  t.same(readMessageHead(Buffer.alloc(headBytes, 0xff)), { kind: 'unknown', requestId: undefined });
});
