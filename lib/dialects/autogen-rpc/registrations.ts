import { safeText } from '../../core/bytes.ts';
import { LockwireError, messageOf } from '../../core/errors.ts';
import type { AcceptedCall } from '../../core/ports.ts';
import {
  checkEmpty,
  decodeRegisterAgentRequest,
  decodeRemoveSubscriptionRequest,
  encodeRegisterAgentRequest,
  encodeRemoveSubscriptionRequest,
} from '../../wire/autogen/unary.ts';
import { GrpcStatus } from '../../wire/grpc/status.ts';
import type { Client } from './client.ts';
import { okStatus, type Status } from './grpc-answer.ts';
import { callHost } from './host-unary.ts';
import type { Hub } from './hub.ts';
import { emptyMessage, readAddition, type Subscription, writeAddition, writeList } from './messages.ts';
import type { Fate, Operation } from './metrics.ts';
import {
  aboutList,
  aboutRegistration,
  aboutSubscription,
  denialText,
  type Question,
} from './policy-questions.ts';
import { isTaken, pause } from './replay.ts';
import { scrubIds } from './scrub.ts';
import { sweep } from './sweep.ts';
import type { Answer } from './unary-call.ts';

/** A status, and how the call is counted. */
interface Outcome {
  readonly status: Status;
  readonly fate: Fate;
}

const done: Outcome = { status: okStatus, fate: 'passed' };
const methods = ['RegisterAgent', 'AddSubscription', 'RemoveSubscription', 'GetSubscriptions'] as const;
export type UnaryMethod = (typeof methods)[number];

const operations: Readonly<Record<UnaryMethod, Operation>> = {
  RegisterAgent: 'register',
  AddSubscription: 'subscribe',
  RemoveSubscription: 'unsubscribe',
  GetSubscriptions: 'list',
};

export function isUnaryMethod(method: string): method is UnaryMethod {
  return (methods as readonly string[]).includes(method);
}

/** What a client registers, subscribes to and lists: each is decided about and then done at the host in its name. */
export class Registrations {
  readonly #hub: Hub;

  constructor(hub: Hub) {
    this.#hub = hub;
  }

  async handle(
    method: UnaryMethod,
    client: Client,
    call: AcceptedCall,
    message: Uint8Array,
  ): Promise<Answer> {
    const operation = operations[method];
    const { status, fate, list } = await this.#decide(method, client, call, message);
    this.#hub.count(operation, fate);
    if (status.code !== GrpcStatus.ok) return { status };
    return { status, message: list ?? emptyMessage };
  }

