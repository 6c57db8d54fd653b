import { ProtobufReader } from '../protobuf/reader.ts';
import { firstFreeSlot, type Shape, shape, string } from '../protobuf/shape.ts';
import { walk } from '../protobuf/walk.ts';
import { encodeMessage } from '../protobuf/write.ts';
import { asBuffer } from './buffer.ts';
import { maxNameBytes } from './shapes.ts';
import { textAt } from './views.ts';

/**
 * The unary calls' messages. Reading checks as strictly as scanMessage does and throws ProtobufError; what was read can
 * be passed on as the bytes that came, so that unknown fields are kept.
 */

const nameSlot = firstFreeSlot;

const registerAgentRequest = shape('RegisterAgentTypeRequest', string('type', nameSlot, maxNameBytes));
const removeSubscriptionRequest = shape('RemoveSubscriptionRequest', string('id', nameSlot, maxNameBytes));

export function decodeRegisterAgentRequest(bytes: Uint8Array): { readonly type: string } {
  return { type: nameOf(bytes, registerAgentRequest) };
}

export function encodeRegisterAgentRequest({ type }: { readonly type: string }): Buffer {
  return encodeMessage([{ number: 1, text: type }]);
}

export function decodeRemoveSubscriptionRequest(bytes: Uint8Array): { readonly id: string } {
  return { id: nameOf(bytes, removeSubscriptionRequest) };
}

export function encodeRemoveSubscriptionRequest({ id }: { readonly id: string }): Buffer {
  return encodeMessage([{ number: 1, text: id }]);
}

/** The messages without a field. */
export type EmptyName =
  | 'RegisterAgentTypeResponse'
  | 'AddSubscriptionResponse'
  | 'RemoveSubscriptionResponse'
  | 'GetSubscriptionsRequest';

/** Whether it is one: nothing in it, or fields of a later AutoGen. Throws ProtobufError where it is not. */
export function checkEmpty(bytes: Uint8Array, name: EmptyName): void {
  walk(new ProtobufReader(bytes), bytes.byteLength, { ...nothing, name }, []);
}

const nothing: Shape = shape('');

function nameOf(bytes: Uint8Array, of: Shape): string {
  const spans: number[] = [-1, -1, -1, -1, -1, -1];
  walk(new ProtobufReader(bytes), bytes.byteLength, of, spans);
  return textAt(asBuffer(bytes), spans, nameSlot);
}
