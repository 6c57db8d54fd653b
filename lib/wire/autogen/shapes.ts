import {
  bytes,
  entryValueSlot,
  hotKey,
  map,
  message,
  oneof,
  type Shape,
  shape,
  string,
  varint,
} from '../protobuf/shape.ts';

/** AutoGen's messages (proto/agent_worker.proto, proto/cloudevent.proto): what is known of them, and what is noted. */

/** Longest request id, agent type or key, topic type or source, event or subscription id. */
export const maxNameBytes = 1_024;

/**
 * Slots of a Message's spans, from shape.ts's `firstFreeSlot` on. A request, a response and an event share those behind
 * their own, as a message has one of the three.
 */
export const Slot = {
  request: 4,
  response: 6,
  event: 8,
  /** Of requests and responses. */
  requestId: 10,
  source: 12,
  sourceType: 14,
  sourceKey: 16,
  target: 18,
  targetType: 20,
  targetKey: 22,
  /** Of responses. */
  error: 12,
  /** Of events. */
  id: 10,
  topicSource: 12,
  topicType: 14,
  senderType: 16,
  senderKey: 18,
  messageKind: 20,
} as const;

const slots = 24;

/** Nothing noted yet. */
export function newSpans(): number[] {
  return noSpans.slice();
}
const noSpans: readonly number[] = Array.from({ length: slots }, () => -1);

function name(field: string, slot = -1): ReturnType<typeof string> {
  return string(field, slot, maxNameBytes);
}

const any: Shape = shape('Any', string('type_url'), bytes('value'));

const timestamp: Shape = shape('Timestamp', varint('seconds'), varint('nanos'));

const payload: Shape = shape('Payload', string('data_type'), string('data_content_type'), bytes('data'));

const metadata = map('metadata', string('value'));

function agentId(type: number, key: number): Shape {
  return shape('AgentId', name('type', type), name('key', key));
}

const rpcRequest: Shape = shape(
  'RpcRequest',
  name('request_id', Slot.requestId),
  message('source', agentId(Slot.sourceType, Slot.sourceKey), Slot.source),
  message('target', agentId(Slot.targetType, Slot.targetKey), Slot.target),
  string('method'),
  message('payload', payload),
  metadata,
);

const rpcResponse: Shape = shape(
  'RpcResponse',
  name('request_id', Slot.requestId),
  message('payload', payload),
  string('error', Slot.error),
  metadata,
);

const attributeValue: Shape = shape(
  'CloudEventAttributeValue',
  ...oneof(
    1,
    varint('ce_boolean'),
    varint('ce_integer'),
    string('ce_string', entryValueSlot),
    bytes('ce_bytes'),
    string('ce_uri'),
    string('ce_uri_ref'),
    message('ce_timestamp', timestamp),
  ),
);

const cloudEvent: Shape = shape(
  'CloudEvent',
  name('id', Slot.id),
  name('source', Slot.topicSource),
  string('spec_version'),
  name('type', Slot.topicType),
  map('attributes', message('value', attributeValue), [
    hotKey('agagentsendertype', Slot.senderType, maxNameBytes),
    hotKey('agagentsenderkey', Slot.senderKey, maxNameBytes),
    hotKey('agmsgkind', Slot.messageKind, maxNameBytes),
  ]),
  ...oneof(6, bytes('binary_data'), string('text_data'), message('proto_data', any)),
);

export const messageShape: Shape = shape(
  'Message',
  ...oneof(
    1,
    message('request', rpcRequest, Slot.request),
    message('response', rpcResponse, Slot.response),
    message('cloudEvent', cloudEvent, Slot.event),
  ),
);
