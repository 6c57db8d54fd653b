import { LockwireError } from '../../lib/core/errors.ts';
import type { AcceptedCall, CallEvents, CallField, CallStream, CallTarget } from '../../lib/core/ports.ts';
import {
  type AgentMessage,
  addSubscriptionCodec,
  messageCodec,
  registerAgentCodec,
  removeSubscriptionCodec,
  type Subscription,
} from '../../lib/demo/agent-rpc.ts';
import { GrpcEnvelopeDecoder } from '../../lib/wire/grpc/envelope.ts';
import { framed } from './dialect-frames.ts';
import { type StreamEnd, streamPair } from './dialect-streams.ts';

interface HostChannel {
  readonly clientId: string;
  readonly end: StreamEnd;
  began: boolean;
}

const field = (name: string, value: string): CallField => ({ name, value, sensitive: false });

/** An AutoGen host in memory, with AutoGen's own habits: it trusts, it drops in silence, it mixes answers up. */
export class FakeHost implements CallTarget {
  readonly channels: Map<string, HostChannel> = new Map();
  readonly types: Map<string, string> = new Map();
  readonly subscriptions: Map<string, { clientId: string; subscription: Subscription }> = new Map();
  readonly #pending = new Map<string, string>();
  /** Each header section that it was sent. */
  readonly requests: (readonly CallField[])[] = [];
  readonly messages: { readonly clientId: string; readonly message: AgentMessage }[] = [];
  /** Nobody is there. */
  down = false;
  /** Forgets a channel that ended only when told to: `cleanUp`. */
  lazy = false;
  readonly #uncleaned: string[] = [];
  /** Keeps what it is asked to itself. */
  mute = false;
  /** Unary calls wait here, to be made later. */
  slow: (() => void)[] | undefined;
  /** Takes no bytes of channels. */
  frozen = false;
  readonly windowBytes: number;

  constructor(windowBytes = 65_536) {
    this.windowBytes = windowBytes;
  }

  address(): { scheme: 'http'; authority: string } {
    return { scheme: 'http', authority: 'host.test' };
  }

  async open(_call: AcceptedCall, events: CallEvents): Promise<CallStream> {
    await Promise.resolve();
    if (this.down) throw new LockwireError('unavailable', 'connection refused');
    const [ours, theirs] = streamPair(this.windowBytes);
    theirs.start(events);
    this.#serve(ours);
    return theirs;
  }

  kill(): void {
    this.down = true;
    this.cutAll();
    this.types.clear();
    this.subscriptions.clear();
    this.#pending.clear();
  }

  /** Connections are lost; the host lives. */
  cutAll(): void {
    for (const { end } of [...this.channels.values()]) end.cut('connection reset');
  }

  cleanUp(): void {
    for (const clientId of this.#uncleaned.splice(0)) this.#forget(clientId);
  }

  send(clientId: string, message: AgentMessage): void {
    this.sendBytes(clientId, messageCodec.encode(message));
  }

  sendBytes(clientId: string, message: Uint8Array): void {
    const channel = this.channels.get(clientId);
    if (!channel) return;
    if (!channel.began) channel.end.sendHeaders([field(':status', '200')], false);
    channel.began = true;
    channel.end.write(framed(message));
  }

  #serve(end: StreamEnd): void {
    let method = '';
    let clientId = '';
    let chunks: Uint8Array[] = [];
    const decoder = new GrpcEnvelopeDecoder({
      begin: () => {
        chunks = [];
      },
      bytes: view => chunks.push(Uint8Array.from(view)),
      end: () => {
        const message = Buffer.concat(chunks);
        if (method === 'OpenChannel') this.#message(clientId, messageCodec.decode(message));
        else this.#unary(end, method, clientId, message);
      },
    });
    end.start({
      headers: fields => {
        if (fields[0]?.name !== ':method') return;
        this.requests.push(fields);
        method =
          fields
            .find(f => f.name === ':path')
            ?.value.split('/')
            .at(-1) ?? '';
        clientId = fields.find(f => f.name === 'client-id')?.value ?? '';
        if (method === 'OpenChannel') this.channels.set(clientId, { clientId, end, began: false });
      },
      data: bytes => {
        decoder.push(bytes);
        if (!this.frozen) end.consume(bytes.byteLength);
      },
      end() {},
      sent() {},
      closed: () => {
        if (method !== 'OpenChannel') return;
        this.channels.delete(clientId);
        if (this.lazy) this.#uncleaned.push(clientId);
        else this.#forget(clientId);
      },
    });
  }

  #forget(clientId: string): void {
    for (const [type, owner] of this.types) if (owner === clientId) this.types.delete(type);
    for (const [id, { clientId: owner }] of this.subscriptions)
      if (owner === clientId) this.subscriptions.delete(id);
  }

  #unary(end: StreamEnd, method: string, clientId: string, message: Uint8Array): void {
    if (this.mute) return;
    if (this.slow) return void this.slow.push(() => this.#unary(end, method, clientId, message));
    const refuse = (text: string): void =>
      end.sendHeaders(
        [field(':status', '200'), field('grpc-status', '3'), field('grpc-message', text)],
        true,
      );
    if (method === 'RegisterAgent') {
      const { type } = registerAgentCodec.decode(message);
      const owner = this.types.get(type);
      if (owner !== undefined) return refuse(`Agent type ${type} already registered with client ${owner}.`);
      this.types.set(type, clientId);
    }
    if (method === 'AddSubscription') {
      const { subscription } = addSubscriptionCodec.decode(message);
      if (!subscription || this.subscriptions.has(subscription.id))
        return refuse('Subscription already exists');
      this.subscriptions.set(subscription.id, { clientId, subscription });
    }
    if (method === 'RemoveSubscription')
      this.subscriptions.delete(removeSubscriptionCodec.decode(message).id);
    end.sendHeaders([field(':status', '200')], false);
    end.write(framed(new Uint8Array(0)));
    end.end([field('grpc-status', '0')]);
  }

  #message(clientId: string, message: AgentMessage): void {
    this.messages.push({ clientId, message });
    if (this.mute) return;
    const { request, response, cloudEvent } = message;
    if (request) {
      const target = this.types.get(request.target?.type ?? '');
      if (target === undefined) return;
      this.#pending.set(`${target} ${request.requestId}`, clientId);
      this.send(target, message);
    } else if (response) {
      const caller = this.#pending.get(`${clientId} ${response.requestId}`);
      this.#pending.delete(`${clientId} ${response.requestId}`);
      if (caller !== undefined) this.send(caller, message);
    } else if (cloudEvent) {
      const recipients = new Set<string>();
      for (const { subscription } of this.subscriptions.values()) {
        const { typeSubscription: exact, typePrefixSubscription: prefix } = subscription;
        const fits = exact
          ? exact.topicType === cloudEvent.type
          : cloudEvent.type.startsWith(prefix?.topicTypePrefix ?? '\0');
        const owner = this.types.get(exact?.agentType ?? prefix?.agentType ?? '');
        if (fits && owner !== undefined) recipients.add(owner);
      }
      for (const recipient of recipients) this.send(recipient, message);
    }
  }
}
