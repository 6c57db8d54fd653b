import type { AcceptedCall, CallField, Decision } from '../../lib/core/ports.ts';
import { noMetrics, silentLog } from '../../lib/core/ports.ts';
import type { CloseReason, Principal } from '../../lib/core/session.ts';
import {
  type AgentMessage,
  addSubscriptionCodec,
  type Codec,
  messageCodec,
  registerAgentCodec,
  removeSubscriptionCodec,
  type Subscription,
  subscriptionsCodec,
} from '../../lib/demo/agent-rpc.ts';
import { type AutogenDialect, createAutogenDialect } from '../../lib/dialects/autogen-rpc/dialect.ts';
import { AutogenMetrics } from '../../lib/dialects/autogen-rpc/metrics.ts';
import type { AutogenOptions, BufferBudget } from '../../lib/dialects/autogen-rpc/options.ts';
import { HeldBudget } from '../../lib/relay/http2/held-budget.ts';
import { GrpcEnvelopeDecoder } from '../../lib/wire/grpc/envelope.ts';
import { decodeStatusMessage } from '../../lib/wire/grpc/status.ts';
import { framed } from './dialect-frames.ts';
import { FakeHost } from './dialect-host.ts';
import { type StreamEnd, settled, streamPair } from './dialect-streams.ts';
import { ManualClock } from './tunnel-pair.ts';

export interface Asked {
  readonly principal: string;
  readonly type: string;
  readonly id: string;
  readonly context: Readonly<Record<string, string | boolean | number>>;
}

export interface WorldOptions {
  readonly options?: Partial<AutogenOptions>;
  readonly windowBytes?: number;
  readonly buffers?: BufferBudget;
}

/** A dialect, an AutoGen host behind it, and workers before it. */
export class World {
  readonly clock: ManualClock = new ManualClock();
  readonly host: FakeHost;
  readonly dialect: AutogenDialect;
  /** Denies what it answers true for. */
  deny: (asked: Asked) => boolean = () => false;
  generation = 1;
  readonly asked: Asked[] = [];
  readonly counts: Map<string, number> = new Map();
  readonly #windowBytes: number;

  constructor({ options = {}, windowBytes = 65_536, buffers = new HeldBudget() }: WorldOptions = {}) {
    this.#windowBytes = windowBytes;
    this.host = new FakeHost(windowBytes);
    const metrics = new AutogenMetrics({
      ...noMetrics,
      counters:
        () =>
        (...values) => ({
          add: (amount = 1) => {
            const key = values.slice(1).join(' ');
            this.counts.set(key, (this.counts.get(key) ?? 0) + amount);
          },
        }),
    });
    this.dialect = createAutogenDialect(
      { target: 'autogen', ...options },
      { clock: this.clock, log: silentLog, metrics, target: this.host, buffers },
    );
  }

  count(operation: string, fate: string): number {
    return this.counts.get(`${operation} ${fate}`) ?? 0;
  }

  /** Time goes on in small steps, with all that each one sets going. */
  async pass(ms: number, stepMs = 100): Promise<void> {
    for (let passed = 0; passed < ms; passed += stepMs) {
      this.clock.advance(Math.min(stepMs, ms - passed));
      await settled();
    }
  }

  worker(clientId: string, who: { readonly subject?: string; readonly session?: string } = {}): Worker {
    return new Worker(this, this.#windowBytes, clientId, who.subject ?? 'alice', who.session ?? 'session-1');
  }

  decide(principal: Principal, type: string, id: string, context: Asked['context']): Decision {
    const subject = principal.kind === 'user' ? principal.subject : principal.name;
    const asked = { principal: subject, type, id, context };
    this.asked.push(asked);
    const deny = this.deny(asked);
    return deny
      ? { allow: false, id: '7f3a91c2', rule: 'default-deny' }
      : { allow: true, id: '', rule: 'all' };
  }
}

export interface Ending {
  readonly status: number;
  readonly text: string;
  readonly decision: string | undefined;
}

export interface Opened {
  readonly end: StreamEnd;
  readonly headers: (readonly CallField[])[];
  readonly messages: Uint8Array[];
  ending: Ending | undefined;
  reset: number | undefined;
  onMessage: (bytes: Uint8Array) => void;
  /** Takes nothing that comes. */
  frozen: boolean;
  withheld: number;
}

/** An AutoGen runtime as the gateway sees it. */
export class Worker {
  readonly notices: CloseReason[] = [];
  readonly received: AgentMessage[] = [];
  channel: Opened | undefined;
  /** Answers what it is asked. */
  answer: ((request: NonNullable<AgentMessage['request']>) => AgentMessage | undefined) | undefined;
  readonly #world: World;
  readonly #windowBytes: number;
  readonly #clientId: string;
  readonly #principal: Principal;
  readonly #session: string;

