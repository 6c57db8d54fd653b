/** AutoGen's messages as the dialect decides about them: what goes on is the bytes that came, but for a request id. */
import { encodeRpcResponse } from '../../wire/autogen/response.ts';
import { scanMessage } from '../../wire/autogen/scan.ts';
import { replaceRequestId, totalBytes } from '../../wire/autogen/splice.ts';
import {
  decodeAddSubscriptionRequest,
  encodeAddSubscriptionRequest,
  encodeGetSubscriptionsResponse,
  type KnownSubscription,
} from '../../wire/autogen/subscriptions.ts';
import type { AgentName, EventView } from '../../wire/autogen/views.ts';

export type { AgentName };

/** A message in pieces, to be written one behind the other; they may be views of the one that was read. */
export type Pieces = readonly Uint8Array[];

export interface RequestMessage {
  readonly kind: 'request';
  readonly requestId: string;
  readonly source: AgentName | undefined;
  readonly target: AgentName;
  pieces(requestId?: string): Pieces;
}

export interface ResponseMessage {
  readonly kind: 'response';
  readonly requestId: string;
  pieces(requestId?: string): Pieces;
}

export interface EventMessage {
  readonly kind: 'event';
  readonly topicType: string;
  readonly topicSource: string;
  readonly sender: AgentName | undefined;
  pieces(): Pieces;
}

export type AgentMessage = RequestMessage | ResponseMessage | EventMessage | { readonly kind: 'empty' };

/** `bytes` must not change as long as the message is used. Throws LockwireError `protocol`. */
export function readMessage(bytes: Uint8Array): AgentMessage {
  const view = scanMessage(bytes);
  if (view === undefined) return { kind: 'empty' };
  if (view.kind === 'event') {
    const { topicType, topicSource } = view;
    return { kind: 'event', topicType, topicSource, sender: senderOf(view), pieces: () => [bytes] };
  }
  const { requestId } = view;
  const pieces = (id?: string): Pieces => (id === undefined ? [bytes] : replaceRequestId(view, id));
  if (view.kind === 'response') return { kind: 'response', requestId, pieces };
  const { source, target = nobody } = view;
  return { kind: 'request', requestId, source, target, pieces };
}

const nobody: AgentName = { type: '', key: '' };

function senderOf({ senderType, senderKey }: EventView): AgentName | undefined {
  if (senderType === undefined && senderKey === undefined) return undefined;
  return { type: senderType ?? '', key: senderKey ?? '' };
}

export function lengthOf(pieces: Pieces): number {
  return totalBytes(pieces);
}

/** An answer that says what went wrong: AutoGen raises the text at the caller. */
export function errorResponse(requestId: string, error: string): Pieces {
  return [encodeRpcResponse({ requestId, error })];
}

/** Which topics wake which agents: of exactly one type, or of all types that begin so. */
export interface Subscription {
  readonly id: string;
  /** The topic type, or its beginning. */
  readonly topic: string;
  readonly prefix: boolean;
  readonly agentType: string;
}

/** Throws LockwireError `protocol`, also where it subscribes to nothing that is known. */
export function readAddition(bytes: Uint8Array): Subscription {
  const known = decodeAddSubscriptionRequest(bytes);
  const { id, agentType } = known;
  return known.kind === 'prefix'
    ? { id, topic: known.topicTypePrefix, prefix: true, agentType }
    : { id, topic: known.topicType, prefix: false, agentType };
}

export function writeAddition(subscription: Subscription): Uint8Array {
  return encodeAddSubscriptionRequest(toWire(subscription));
}

export function writeList(subscriptions: Iterable<Subscription>): Uint8Array {
  return encodeGetSubscriptionsResponse([...subscriptions].map(toWire));
}

function toWire({ id, topic, prefix, agentType }: Subscription): KnownSubscription {
  return prefix
    ? { kind: 'prefix', id, topicTypePrefix: topic, agentType }
    : { kind: 'type', id, topicType: topic, agentType };
}

/** `GetSubscriptionsRequest`, `RegisterAgentTypeResponse` and their like. */
export const emptyMessage: Uint8Array = new Uint8Array(0);
