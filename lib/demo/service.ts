/** The gRPC service `agents.AgentRpc`, in the form that grpc-js takes for a server and for a client. */
import { logVerbosity, type MethodDefinition, setLogVerbosity } from '@grpc/grpc-js';
import {
  type AgentMessage,
  addSubscriptionCodec,
  type Codec,
  controlMessageCodec,
  type Empty,
  emptyCodec,
  messageCodec,
  registerAgentCodec,
  removeSubscriptionCodec,
  type Subscription,
  subscriptionsCodec,
} from './agent-rpc.ts';

// grpc-js writes to the terminal by itself; all that matters reaches us as an error or a status.
setLogVerbosity(logVerbosity.NONE);

/** A message as it came, with its bytes: an event is handed on as the bytes it came in. */
export interface Incoming {
  readonly bytes: Uint8Array;
  readonly message: AgentMessage;
}

const incoming = (bytes: Buffer): Incoming => ({ bytes, message: messageCodec.decode(bytes) });
const encoded = (bytes: Buffer): Buffer => bytes;

/** Outgoing messages are bytes already: encoded once, however many workers they go to. */
type Channel = MethodDefinition<Buffer, Incoming>;
type HostChannel = MethodDefinition<Incoming, Buffer>;

const openChannelPath = '/agents.AgentRpc/OpenChannel';

function unary<Request, Response>(
  name: string,
  request: Codec<Request>,
  response: Codec<Response>,
): MethodDefinition<Request, Response> {
  return {
    path: `/agents.AgentRpc/${name}`,
    requestStream: false,
    responseStream: false,
    requestSerialize: request.encode,
    requestDeserialize: request.decode,
    responseSerialize: response.encode,
    responseDeserialize: response.decode,
  };
}

/** A worker's side of OpenChannel. */
export const workerChannel: Channel = {
  path: openChannelPath,
  requestStream: true,
  responseStream: true,
  requestSerialize: encoded,
  requestDeserialize: encoded,
  responseSerialize: value => Buffer.from(value.bytes),
  responseDeserialize: incoming,
};

export const registerAgent: MethodDefinition<{ readonly type: string }, Empty> = unary(
  'RegisterAgent',
  registerAgentCodec,
  emptyCodec,
);
export const addSubscription: MethodDefinition<{ readonly subscription?: Subscription | null }, Empty> =
  unary('AddSubscription', addSubscriptionCodec, emptyCodec);
export const removeSubscription: MethodDefinition<{ readonly id: string }, Empty> = unary(
  'RemoveSubscription',
  removeSubscriptionCodec,
  emptyCodec,
);
export const getSubscriptions: MethodDefinition<Empty, { readonly subscriptions: readonly Subscription[] }> =
  unary('GetSubscriptions', emptyCodec, subscriptionsCodec);

/** The host's side, by AutoGen's method names. */
export const agentRpcService: {
  readonly OpenChannel: HostChannel;
  readonly OpenControlChannel: MethodDefinition<Empty, Empty>;
  readonly RegisterAgent: typeof registerAgent;
  readonly AddSubscription: typeof addSubscription;
  readonly RemoveSubscription: typeof removeSubscription;
  readonly GetSubscriptions: typeof getSubscriptions;
} = {
  OpenChannel: {
    path: openChannelPath,
    requestStream: true,
    responseStream: true,
    requestSerialize: value => Buffer.from(value.bytes),
    requestDeserialize: incoming,
    responseSerialize: encoded,
    responseDeserialize: encoded,
  },
  OpenControlChannel: {
    ...unary('OpenControlChannel', controlMessageCodec, controlMessageCodec),
    requestStream: true,
    responseStream: true,
  },
  RegisterAgent: registerAgent,
  AddSubscription: addSubscription,
  RemoveSubscription: removeSubscription,
  GetSubscriptions: getSubscriptions,
};