  constructor(world: World, windowBytes: number, clientId: string, subject: string, session: string) {
    this.#world = world;
    this.#windowBytes = windowBytes;
    this.#clientId = clientId;
    this.#principal = { kind: 'user', issuer: 'corp', subject, groups: [] };
    this.#session = session;
  }

  get clientId(): string {
    return this.#clientId;
  }

  /** How the gateway calls it to the host. */
  get hostId(): string {
    const last = this.#world.host.requests.findLast(r =>
      r.some(f => f.name === 'x-test' && f.value === this.#name),
    );
    return last?.find(f => f.name === 'client-id')?.value ?? '';
  }

  async open(): Promise<Opened> {
    const channel = this.call('OpenChannel');
    channel.onMessage = bytes => this.#receive(messageCodec.decode(bytes));
    this.channel = channel;
    await settled();
    return channel;
  }

  send(message: AgentMessage): void {
    this.sendBytes(messageCodec.encode(message));
  }

  sendBytes(message: Uint8Array): void {
    this.channel?.end.write(framed(message));
  }

  rpc(requestId: string, type: string, more: { source?: string; bytes?: number } = {}): void {
    const { source, bytes = 3 } = more;
    this.send({
      request: {
        requestId,
        target: { type, key: 'default' },
        source: source === undefined ? null : { type: source, key: 'default' },
        payload: { dataType: 'Text', dataContentType: 'application/json', data: Buffer.alloc(bytes, 0x61) },
      },
    });
  }

  publish(topic: string, more: { sender?: string; bytes?: number; id?: string } = {}): void {
    const { sender, bytes = 3, id = 'event-1' } = more;
    this.send({
      cloudEvent: {
        id,
        source: 'default',
        specVersion: '1.0',
        type: topic,
        attributes:
          sender === undefined
            ? {}
            : {
                agagentsendertype: { ceString: sender },
                agagentsenderkey: { ceString: sender === 'unknown' ? 'unknown' : 'default' },
              },
        binaryData: Buffer.alloc(bytes, 0x62),
      },
    });
  }

  register(type: string): Promise<Ending> {
    return this.unary('RegisterAgent', registerAgentCodec, { type });
  }

  subscribe(id: string, topic: string, agentType: string): Promise<Ending> {
    const subscription: Subscription = { id, typeSubscription: { topicType: topic, agentType } };
    return this.unary('AddSubscription', addSubscriptionCodec, { subscription });
  }

  subscribePrefix(id: string, prefix: string, agentType: string): Promise<Ending> {
    const subscription: Subscription = { id, typePrefixSubscription: { topicTypePrefix: prefix, agentType } };
    return this.unary('AddSubscription', addSubscriptionCodec, { subscription });
  }

  unsubscribe(id: string): Promise<Ending> {
    return this.unary('RemoveSubscription', removeSubscriptionCodec, { id });
  }

  async list(): Promise<readonly string[]> {
    const call = this.call('GetSubscriptions');
    call.end.write(framed(new Uint8Array(0)));
    call.end.end();
    await settled();
    const [message] = call.messages;
    return message ? subscriptionsCodec.decode(message).subscriptions.map(s => s.id) : [];
  }

  async unary<T>(method: string, codec: Codec<T>, message: T): Promise<Ending> {
    return await this.unaryBytes(method, codec.encode(message));
  }

