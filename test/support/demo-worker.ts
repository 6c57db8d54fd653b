import {
  Client,
  type ClientDuplexStream,
  credentials,
  Metadata,
  type MethodDefinition,
  type ServiceError,
  type StatusObject,
} from '@grpc/grpc-js';
import { type AgentMessage, messageCodec } from '../../lib/demo/agent-rpc.ts';
import { addSubscription, type Incoming, registerAgent, workerChannel } from '../../lib/demo/service.ts';

/** A worker that does what a test says, good or bad, over real gRPC. */
export class DemoWorker {
  readonly client: Client;
  /** How the channel ended. */
  readonly ended: Promise<StatusObject>;
  readonly channel: ClientDuplexStream<Buffer, Incoming>;
  readonly #metadata = new Metadata();
  readonly #inbox: AgentMessage[] = [];
  #wanted: ((message: AgentMessage) => void) | undefined;

  constructor(address: string, clientId: string | undefined, { reads = true }: { reads?: boolean } = {}) {
    if (clientId !== undefined) this.#metadata.set('client-id', clientId);
    this.client = new Client(address, credentials.createInsecure(), {
      'grpc.use_local_subchannel_pool': 1,
      'grpc.enable_http_proxy': 0,
      'grpc.max_send_message_length': -1,
    });
    this.channel = this.client.makeBidiStreamRequest(
      workerChannel.path,
      workerChannel.requestSerialize,
      workerChannel.responseDeserialize,
      this.#metadata,
    );
    this.ended = new Promise(resolve => this.channel.once('status', resolve));
    this.channel.on('error', () => {});
    if (reads) this.read();
    // grpc-js's client takes all there is until it was asked once; from then on it obeys.
    else this.channel.read(0);
  }

  /** Starts to take messages. */
  read(): void {
    this.channel.on('data', ({ message }: Incoming) => {
      const wanted = this.#wanted;
      this.#wanted = undefined;
      if (wanted) wanted(message);
      else this.#inbox.push(message);
    });
  }

  /** The next message that came. */
  next(): Promise<AgentMessage> {
    const message = this.#inbox.shift();
    if (message) return Promise.resolve(message);
    return new Promise(resolve => {
      this.#wanted = resolve;
    });
  }

  send(message: AgentMessage): void {
    this.channel.write(messageCodec.encode(message));
  }

  request(requestId: string, type: string, data: Uint8Array = new Uint8Array(1)): void {
    const payload = { dataType: 't', dataContentType: 'application/json', data };
    this.send({ request: { requestId, target: { type, key: 'default' }, payload } });
  }

  publish(topic: string, data: Uint8Array, id = '1'): void {
    this.send({ cloudEvent: { id, source: 'default', specVersion: '1.0', type: topic, binaryData: data } });
  }

  /** Rejects with the gRPC error. */
  unary<Request, Response>(method: MethodDefinition<Request, Response>, request: Request): Promise<Response> {
    return new Promise((resolve, reject) => {
      this.client.makeUnaryRequest(
        method.path,
        method.requestSerialize,
        method.responseDeserialize,
        request,
        this.#metadata,
        (error: ServiceError | null, response?: Response) => {
          if (error) reject(error);
          else resolve(response as Response);
        },
      );
    });
  }

  async register(type: string): Promise<void> {
    await this.unary(registerAgent, { type });
  }

  async subscribe(id: string, topicType: string, agentType: string): Promise<void> {
    await this.unary(addSubscription, { subscription: { id, typeSubscription: { topicType, agentType } } });
  }

  leave(): void {
    this.channel.cancel();
    this.client.close();
  }
}
