import {
  Client,
  type ClientDuplexStream,
  credentials,
  Metadata,
  type MethodDefinition,
  type ServiceError,
  status,
} from '@grpc/grpc-js';
import { parseLocalAddress } from '../core/address.ts';
import { safeText } from '../core/bytes.ts';
import { LockwireError } from '../core/errors.ts';
import {
  type AgentMessage,
  type CloudEvent,
  messageCodec,
  type Payload,
  type RpcResponse,
} from './agent-rpc.ts';
import { type Incoming, workerChannel } from './service.ts';

type Channel = ClientDuplexStream<Buffer, Incoming>;

/**
 * One AutoGen worker of our own, on a connection of its own: answers every request with its own payload, and hands
 * events to `onEvent`. When its channel fails, `failed` rejects and what waits for an answer waits on: race the two.
 */
export class TryWorker {
  readonly clientId: string;
  onEvent: (event: CloudEvent) => void = () => {};
  readonly #address: string;
  readonly #client: Client;
  readonly #metadata = new Metadata();
  readonly #channel: Channel;
  readonly #waiting = new Map<string, (response: RpcResponse) => void>();
  readonly #failed: PromiseWithResolvers<never> = Promise.withResolvers();
  #lastRequest = 0;
  #closing = false;

  constructor(address: string, clientId: string) {
    parseLocalAddress(address, 'address');
    this.clientId = clientId;
    this.#address = address;
    this.#metadata.set('client-id', clientId);
    this.#client = new Client(address, credentials.createInsecure(), {
      // A connection of its own, and never through a proxy that the environment names: this is loopback.
      'grpc.use_local_subchannel_pool': 1,
      'grpc.enable_http_proxy': 0,
    });
    // Where no one waits for it any more, it is not an unhandled rejection.
    this.#failed.promise.catch(() => {});
    this.#channel = this.#open();
  }

  /** A unary call; rejects with what the other side says. */
  unary<Request, Response>(method: MethodDefinition<Request, Response>, request: Request): Promise<Response> {
    const { path, requestSerialize, responseDeserialize } = method;
    return new Promise<Response>((resolve, reject) => {
      this.#client.makeUnaryRequest(
        path,
        requestSerialize,
        responseDeserialize,
        request,
        this.#metadata,
        (error, response) => {
          if (error) reject(this.#explain(error));
          else resolve(response as Response);
        },
      );
    });
  }

  /** Calls an agent and gives its answer. */
  call(agentType: string, payload: Payload): Promise<RpcResponse> {
    this.#lastRequest += 1;
    const requestId = String(this.#lastRequest);
    return new Promise(resolve => {
      this.#waiting.set(requestId, resolve);
      this.#send({ request: { requestId, target: { type: agentType, key: 'default' }, payload } });
    });
  }

  publish(event: CloudEvent): void {
    this.#send({ cloudEvent: event });
  }

  /** Rejects when the channel fails; never resolves. */
  get failed(): Promise<never> {
    return this.#failed.promise;
  }

  close(): void {
    this.#closing = true;
    this.#channel.cancel();
    this.#client.close();
  }

  #open(): Channel {
    const { path, requestSerialize, responseDeserialize } = workerChannel;
    const channel = this.#client.makeBidiStreamRequest(
      path,
      requestSerialize,
      responseDeserialize,
      this.#metadata,
    );
    channel.on('data', ({ message }: Incoming) => this.#received(message));
    channel.on('error', error => {
      if (!this.#closing) this.#failed.reject(this.#explain(error as ServiceError));
    });
    channel.on('end', () => {
      if (!this.#closing)
        this.#failed.reject(new LockwireError('closed', `${this.#address} ended the channel`));
    });
    return channel;
  }

  #received({ request, response, cloudEvent }: AgentMessage): void {
    if (cloudEvent) this.onEvent(cloudEvent);
    if (request) {
      const { requestId, payload } = request;
      this.#send({ response: { requestId, payload: payload ?? null } });
    }
    if (response) {
      this.#waiting.get(response.requestId)?.(response);
      this.#waiting.delete(response.requestId);
    }
  }

  /** Back-pressure is the caller's affair: `runTry` has one request or a few publishes under way. */
  #send(message: AgentMessage): void {
    this.#channel.write(messageCodec.encode(message));
  }

  #explain(error: ServiceError): LockwireError {
    const details = safeText(error.details || error.message, 512);
    if (error.code === status.UNAVAILABLE)
      return new LockwireError('unavailable', `no AutoGen host answers at ${this.#address}: ${details}`, {
        cause: error,
      });
    const denied = error.code === status.PERMISSION_DENIED || error.code === status.UNAUTHENTICATED;
    return new LockwireError(
      denied ? 'denied' : 'protocol',
      `${this.#address} refused: ${details} (gRPC ${status[error.code] ?? error.code})`,
      { cause: error },
    );
  }
}