  async #decide(
    method: UnaryMethod,
    client: Client,
    call: AcceptedCall,
    message: Uint8Array,
  ): Promise<Outcome & { readonly list?: Uint8Array }> {
    try {
      if (method === 'RegisterAgent')
        return await this.#register(client, call, decodeRegisterAgentRequest(message).type);
      if (method === 'AddSubscription') return await this.#subscribe(client, call, readAddition(message));
      if (method === 'RemoveSubscription')
        return await this.#unsubscribe(client, call, decodeRemoveSubscriptionRequest(message).id);
      checkEmpty(message, 'GetSubscriptionsRequest');
      return this.#list(client, call);
    } catch (error) {
      if (!(error instanceof LockwireError)) throw error;
      const code = error.code === 'limit' ? GrpcStatus.resourceExhausted : GrpcStatus.invalidArgument;
      return { status: { code, text: messageOf(error) }, fate: 'invalid' };
    }
  }

  async #register(client: Client, call: AcceptedCall, type: string): Promise<Outcome> {
    const { registry, options } = this.#hub;
    this.#checkName('agent type', type);
    const denied = this.#denied(client, call, aboutRegistration(type));
    if (denied) return denied;
    if (registry.takenFrom(client, type)) return taken(type);
    if (!client.types.has(type) && client.types.size >= options.maxAgentTypesPerClient)
      throw new LockwireError(
        'limit',
        `this worker has ${client.types.size} agent types, the most there can be`,
      );
    return await this.#atHost(client, call, async ask => {
      if (registry.takenFrom(client, type)) return taken(type);
      // The host may not yet have cleaned up after a worker of ours that had it and is gone.
      const before = registry.ownerOf(type);
      const status = await ask(
        'RegisterAgent',
        encodeRegisterAgentRequest({ type }),
        before !== undefined && before !== client,
      );
      if (isTaken(status.code)) return taken(type);
      if (status.code !== GrpcStatus.ok) return failed(status, type);
      registry.own(client, type)?.types.delete(type);
      client.types.add(type);
      return done;
    });
  }

  async #subscribe(client: Client, call: AcceptedCall, subscription: Subscription): Promise<Outcome> {
    const { registry, options } = this.#hub;
    const { id, topic, prefix, agentType } = subscription;
    this.#checkName('subscription id', id);
    this.#checkName('agent type', agentType);
    if (prefix) this.#checkLength('topic type prefix', topic);
    else this.#checkName('topic type', topic);
    const denied = this.#denied(client, call, aboutSubscription('subscribe', subscription));
    if (denied) return denied;
    if (prefix && topic === '' && !options.emptyPrefix)
      return refused(
        GrpcStatus.permissionDenied,
        'denied: subscribe to the prefix "", which hears every topic',
        'denied',
      );
    const owner = registry.ownerOf(agentType);
    if (owner !== undefined && owner.principal !== client.principal)
      return refused(
        GrpcStatus.permissionDenied,
        `denied: subscribe agent type ${safeText(agentType, 128)}, which another has`,
        'denied',
      );
    const subscriber = registry.subscriberOf(id);
    if (subscriber !== undefined && subscriber !== client)
      return refused(GrpcStatus.alreadyExists, `subscription ${safeText(id, 128)} exists`, 'invalid');
    if (!client.subscriptions.has(id) && client.subscriptions.size >= options.maxSubscriptionsPerClient)
      throw new LockwireError(
        'limit',
        `this worker has ${client.subscriptions.size} subscriptions, the most there can be`,
      );
    return await this.#atHost(client, call, async ask => {
      const status = await ask('AddSubscription', writeAddition(subscription), false);
      if (status.code !== GrpcStatus.ok) return failed(status, id);
      registry.subscribe(client, subscription);
      client.subscriptions.set(id, subscription);
      return done;
    });
  }

  async #unsubscribe(client: Client, call: AcceptedCall, id: string): Promise<Outcome> {
    const subscription = client.subscriptions.get(id);
    // Whether another has it is not told.
    if (subscription === undefined)
      return refused(GrpcStatus.notFound, `this worker has no subscription ${safeText(id, 128)}`, 'invalid');
    const denied = this.#denied(client, call, aboutSubscription('unsubscribe', subscription));
    if (denied) return denied;
    return await this.#atHost(client, call, async ask => {
      const status = await ask('RemoveSubscription', encodeRemoveSubscriptionRequest({ id }), false);
      if (status.code !== GrpcStatus.ok) return failed(status, id);
      this.#hub.unsubscribe(client, id);
      return done;
    });
  }

  /** The client's own: the host would give everybody's. */
  #list(client: Client, call: AcceptedCall): Outcome & { readonly list?: Uint8Array } {
    const denied = this.#denied(client, call, aboutList);
    if (denied) return denied;
    return { ...done, list: writeList(client.subscriptions.values()) };
  }

  /** In the client's turn, once the host's side of its channel stands. */
  async #atHost(
    client: Client,
    call: AcceptedCall,
    work: (
      ask: (method: UnaryMethod, message: Uint8Array, patiently: boolean) => Promise<Status>,
    ) => Promise<Outcome>,
  ): Promise<Outcome> {
    const { options, ports } = this.#hub;
    const { channel } = client;
    if (channel && !(await new Promise<boolean>(resolve => channel.settled(resolve))))
      return refused(GrpcStatus.unavailable, 'the AutoGen host can’t be reached now', 'not-held');
    return await client.inTurn(options.waitingCalls, async () => {
      const { hostId, epoch } = client;
      const outcome = await work((method, message, patiently) =>
        this.#ask(client, { call, method, hostId, message }, patiently),
      );
      if (outcome.status.code !== GrpcStatus.ok) return outcome;
      client.channel?.prove();
      if (client.channel === undefined && client.epoch === epoch) client.loose = true;
      // The channel went in the meantime: what the host cleaned up may have been before this.
      if (client.epoch !== epoch) void sweep(ports, client, hostId);
      return outcome;
    });
  }

  async #ask(
    client: Client,
    asked: {
      readonly call: AcceptedCall;
      readonly method: string;
      readonly hostId: string;
      readonly message: Uint8Array;
    },
    patiently: boolean,
  ): Promise<Status> {
    const { options, ports } = this.#hub;
    const { clock, target } = ports;
    const untilMs = clock.monotonic() + options.unaryTimeoutMs / 2;
    const buffers = ports.buffers.share(client.principal);
    try {
      for (;;) {
        const status = await callHost(
          { clock, target, buffers, maxAnswerBytes: options.maxMessageBytes.down },
          { ...asked, timeoutMs: options.unaryTimeoutMs },
        );
        if (!patiently || !isTaken(status.code) || clock.monotonic() >= untilMs) return status;
        await pause(clock, options.firstRetryMs);
      }
    } finally {
      buffers.leave();
    }
  }

  #denied(client: Client, call: AcceptedCall, question: Question): Outcome | undefined {
    const decision = client.decisions.ask(call, question);
    if (decision.allow) return undefined;
    const text = denialText(question, decision);
    this.#hub.notice(client, { code: 'denied', text, decision: decision.id });
    return { status: { code: GrpcStatus.permissionDenied, text, decision: decision.id }, fate: 'denied' };
  }

  #checkName(what: string, name: string): void {
    if (name === '') throw new LockwireError('protocol', `${what} is empty`);
    this.#checkLength(what, name);
  }

  #checkLength(what: string, name: string): void {
    const { maxNameBytes } = this.#hub.options;
    const bytes = Buffer.byteLength(name);
    if (bytes > maxNameBytes)
      throw new LockwireError('protocol', `${what} is ${bytes} bytes long, the most is ${maxNameBytes}`);
  }
}

/** By whom is not told. */
function taken(type: string): Outcome {
  return refused(
    GrpcStatus.alreadyExists,
    `agent type ${safeText(type, 128)} is already registered`,
    'invalid',
  );
}

function refused(code: number, text: string, fate: Fate): Outcome {
  return { status: { code, text }, fate };
}

function failed({ code, text }: Status, known: string): Outcome {
  return refused(code, scrubIds(text, [known]), 'invalid');
}
