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
import { judgeAnew } from './judge-anew.ts';
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
import type { Answer } from './unary-call.ts';

/** A status, and how the call is counted. */
interface Outcome {
  readonly status: Status;
  readonly fate: Fate;
}

/** Who asks. */
interface Asker {
  readonly client: Client;
  readonly call: AcceptedCall;
  /** Whether the answer is still waited for. */
  wanted(): boolean;
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

  async handle(method: UnaryMethod, asker: Asker, message: Uint8Array): Promise<Answer> {
    const operation = operations[method];
    const { status, fate, list } = await this.#decide(method, asker, message);
    this.#hub.count(operation, fate);
    if (status.code !== GrpcStatus.ok) return { status };
    return { status, message: list ?? emptyMessage };
  }

  async #decide(
    method: UnaryMethod,
    asker: Asker,
    message: Uint8Array,
  ): Promise<Outcome & { readonly list?: Uint8Array }> {
    try {
      if (method === 'RegisterAgent')
        return await this.#register(asker, decodeRegisterAgentRequest(message).type);
      if (method === 'AddSubscription') return await this.#subscribe(asker, readAddition(message));
      if (method === 'RemoveSubscription')
        return await this.#unsubscribe(asker, decodeRemoveSubscriptionRequest(message).id);
      checkEmpty(message, 'GetSubscriptionsRequest');
      return this.#list(asker);
    } catch (error) {
      if (!(error instanceof LockwireError)) throw error;
      const code = error.code === 'limit' ? GrpcStatus.resourceExhausted : GrpcStatus.invalidArgument;
      return { status: { code, text: messageOf(error) }, fate: 'invalid' };
    }
  }

  async #register(asker: Asker, type: string): Promise<Outcome> {
    const { registry, options } = this.#hub;
    const { client } = asker;
    this.#checkName('agent type', type);
    const question = aboutRegistration(type);
    const denied = this.#denied(asker, question);
    if (denied) return denied;
    if (registry.takenFrom(client, type)) return taken(type);
    return await this.#atHost(asker, question, async ask => {
      if (registry.takenFrom(client, type)) return taken(type);
      if (!client.types.has(type) && client.types.size >= options.maxAgentTypesPerClient)
        throw new LockwireError(
          'limit',
          `this worker has ${client.types.size} agent types, the most there can be`,
        );
      // The host may not yet have cleaned up after a worker of ours that had it and is gone.
      const before = registry.ownerOf(type);
      const patiently = (before !== undefined && before !== client) || this.#hub.sweeping;
      registry.beginAsking(client, type);
      try {
        const status = await ask('RegisterAgent', encodeRegisterAgentRequest({ type }), patiently);
        if (isTaken(status.code)) return taken(type);
        if (status.code !== GrpcStatus.ok) return failed(status, type);
        registry.own(client, type)?.types.delete(type);
        client.types.add(type);
        return done;
      } finally {
        registry.endAsking(client, type);
      }
    });
  }

  async #subscribe(asker: Asker, subscription: Subscription): Promise<Outcome> {
    const { registry, options } = this.#hub;
    const { client } = asker;
    const { id, topic, prefix, agentType } = subscription;
    this.#checkName('subscription id', id);
    this.#checkName('agent type', agentType);
    if (prefix) this.#checkLength('topic type prefix', topic);
    else this.#checkName('topic type', topic);
    const question = aboutSubscription('subscribe', subscription);
    const denied = this.#denied(asker, question);
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
    return await this.#atHost(asker, question, async ask => {
      const subscriber = registry.subscriberOf(id);
      const before = client.subscriptions.get(id);
      if ((subscriber !== undefined && subscriber !== client) || (before && !isSame(before, subscription)))
        return refused(GrpcStatus.alreadyExists, `subscription ${safeText(id, 128)} exists`, 'invalid');
      if (!before && client.subscriptions.size >= options.maxSubscriptionsPerClient)
        throw new LockwireError(
          'limit',
          `this worker has ${client.subscriptions.size} subscriptions, the most there can be`,
        );
      const status = await ask('AddSubscription', writeAddition(subscription), false);
      if (status.code !== GrpcStatus.ok) return failed(status, id);
      registry.subscribe(client, subscription);
      client.subscriptions.set(id, subscription);
      return done;
    });
  }

  async #unsubscribe(asker: Asker, id: string): Promise<Outcome> {
    const { client } = asker;
    const subscription = client.subscriptions.get(id);
    // Whether another has it is not told.
    const none = refused(
      GrpcStatus.notFound,
      `this worker has no subscription ${safeText(id, 128)}`,
      'invalid',
    );
    if (subscription === undefined) return none;
    const question = aboutSubscription('unsubscribe', subscription);
    const denied = this.#denied(asker, question);
    if (denied) return denied;
    return await this.#atHost(asker, question, async ask => {
      // A change of the rules may have taken it, and somebody else the id.
      if (client.subscriptions.get(id) !== subscription) return none;
      const status = await ask('RemoveSubscription', encodeRemoveSubscriptionRequest({ id }), false);
      if (status.code !== GrpcStatus.ok) return failed(status, id);
      this.#hub.unsubscribe(client, id);
      return done;
    });
  }

  /** The client's own: the host would give everybody's. */
  #list(asker: Asker): Outcome & { readonly list?: Uint8Array } {
    const denied = this.#denied(asker, aboutList);
    if (denied) return denied;
    return { ...done, list: writeList(asker.client.subscriptions.values()) };
  }

  /**
   * In the client's turn, once the host's side of its channel stands. Until then, and until the host answers, the rules
   * may change and the client may go: what nobody waits for is not begun, and what is not permitted any more is taken back.
   */
  async #atHost(
    asker: Asker,
    question: Question,
    work: (
      ask: (method: UnaryMethod, message: Uint8Array, patiently: boolean) => Promise<Status>,
    ) => Promise<Outcome>,
  ): Promise<Outcome> {
    const { options } = this.#hub;
    const { client, call } = asker;
    const { channel } = client;
    if (channel && !(await new Promise<boolean>(resolve => channel.settled(resolve))))
      return refused(GrpcStatus.unavailable, 'the AutoGen host can’t be reached now', 'not-held');
    return await client.inTurn(options.waitingCalls, async () => {
      if (!asker.wanted()) return refused(GrpcStatus.cancelled, 'nobody waits for it any more', 'not-held');
      const denied = this.#denied(asker, question);
      if (denied) return denied;
      const generation = call.generation();
      const { hostId, epoch } = client;
      const outcome = await work((method, message, patiently) =>
        this.#ask(client, { call, method, hostId, message }, patiently),
      );
      if (outcome.status.code !== GrpcStatus.ok) return outcome;
      client.channel?.prove();
      if (client.channel === undefined && client.epoch === epoch) client.loose = true;
      // The channel went in the meantime: what the host cleaned up may have been before this.
      if (client.epoch !== epoch) this.#hub.sweep(client.call, hostId);
      if (call.generation() !== generation) judgeAnew(this.#hub, client);
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

  #denied({ client, call }: Asker, question: Question): Outcome | undefined {
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

function isSame(a: Subscription, b: Subscription): boolean {
  return a.topic === b.topic && a.prefix === b.prefix && a.agentType === b.agentType;
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