  async unaryBytes(method: string, message: Uint8Array): Promise<Ending> {
    const call = this.call(method);
    call.end.write(framed(message));
    call.end.end();
    await settled();
    return call.ending ?? { status: -1, text: 'no answer yet', decision: undefined };
  }

  /** Answers to its RPCs, by its own ids: the error, or '' where there was none. */
  get answers(): Record<string, string> {
    const found: Record<string, string> = {};
    for (const { response } of this.received) if (response) found[response.requestId] = response.error ?? '';
    return found;
  }

  get requests(): NonNullable<AgentMessage['request']>[] {
    return this.received.flatMap(({ request }) => (request ? [request] : []));
  }

  get events(): string[] {
    return this.received.flatMap(({ cloudEvent }) => (cloudEvent ? [cloudEvent.id] : []));
  }

  call(method: string, fields: readonly CallField[] = [], path = `/agents.AgentRpc/${method}`): Opened {
    const [ours, theirs] = streamPair(this.#windowBytes);
    const opened: Opened = {
      end: ours,
      headers: [],
      messages: [],
      ending: undefined,
      reset: undefined,
      onMessage: () => undefined,
      frozen: false,
      withheld: 0,
    };
    let chunks: Uint8Array[] = [];
    const decoder = new GrpcEnvelopeDecoder(
      {
        begin: () => {
          chunks = [];
        },
        bytes: view => chunks.push(Uint8Array.from(view)),
        end: () => {
          const message = Buffer.concat(chunks);
          opened.messages.push(message);
          opened.onMessage(message);
        },
      },
      64 * 1_048_576,
    );
    ours.start({
      headers: section => {
        opened.headers.push(section);
        const status = section.find(f => f.name === 'grpc-status')?.value;
        if (status === undefined) return;
        opened.ending = {
          status: Number(status),
          text: decodeStatusMessage(section.find(f => f.name === 'grpc-message')?.value ?? ''),
          decision: section.find(f => f.name === 'x-lockwire-decision')?.value,
        };
      },
      data: bytes => {
        decoder.push(bytes);
        if (opened.frozen) opened.withheld += bytes.byteLength;
        else ours.consume(bytes.byteLength);
      },
      end() {},
      sent() {},
      closed: cut => {
        opened.reset = cut?.code;
      },
    });
    const call: AcceptedCall = {
      path,
      fields: [
        { name: 'client-id', value: this.#clientId, sensitive: false },
        { name: 'x-test', value: this.#name, sensitive: false },
        { name: 'user-agent', value: 'grpc-python-asyncio/1.70', sensitive: false },
        ...fields,
      ].filter(f => f.value !== ''),
      stream: theirs,
      principal: () => this.#principal,
      session: this.#session,
      generation: () => this.#world.generation,
      decide: ({ type, id }, context) => this.#world.decide(this.#principal, type, id, context),
      notice: reason => this.notices.push(reason),
    };
    this.taken = this.#world.dialect.take(call);
    return opened;
  }

  taken = true;

  get #name(): string {
    const subject = this.#principal.kind === 'user' ? this.#principal.subject : '';
    return `${subject} ${this.#session} ${this.#clientId}`;
  }

  #receive(message: AgentMessage): void {
    this.received.push(message);
    const { request } = message;
    const response = request ? this.answer?.(request) : undefined;
    if (response) this.send(response);
  }
}

/** Answers each request with its own payload. */
export function echo(request: NonNullable<AgentMessage['request']>): AgentMessage {
  return { response: { requestId: request.requestId, payload: request.payload ?? null, error: '' } };
}

/** Two workers of two people, the second one with an agent type that echoes. */
export async function callerAndCallee(
  options: WorldOptions = {},
): Promise<{ world: World; caller: Worker; callee: Worker }> {
  const world = new World(options);
  const caller = world.worker('caller-id', { subject: 'alice', session: 'session-a' });
  const callee = world.worker('callee-id', { subject: 'bob', session: 'session-b' });
  callee.answer = echo;
  await caller.open();
  await callee.open();
  await callee.register('echo');
  return { world, caller, callee };
}
