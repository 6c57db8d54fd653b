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
  if (found !== undefined) return found;
  reader.within = addSubscriptionRequest.name;
  throw reader.fault('oneof', 'neither typeSubscription nor typePrefixSubscription');
}

export function encodeAddSubscriptionRequest(subscription: KnownSubscription): Buffer {
  return encodeMessage([{ number: 1, fields: subscriptionFields(subscription) }]);
}

export function encodeGetSubscriptionsResponse(subscriptions: readonly KnownSubscription[]): Buffer {
  return encodeMessage(subscriptions.map(one => ({ number: 1, fields: subscriptionFields(one) })));
}

/** undefined: of a kind that a later AutoGen has, or of none. */
function subscriptionAt(bytes: Buffer, spans: readonly number[]): KnownSubscription | undefined {
  const id = textAt(bytes, spans, Slot.id);
  const topic = textAt(bytes, spans, Slot.topic);
  const agentType = textAt(bytes, spans, Slot.agentType);
  if ((spans[Slot.byType] as number) >= 0) return { kind: 'type', id, topicType: topic, agentType };
  if ((spans[Slot.byPrefix] as number) >= 0) return { kind: 'prefix', id, topicTypePrefix: topic, agentType };
  return undefined;
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
