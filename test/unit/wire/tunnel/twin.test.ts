import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import fc from 'fast-check';
import protobuf from 'protobufjs';
import t, { type Test } from 'tap';
import { closeCodes } from '../../../../lib/core/session.ts';
import type { ControlFrame } from '../../../../lib/wire/tunnel/frames.ts';
import {
  dataNumber,
  type Field,
  type Message,
  messageByType,
  messages,
} from '../../../../lib/wire/tunnel/messages.ts';
import { decodeAll, encodeItem, type Item, itemArbitrary, plain } from '../../../support/tunnel-frames.ts';

/** protobufjs with our own .proto file: slow, general, and not written by us. */
const source = readFileSync(new URL('../../../../proto/tunnel.proto', import.meta.url), 'utf8');
const { root } = protobuf.parse(source);
const Frame = root.lookupType('lockwire.tunnel.v1.Frame');

const protoEnum: Record<string, (value: string) => string> = {
  role: value => `ROLE_${value.toUpperCase()}`,
  ingress: value => `INGRESS_${value.toUpperCase()}`,
  code: value => value.toUpperCase().replaceAll('-', '_'),
  outcome: value => value.toUpperCase(),
  purpose: name => name.toUpperCase(),
};

/** A frame as protobufjs has it, defaults left out as proto3 wants. */
function toTwin(item: Item): protobuf.Message {
  const stream = item.stream === 0 ? {} : { stream: item.stream };
  if ('data' in item) return Frame.fromObject({ ...stream, data: item.data });
  const body: Record<string, unknown> = {};
  const message = messageByType(item.frame.type);
  const values = item.frame as unknown as Record<string, unknown>;
  for (const field of message.fields) {
    const value = values[field.name];
    if (field.kind === 'enum') {
      const name = protoEnum[field.name]!(String(value));
      if (value !== field.values[0]) body[field.name] = name;
    } else if (value !== 0 && value !== '' && !isEmpty(value)) body[field.name] = value;
  }
  return Frame.fromObject({ ...stream, [item.frame.type]: body });
}

function isEmpty(value: unknown): boolean {
  return value instanceof Uint8Array && value.byteLength === 0;
}

function fromTwin(frame: protobuf.Message): Item {
  const object = Frame.toObject(frame, { longs: Number, enums: Number, defaults: false, oneofs: true });
  const stream = Number(object.stream ?? 0);
  const kind = String(object.body);
  if (kind === 'data') return { stream, data: Buffer.from(object.data as Uint8Array) };
  const message = messageByType(kind as ControlFrame['type']);
  const body = object[kind] as Record<string, unknown>;
  const out: Record<string, unknown> = { type: kind };
  for (const field of message.fields) out[field.name] = fieldValue(field, body[field.name]);
  return { stream, frame: out as unknown as ControlFrame };
}

function fieldValue(field: Field, value: unknown): unknown {
  switch (field.kind) {
    case 'enum':
      return field.values[Number(value ?? 0)];
    case 'uint':
      return Number(value ?? 0);
    case 'string':
      return value ?? '';
    case 'blob':
      return Buffer.from((value ?? []) as Uint8Array);
    case 'bytes':
      return Buffer.from(value as Uint8Array);
  }
}

t.test('protobufjs reads what we wrote, and we read what it wrote: the same bytes, both ways', async t => {
  fc.assert(
    fc.property(itemArbitrary(), item => {
      const ours = encodeItem(item);
      const twin = Buffer.from(Frame.encodeDelimited(toTwin(item)).finish());
      assert.equal(ours.toString('hex'), twin.toString('hex'));
      assert.equal(plain([fromTwin(Frame.decodeDelimited(ours))]), plain([item]));
      assert.equal(plain(decodeAll(twin).items), plain([item]));
    }),
    { numRuns: 300 },
  );
  t.pass('each of them');
});

t.test('unknown fields at the end of a body, as a later version may add, are skipped by both', async t => {
  const body = Buffer.from([0x08, 0x05, 0x98, 0x06, 0x07, 0xa2, 0x06, 0x02, 0x68, 0x69]);
  const bytes = Buffer.concat([Buffer.from([body.byteLength + 2, 0x5a, body.byteLength]), body]);
  const ping: Item = { stream: 0, frame: { type: 'ping', value: 5 } };
  t.equal(plain(decodeAll(bytes).items), plain([ping]));
  t.equal(plain([fromTwin(Frame.decodeDelimited(bytes))]), plain([ping]));
});

t.test('the table of messages is what proto/tunnel.proto says', async t => {
  const named = new Map<string, protobuf.Field>(Object.entries(Frame.fields));
  const oneof = Frame.oneofs.body!.fieldsArray.map(({ name }) => name);
  t.strictSame(
    oneof.filter(name => name !== 'data').sort(),
    messages.map(({ type }) => type).sort(),
    'all frames but data',
  );
  t.match(named.get('data'), { id: dataNumber, type: 'bytes' });
  t.match(named.get('stream'), { id: 1, type: 'uint32' });
  for (const message of messages) compare(t, message, named.get(message.type)!);
});

function compare(t: Test, message: Message, field: protobuf.Field): void {
  t.equal(field.id, message.number, message.type);
  const type = Frame.lookupType(field.type);
  t.equal(type.fieldsArray.length, message.fields.length, `${message.type} has all fields`);
  for (const [index, own] of message.fields.entries()) {
    const proto = type.fieldsById[index + 1]!;
    t.equal(proto.name, own.name);
    t.ok(sameType(type, proto, own), `${message.type}.${own.name}: ${proto.type}`);
  }
}

function sameType(type: protobuf.Type, proto: protobuf.Field, own: Field): boolean {
  if (own.kind === 'blob') return proto.type === 'bytes';
  if (own.kind === 'string' || own.kind === 'bytes') return proto.type === own.kind;
  if (own.kind === 'uint') return own.max > 0xffffffff ? proto.type === 'uint64' : proto.type === 'uint32';
  const { values } = type.lookupEnum(proto.type);
  return Object.entries(values).every(([name, number]) => {
    const value = own.values[number];
    return value === undefined ? name.endsWith('_UNSPECIFIED') : protoEnum[own.name]!(value) === name;
  });
}

t.test('every close code has its number in the .proto file', async t => {
  const { values } = root.lookupEnum('lockwire.tunnel.v1.Code');
  t.strictSame(
    Object.keys(values).map(name => name.toLowerCase().replaceAll('_', '-')),
    [...closeCodes],
  );
});
