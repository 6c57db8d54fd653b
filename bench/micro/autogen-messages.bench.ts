// One AutoGen call, 256 B: another request id by scan and splice, beside protobufjs's decode and encode.
import { bench, do_not_optimize, group } from 'mitata';
import protobuf from 'protobufjs/light.js';
import { autogenDescriptor } from '../../lib/gen/autogen.ts';
import { scanMessage } from '../../lib/wire/autogen/scan.ts';
import { replaceRequestId } from '../../lib/wire/autogen/splice.ts';
import { RequestView } from '../../lib/wire/autogen/views.ts';

const type = protobuf.Root.fromJSON(autogenDescriptor as protobuf.INamespace).lookupType('agents.Message');

interface Call {
  readonly request: { requestId: string };
}

function call(dataBytes: number): Buffer {
  const request = {
    requestId: '17',
    source: { type: 'planner', key: 'default' },
    target: { type: 'writer', key: 'default' },
    payload: {
      dataType: 'Question',
      dataContentType: 'application/json',
      data: Buffer.alloc(dataBytes, 0x61),
    },
    metadata: { traceparent: '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01' },
  };
  return Buffer.from(type.encode({ request }).finish());
}

function event(): Buffer {
  const names = { datacontenttype: 'application/json', dataschema: 'Question', agagentsendertype: 'planner' };
  const all = Object.entries({ ...names, agagentsenderkey: 'default', agmsgkind: 'publish' });
  const attributes = Object.fromEntries(all.map(([key, ceString]) => [key, { ceString }]));
  const id = '8b7ae8a2-7c9c-4a54-9a6c-0f3c1d2b4e5f';
  const cloudEvent = { id, source: 'default', specVersion: '1.0', type: 'news', attributes };
  return Buffer.from(
    type.encode({ cloudEvent: { ...cloudEvent, binaryData: Buffer.alloc(60, 0x61) } }).finish(),
  );
}

const newId = '0af7651916cd43dd8448eb211c80319c';

function splice(bytes: Buffer): Uint8Array[] {
  const view = scanMessage(bytes);
  return view instanceof RequestView ? replaceRequestId(view, newId) : [];
}

function decodeAndEncode(bytes: Buffer): Uint8Array {
  const message = type.decode(bytes) as unknown as Call;
  message.request.requestId = newId;
  return type.encode(message).finish();
}

for (const [name, bytes] of [
  ['256 B', call(105)],
  ['64 KiB', call(65_536)],
] as const) {
  group(`another request id, ${name} (${bytes.byteLength} B)`, () => {
    bench(`scan and splice, ${name}`, () => do_not_optimize(splice(bytes)));
    bench(`protobufjs decode and encode, ${name}`, () => do_not_optimize(decodeAndEncode(bytes)));
  });
}

const published = event();
group(`an event of ${published.byteLength} B`, () => {
  bench('scan an event', () => do_not_optimize(scanMessage(published)));
  bench('protobufjs decode of an event', () => do_not_optimize(type.decode(published)));
});
