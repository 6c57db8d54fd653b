import protobuf from 'protobufjs/light.js';
import { autogenDescriptor } from '../../lib/gen/autogen.ts';
import type { MessageView } from '../../lib/wire/autogen/views.ts';
import type { Random } from './fuzz.ts';

/** The full decoder, as a twin of what finds and splices fields; nothing unknown is dropped. */
const schema = protobuf.Root.fromJSON(autogenDescriptor as protobuf.INamespace).resolveAll();

export function twinDecode(name: string, bytes: Uint8Array): Record<string, unknown> {
  const reader = protobuf.Reader.create(bytes);
  reader.discardUnknown = false;
  return schema.lookupType(name).decode(reader) as unknown as Record<string, unknown>;
}

export function twinEncode(name: string, value: object): Buffer {
  const bytes = schema.lookupType(name).encode(value).finish();
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

/** Plain data to be compared: bytes as hex, no prototypes, what is unknown too. */
export function twinPlain(name: string, bytes: Uint8Array): string {
  const value = twinDecode(name, bytes);
  return JSON.stringify(value, (_key, item: unknown) =>
    item instanceof Uint8Array ? Buffer.from(item).toString('hex') : item,
  );
}

interface Names {
  readonly kind: string | undefined;
  readonly names: readonly unknown[];
}

/** The fields that are decided by, as a view has them. */
export function namesOf(view: MessageView | undefined): Names {
  switch (view?.kind) {
    case 'request':
      return { kind: 'request', names: [view.requestId, plainAgent(view.source), plainAgent(view.target)] };
    case 'response':
      return { kind: 'response', names: [view.requestId, view.error, view.failed] };
    case 'event':
      return {
        kind: 'cloudEvent',
        names: [view.id, view.topicSource, view.topicType, view.senderType, view.senderKey, view.messageKind],
      };
    default:
      return { kind: undefined, names: [] };
  }
}

/** The same fields, as the twin has them. */
export function twinNames(bytes: Uint8Array): Names {
  const message = twinDecode('agents.Message', bytes) as Readonly<Record<string, TwinMember | undefined>>;
  const { request, response, cloudEvent } = message;
  if (request) {
    const names = [request.requestId, plainAgent(request.source), plainAgent(request.target)];
    return { kind: 'request', names };
  }
  if (response) {
    const { requestId, error } = response;
    return { kind: 'response', names: [requestId, error, error !== ''] };
  }
  if (cloudEvent) {
    const attribute = (key: string): unknown => cloudEvent.attributes?.[key]?.ceString;
    const own = ['agagentsendertype', 'agagentsenderkey', 'agmsgkind'].map(attribute);
    return { kind: 'cloudEvent', names: [cloudEvent.id, cloudEvent.source, cloudEvent.type, ...own] };
  }
  return { kind: undefined, names: [] };
}

interface TwinMember {
  readonly id?: string;
  readonly type?: string;
  readonly requestId?: string;
  readonly error?: string;
  // An agent of a request, a topic's source of an event.
  readonly source?: unknown;
  readonly target?: unknown;
  readonly attributes?: Readonly<Record<string, { readonly ceString?: string }>>;
}

function plainAgent(agent: unknown): unknown {
  if (typeof agent !== 'object' || agent === null) return undefined;
  const { type, key } = agent as { readonly type: string; readonly key: string };
  return { type, key };
}

/** A field by hand: so that it can be where no encoder would put it. */
export function field(number: number, wireType: number, value: Uint8Array): Buffer {
  return Buffer.concat([varint(number * 8 + wireType), value]);
}

/** A length-delimited field: a string, bytes or a message of fields. */
export function part(number: number, value: string | readonly Uint8Array[]): Buffer {
  const bytes = typeof value === 'string' ? Buffer.from(value) : Buffer.concat(value);
  return Buffer.concat([varint(number * 8 + 2), varint(bytes.byteLength), bytes]);
}

export function varint(value: number): Buffer {
  const bytes: number[] = [];
  let rest = value;
  for (; rest >= 0x80; rest = Math.floor(rest / 0x80)) bytes.push((rest % 0x80) | 0x80);
  return Buffer.of(...bytes, rest);
}

const texts = [
  '',
  '1',
  'default',
  'writer',
  'größe',
  '会議',
  '__proto__',
  'constructor',
  'x'.repeat(200),
  '\u{1f600}',
];

/** A Message as an honest encoder writes it, now and then with fields of a later AutoGen anywhere in it. */
export function randomMessage(random: Random): Buffer {
  const build = random.pick([randomRequest, randomResponse, randomEvent]);
  return Buffer.concat(withUnknown(random, [build(random)]));
}

function randomRequest(random: Random): Buffer {
  const agent = (number: number): Buffer => part(number, some(random, [text(random, 1), text(random, 2)]));
  return part(
    1,
    some(random, [
      text(random, 1),
      agent(2),
      agent(3),
      text(random, 4),
      payload(random, 5),
      ...metadata(random, 6),
    ]),
  );
}

function randomResponse(random: Random): Buffer {
  return part(
    2,
    some(random, [text(random, 1), payload(random, 2), text(random, 3), ...metadata(random, 4)]),
  );
}

const attributeKeys = [
  'agagentsendertype',
  'agagentsenderkey',
  'agmsgkind',
  'datacontenttype',
  '__proto__',
  '',
];

function randomEvent(random: Random): Buffer {
  const attributes = attributeKeys
    .filter(() => random.chance(0.6))
    .map(key => part(5, [part(1, key), part(2, withUnknown(random, [text(random, 3)]))]));
  const data = random.pick([
    part(6, [random.bytes(random.size(200))]),
    text(random, 7),
    part(8, some(random, [text(random, 1), part(2, [random.bytes(random.size(200))])])),
  ]);
  const names = [1, 2, 3, 4].map(number => text(random, number));
  return part(3, some(random, [...names, ...attributes, data]));
}

function payload(random: Random, number: number): Buffer {
  const data = part(3, [random.bytes(random.size(6_000))]);
  return part(number, some(random, [text(random, 1), text(random, 2), data]));
}

function metadata(random: Random, number: number): Buffer[] {
  return ['traceparent', '__proto__', 'größe']
    .filter(() => random.chance(0.3))
    .map(key => part(number, [part(1, key), text(random, 2)]));
}

function text(random: Random, number: number): Buffer {
  return part(number, random.pick(texts));
}

/** Most of the fields, now and then in another order. */
function some(random: Random, fields: readonly Buffer[]): Buffer[] {
  const kept = fields.filter(() => random.chance(0.85));
  if (random.chance(0.2)) kept.reverse();
  return withUnknown(random, kept);
}

function withUnknown(random: Random, fields: readonly Buffer[]): Buffer[] {
  if (!random.chance(0.2)) return [...fields];
  const out = [...fields];
  out.splice(random.int(out.length + 1), 0, randomUnknown(random));
  return out;
}

/** Numbers that no message of ours has, of each wire type that there is. */
function randomUnknown(random: Random): Buffer {
  const number = random.pick([9, 15, 16, 500, 2 ** 29 - 1]);
  switch (random.int(4)) {
    case 0:
      return field(number, 0, varint(random.int(2 ** 31)));
    case 1:
      return field(number, 1, random.bytes(8));
    case 2:
      return part(number, [random.bytes(random.size(200))]);
    default:
      return field(number, 5, random.bytes(4));
  }
}
