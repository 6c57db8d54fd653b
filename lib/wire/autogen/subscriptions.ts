import { ProtobufReader } from '../protobuf/reader.ts';
import { firstFreeSlot, message, oneof, type Shape, shape, string } from '../protobuf/shape.ts';
import { walk } from '../protobuf/walk.ts';
import { encodeMessage, type NewField } from '../protobuf/write.ts';
import { asBuffer } from './buffer.ts';
import { maxNameBytes } from './shapes.ts';
import { textAt } from './views.ts';

/** Which topics wake which agents: AddSubscription's request and GetSubscriptions' answer. */

export type KnownSubscription =
  /** Topics of exactly this type. */
  | { readonly kind: 'type'; readonly id: string; readonly topicType: string; readonly agentType: string }
  /** Topics whose type begins so: '' is all of them. */
  | {
      readonly kind: 'prefix';
      readonly id: string;
      readonly topicTypePrefix: string;
      readonly agentType: string;
    };

/** `unknown`: of a kind that a later AutoGen has, or of none. */
export type Subscription = KnownSubscription | { readonly kind: 'unknown'; readonly id: string };

const Slot = {
  id: firstFreeSlot,
  byType: firstFreeSlot + 2,
  byPrefix: firstFreeSlot + 4,
  /** Of either kind, as a subscription has one only. */
  topic: firstFreeSlot + 6,
  agentType: firstFreeSlot + 8,
  /** Of an AddSubscriptionRequest. */
  subscription: firstFreeSlot + 10,
} as const;
const noSpans: readonly number[] = Array.from({ length: firstFreeSlot + 12 }, () => -1);

function name(field: string, slot: number): ReturnType<typeof string> {
  return string(field, slot, maxNameBytes);
}

const subscription: Shape = shape(
  'Subscription',
  name('id', Slot.id),
  ...oneof(
    2,
    message(
      'typeSubscription',
      shape('TypeSubscription', name('topic_type', Slot.topic), name('agent_type', Slot.agentType)),
      Slot.byType,
    ),
    message(
      'typePrefixSubscription',
      shape(
        'TypePrefixSubscription',
        name('topic_type_prefix', Slot.topic),
        name('agent_type', Slot.agentType),
      ),
      Slot.byPrefix,
    ),
  ),
);

const addSubscriptionRequest: Shape = shape(
  'AddSubscriptionRequest',
  message('subscription', subscription, Slot.subscription),
);

/** Throws ProtobufError; also where it has no subscription of a kind that is known, as nobody can decide about it. */
export function decodeAddSubscriptionRequest(bytes: Uint8Array): KnownSubscription {
  const reader = new ProtobufReader(bytes);
  const spans = noSpans.slice();
  walk(reader, bytes.byteLength, addSubscriptionRequest, spans);
  const found = subscriptionAt(asBuffer(bytes), spans);
  if (found.kind !== 'unknown') return found;
  reader.within = addSubscriptionRequest.name;
  throw reader.fault('oneof', 'neither typeSubscription nor typePrefixSubscription');
}

export function encodeAddSubscriptionRequest(subscription: KnownSubscription): Buffer {
  return encodeMessage([{ number: 1, fields: subscriptionFields(subscription) }]);
}

/** In the order of the answer. Throws ProtobufError. */
export function decodeGetSubscriptionsResponse(bytes: Uint8Array): readonly Subscription[] {
  const found: Subscription[] = [];
  eachField(bytes, (_start, _end, subscription) => {
    if (subscription !== undefined) found.push(subscription);
  });
  return found;
}

export function encodeGetSubscriptionsResponse(subscriptions: readonly KnownSubscription[]): Buffer {
  return encodeMessage(subscriptions.map(one => ({ number: 1, fields: subscriptionFields(one) })));
}

/**
 * GetSubscriptionsResponse without what `keep` does not want. What stays is byte for byte as it came, with the fields of
 * a later AutoGen in a subscription; fields beside the subscriptions are kept as well. Throws ProtobufError.
 */
export function filterSubscriptions(
  bytes: Uint8Array,
  keep: (subscription: Subscription) => boolean,
): Uint8Array {
  const kept: Uint8Array[] = [];
  eachField(bytes, (start, end, subscription) => {
    if (subscription === undefined || keep(subscription)) kept.push(bytes.subarray(start, end));
  });
  return Buffer.concat(kept);
}

/** Each field of a GetSubscriptionsResponse, tag and all; `subscription` is undefined for a field that is unknown. */
function eachField(
  bytes: Uint8Array,
  visit: (start: number, end: number, subscription: Subscription | undefined) => void,
): void {
  const buffer = asBuffer(bytes);
  const reader = new ProtobufReader(bytes);
  const end = bytes.byteLength;
  while (reader.at < end) {
    reader.within = 'GetSubscriptionsResponse';
    const start = reader.at;
    const tag = reader.tag(end);
    if (tag === 0x0a) {
      const spans = noSpans.slice();
      walk(reader, reader.valueEnd(end), subscription, spans);
      visit(start, reader.at, subscriptionAt(buffer, spans));
      continue;
    }
    if (tag >>> 3 === 1) throw reader.fault('wire-type', `subscriptions has wire type ${tag & 7}`);
    reader.skip(tag, end);
    visit(start, reader.at, undefined);
  }
}

function subscriptionAt(bytes: Buffer, spans: readonly number[]): Subscription {
  const id = textAt(bytes, spans, Slot.id);
  const topic = textAt(bytes, spans, Slot.topic);
  const agentType = textAt(bytes, spans, Slot.agentType);
  if ((spans[Slot.byType] as number) >= 0) return { kind: 'type', id, topicType: topic, agentType };
  if ((spans[Slot.byPrefix] as number) >= 0) return { kind: 'prefix', id, topicTypePrefix: topic, agentType };
  return { kind: 'unknown', id };
}

function subscriptionFields(subscription: KnownSubscription): NewField[] {
  const { id, agentType } = subscription;
  const byType = subscription.kind === 'type';
  const topic = byType ? subscription.topicType : subscription.topicTypePrefix;
  return [
    { number: 1, text: id },
    {
      number: byType ? 2 : 3,
      fields: [
        { number: 1, text: topic },
        { number: 2, text: agentType },
      ],
    },
  ];
}
