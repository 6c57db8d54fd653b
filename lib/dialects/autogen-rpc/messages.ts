/**
 * AutoGen's messages, read and written whole by the schema. What is forwarded is encoded from what was decided about,
 * so no second reading of the same bytes can differ from ours; unknown fields go through.
 */
import protobuf from 'protobufjs/light.js';
import { LockwireError } from '../../core/errors.ts';
import { autogenDescriptor } from '../../gen/autogen.ts';

export interface AgentName {
  readonly type: string;
  readonly key: string;
}

/** A message in pieces, to be written one behind the other; they may be views of the one that was read. */
export type Pieces = readonly Uint8Array[];

export function lengthOf(pieces: Pieces): number {
  return pieces.length === 1
    ? (pieces[0] as Uint8Array).byteLength
    : pieces.reduce((sum, p) => sum + p.byteLength, 0);
}

export interface RequestMessage {
  readonly kind: 'request';
  readonly requestId: string;
  readonly source: AgentName | undefined;
  readonly target: AgentName;
  encode(requestId?: string): Pieces;
}

export interface ResponseMessage {
  readonly kind: 'response';
  readonly requestId: string;
  encode(requestId?: string): Pieces;
}

export interface EventMessage {
  readonly kind: 'event';
  readonly topicType: string;
  readonly topicSource: string;
  readonly sender: AgentName | undefined;
  encode(): Pieces;
}

export type AgentMessage = RequestMessage | ResponseMessage | EventMessage | { readonly kind: 'empty' };

export interface Subscription {
  readonly id: string;
  /** The topic type, or its beginning. */
  readonly topic: string;
  readonly prefix: boolean;
  readonly agentType: string;
}

const schema = protobuf.Root.fromJSON(autogenDescriptor as protobuf.INamespace).resolveAll();

interface Codec<T> {
  encode(value: object): Uint8Array;
  decode(bytes: Uint8Array): T;
}

function codec<T>(name: string): Codec<T> {
  const type = schema.lookupType(`agents.${name}`);
  return {
    encode: value => type.encode(value as Record<string, unknown>).finish(),
    decode(bytes) {
      try {
        const reader = protobuf.Reader.create(bytes);
        reader.discardUnknown = false;
        return type.decode(reader) as unknown as T;
      } catch {
        throw new LockwireError('protocol', `${bytes.byteLength} bytes that are no ${name}`);
      }
    },
  };
}

interface WireRequest {
  requestId: string;
  readonly source?: AgentName | null;
  readonly target?: AgentName | null;
}
interface WireEvent {
  readonly type: string;
  readonly source: string;
  readonly attributes?: Readonly<Record<string, { readonly ceString?: string }>>;
}
interface WireMessage {
  readonly request?: WireRequest | null;
  readonly response?: { requestId: string } | null;
  readonly cloudEvent?: WireEvent | null;
}
interface WireSubscription {
  readonly id: string;
  readonly typeSubscription?: { readonly topicType: string; readonly agentType: string } | null;
  readonly typePrefixSubscription?: { readonly topicTypePrefix: string; readonly agentType: string } | null;
}

const messages = codec<WireMessage>('Message');
const registrations = codec<{ readonly type: string }>('RegisterAgentTypeRequest');
const additions = codec<{ readonly subscription?: WireSubscription | null }>('AddSubscriptionRequest');
const removals = codec<{ readonly id: string }>('RemoveSubscriptionRequest');
const lists = codec<{ readonly subscriptions: readonly WireSubscription[] }>('GetSubscriptionsResponse');

/** Throws LockwireError `protocol`. */
export function readMessage(bytes: Uint8Array): AgentMessage {
  const message = messages.decode(bytes);
  const { request, response, cloudEvent } = message;
  if (request) {
    const { requestId, source, target } = request;
    return {
      kind: 'request',
      requestId,
      source: source ? { type: source.type, key: source.key } : undefined,
      target: { type: target?.type ?? '', key: target?.key ?? '' },
      encode: id => {
        request.requestId = id ?? requestId;
        return [messages.encode(message)];
      },
    };
  }
  if (response) {
    const { requestId } = response;
    return {
      kind: 'response',
      requestId,
      encode: id => {
        response.requestId = id ?? requestId;
        return [messages.encode(message)];
      },
    };
  }
  if (!cloudEvent) return { kind: 'empty' };
  return {
    kind: 'event',
    topicType: cloudEvent.type,
    topicSource: cloudEvent.source,
    sender: senderOf(cloudEvent),
    encode: () => [messages.encode(message)],
  };
}

/** AutoGen's names of a CloudEvent's attributes. */
function senderOf({ attributes }: WireEvent): AgentName | undefined {
  const type = textOf(attributes, 'agagentsendertype');
  const key = textOf(attributes, 'agagentsenderkey');
  if (type === undefined && key === undefined) return undefined;
  return { type: type ?? '', key: key ?? '' };
}

function textOf(attributes: WireEvent['attributes'], name: string): string | undefined {
  // The map's keys are a peer's: never looked up on a prototype.
  if (attributes === undefined || !Object.hasOwn(attributes, name)) return undefined;
  return attributes[name]?.ceString ?? '';
}

/** An answer that says what went wrong: AutoGen raises the text at the caller. */
export function errorResponse(requestId: string, error: string): Pieces {
  return [messages.encode({ response: { requestId, error } })];
}

export function readRegistration(bytes: Uint8Array): string {
  return registrations.decode(bytes).type;
}

export function writeRegistration(type: string): Uint8Array {
  return registrations.encode({ type });
}

/** Undefined where it subscribes to nothing. */
export function readAddition(bytes: Uint8Array): Subscription | undefined {
  const { subscription } = additions.decode(bytes);
  if (!subscription) return undefined;
  const { id, typeSubscription, typePrefixSubscription } = subscription;
  if (typeSubscription)
    return { id, topic: typeSubscription.topicType, prefix: false, agentType: typeSubscription.agentType };
  if (!typePrefixSubscription) return undefined;
  const { topicTypePrefix, agentType } = typePrefixSubscription;
  return { id, topic: topicTypePrefix, prefix: true, agentType };
}

export function writeAddition(subscription: Subscription): Uint8Array {
  return additions.encode({ subscription: wireSubscription(subscription) });
}

export function readRemoval(bytes: Uint8Array): string {
  return removals.decode(bytes).id;
}

export function writeRemoval(id: string): Uint8Array {
  return removals.encode({ id });
}

export function writeList(subscriptions: Iterable<Subscription>): Uint8Array {
  return lists.encode({ subscriptions: [...subscriptions].map(wireSubscription) });
}

function wireSubscription({ id, topic, prefix, agentType }: Subscription): WireSubscription {
  return prefix
    ? { id, typePrefixSubscription: { topicTypePrefix: topic, agentType } }
    : { id, typeSubscription: { topicType: topic, agentType } };
}

/** `GetSubscriptionsRequest`, `RegisterAgentTypeResponse` and their like. */
export const emptyMessage: Uint8Array = new Uint8Array(0);
