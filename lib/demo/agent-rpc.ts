/** AutoGen's messages as types and codecs. The schema is a constant of this program: none is ever loaded from a peer. */
import protobuf from 'protobufjs/light.js';
import { autogenDescriptor } from '../gen/autogen.ts';

interface AgentId {
  readonly type: string;
  readonly key: string;
}

export interface Payload {
  readonly dataType: string;
  readonly dataContentType: string;
  readonly data: Uint8Array;
}

export interface RpcRequest {
  requestId: string;
  readonly source?: AgentId | null;
  readonly target?: AgentId | null;
  readonly method?: string;
  readonly payload?: Payload | null;
  readonly metadata?: Readonly<Record<string, string>>;
}

export interface RpcResponse {
  requestId: string;
  readonly payload?: Payload | null;
  readonly error?: string;
  readonly metadata?: Readonly<Record<string, string>>;
}

export interface CloudEvent {
  readonly id: string;
  /** The topic's source. */
  readonly source: string;
  readonly specVersion: string;
  /** The topic's type. */
  readonly type: string;
  readonly attributes?: Readonly<Record<string, { readonly ceString?: string }>>;
  readonly binaryData?: Uint8Array;
}

/** Exactly one of these, or none in a message that says nothing. */
export interface AgentMessage {
  readonly request?: RpcRequest | null;
  readonly response?: RpcResponse | null;
  readonly cloudEvent?: CloudEvent | null;
}

export interface Subscription {
  readonly id: string;
  readonly typeSubscription?: { readonly topicType: string; readonly agentType: string } | null;
  readonly typePrefixSubscription?: { readonly topicTypePrefix: string; readonly agentType: string } | null;
}

export type Empty = Readonly<Record<string, never>>;

/** Throws on bytes that are no such message. */
export interface Codec<T> {
  encode(value: T): Buffer;
  decode(bytes: Uint8Array): T;
}

const schema = protobuf.Root.fromJSON(autogenDescriptor as protobuf.INamespace).resolveAll();

function codec<T extends object>(name: string): Codec<T> {
  const type = schema.lookupType(`agents.${name}`);
  return {
    encode(value) {
      const bytes = type.encode(value as Record<string, unknown>).finish();
      return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    },
    decode(bytes) {
      const reader = protobuf.Reader.create(bytes);
      // What a later AutoGen adds goes through.
      reader.discardUnknown = false;
      // A Message holds its absent fields as defaults on its prototype, so it reads as the interface says.
      return type.decode(reader) as unknown as T;
    },
  };
}

export const messageCodec: Codec<AgentMessage> = codec('Message');
export const controlMessageCodec: Codec<Empty> = codec('ControlMessage');
export const registerAgentCodec: Codec<{ readonly type: string }> = codec('RegisterAgentTypeRequest');
export const addSubscriptionCodec: Codec<{ readonly subscription?: Subscription | null }> =
  codec('AddSubscriptionRequest');
export const removeSubscriptionCodec: Codec<{ readonly id: string }> = codec('RemoveSubscriptionRequest');
export const subscriptionsCodec: Codec<{ readonly subscriptions: readonly Subscription[] }> =
  codec('GetSubscriptionsResponse');

/** The requests and responses without a field: `GetSubscriptionsRequest`, `RegisterAgentTypeResponse` and its like. */
export const emptyCodec: Codec<Empty> = codec('RegisterAgentTypeResponse');
