import t from 'tap';
import {
  addSubscriptionCodec,
  type Codec,
  controlMessageCodec,
  messageCodec,
  subscriptionsCodec,
} from '../../../lib/demo/agent-rpc.ts';

/** Written by AutoGen 0.7.5's own generated Python code (protobuf 5.29). */
const vectors = {
  request:
    '0a4c0a013112060a016112016b1a070a016212026b322a210a015412106170706c69636174696f6e2f6a736f6e1a0a7b2278223a22c3a9227d32130a0b7472616365706172656e74120430302d31',
  error: '12080a017a1a03776879',
  jsonEvent:
    '1a390a01691201731a03312e302201742a250a0f64617461636f6e74656e747479706512121a106170706c69636174696f6e2f6a736f6e320200ff',
  protobufEvent:
    '1a450a01691201731a03312e3022017442350a2e747970652e676f6f676c65617069732e636f6d2f676f6f676c652e70726f746f6275662e427974657356616c756512030a0101',
  prefixSubscription: '0a0b0a01731a060a0174120161',
  typeSubscriptions: '0a0b0a017312060a0174120161',
  control:
    '0a0172120b6167656e7469643d612f6b1a0a636c69656e7469643d6322350a2e747970652e676f6f676c65617069732e636f6d2f676f6f676c652e70726f746f6275662e427974657356616c756512030a0101',
};

const bytesOf = (name: keyof typeof vectors): Buffer => Buffer.from(vectors[name], 'hex');

t.test('reads what AutoGen wrote', t => {
  const { request } = messageCodec.decode(bytesOf('request'));
  t.match(request, {
    requestId: '1',
    source: { type: 'a', key: 'k' },
    target: { type: 'b', key: 'k2' },
    payload: { dataType: 'T', dataContentType: 'application/json' },
    metadata: { traceparent: '00-1' },
  });
  t.equal(String(request?.payload?.data), '{"x":"é"}');
  t.match(messageCodec.decode(bytesOf('error')), {
    response: { requestId: 'z', error: 'why', payload: null },
  });
  const { cloudEvent } = messageCodec.decode(bytesOf('jsonEvent'));
  t.match(cloudEvent, {
    id: 'i',
    source: 's',
    type: 't',
    attributes: { datacontenttype: { ceString: 'application/json' } },
  });
  t.same([...(cloudEvent?.binaryData ?? [])], [0, 255]);
  t.match(addSubscriptionCodec.decode(bytesOf('prefixSubscription')), {
    subscription: {
      id: 's',
      typePrefixSubscription: { topicTypePrefix: 't', agentType: 'a' },
      typeSubscription: null,
    },
  });
  t.end();
});

t.test('writes what it read as the same bytes, fields that it does not know included', t => {
  const codecs: Record<keyof typeof vectors, Codec<object>> = {
    request: messageCodec,
    error: messageCodec,
    jsonEvent: messageCodec,
    protobufEvent: messageCodec,
    prefixSubscription: addSubscriptionCodec,
    typeSubscriptions: subscriptionsCodec as Codec<object>,
    control: controlMessageCodec as Codec<object>,
  };
  for (const [name, codec] of Object.entries(codecs) as [keyof typeof vectors, Codec<object>][])
    t.equal(codec.encode(codec.decode(bytesOf(name))).toString('hex'), vectors[name], name);
  // Field 99, a varint: 98 06 01.
  const withUnknown = Buffer.concat([bytesOf('error'), Buffer.from('980601', 'hex')]);
  t.same(messageCodec.encode(messageCodec.decode(withUnknown)), withUnknown);
  t.end();
});

t.test('a key named __proto__ is only a key', t => {
  // RpcRequest.metadata { key: "__proto__", value: "x" }
  const bytes = Buffer.from('0a10320e0a095f5f70726f746f5f5f120178', 'hex');
  const { metadata } = messageCodec.decode(bytes).request ?? {};
  t.same(Object.entries(metadata ?? {}), [['__proto__', 'x']]);
  t.equal(Object.getPrototypeOf(metadata ?? {}), Object.prototype);
  t.end();
});

t.test('a length that lies, in a message and in a field, and a string that is no UTF-8 are no message', t => {
  for (const hex of ['0a7f0a0131', '12ffffffff0f', '12030a02ff', '12030a01ff'])
    t.throws(() => messageCodec.decode(Buffer.from(hex, 'hex')), hex);
  t.match(
    messageCodec.decode(Buffer.from('12030a0131', 'hex')),
    { response: { requestId: '1' } },
    'the honest one',
  );
  t.end();
});

t.test(
  'every truncation of an AutoGen message fails or reads as fewer fields, and never throws anything but an Error',
  t => {
    const whole = bytesOf('request');
    for (let length = 0; length < whole.byteLength; length += 1)
      try {
        messageCodec.decode(whole.subarray(0, length));
      } catch (error) {
        if (!(error instanceof Error)) t.fail(`threw ${String(error)}`);
      }
    t.pass(`${whole.byteLength} truncations`);
    t.end();
  },
);
