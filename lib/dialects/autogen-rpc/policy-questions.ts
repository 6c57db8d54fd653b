import { safeText } from '../../core/bytes.ts';
import type { AcceptedCall, Decision } from '../../core/ports.ts';
import type { AgentName, Subscription } from './messages.ts';
import type { Operation } from './metrics.ts';

/** What is asked of the policy: an operation on one thing of the target. */
export interface Question {
  readonly operation: Operation;
  readonly type: 'AgentType' | 'TopicType' | 'Target';
  /** The agent or topic type; '' for the target itself. */
  readonly name: string;
  readonly context: Readonly<Record<string, string | boolean>>;
}

export function aboutAgent(operation: 'rpc' | 'respond', { type, key }: AgentName): Question {
  return { operation, type: 'AgentType', name: type, context: { agentType: type, agentKey: key } };
}

export function aboutRegistration(type: string): Question {
  return { operation: 'register', type: 'AgentType', name: type, context: { agentType: type } };
}

export function aboutPublish(topicType: string, topicSource: string): Question {
  return { operation: 'publish', type: 'TopicType', name: topicType, context: { topicType, topicSource } };
}

/** A prefix is a resource of its own, `target/prefix*`: a permit for the topic of that very name does not open it. */
export function aboutSubscription(
  operation: 'subscribe' | 'unsubscribe',
  { topic, prefix, agentType }: Subscription,
): Question {
  const context = { topicType: topic, agentType };
  return prefix
    ? { operation, type: 'TopicType', name: `${topic}*`, context: { ...context, prefix: true } }
    : { operation, type: 'TopicType', name: topic, context };
}

export const aboutList: Question = { operation: 'list', type: 'Target', name: '', context: {} };

/** A question of more characters is asked each time: a key or a source may be as long as a message, the memory may not. */
const maxRememberedChars = 512;

/** Decisions of one client, remembered until the rules change. */
export class Decisions {
  readonly #target: string;
  readonly #maxEntries: number;
  readonly #known = new Map<string, Decision>();
  #generation = Number.NaN;
  #call: AcceptedCall | undefined;

  constructor(target: string, maxEntries: number) {
    this.#target = target;
    this.#maxEntries = maxEntries;
  }

  get size(): number {
    return this.#known.size;
  }

  ask(call: AcceptedCall, question: Question): Decision {
    const generation = call.generation();
    // Generations of two calls can't be compared: they may have come over two connections.
    if (generation !== this.#generation || call !== this.#call) {
      this.#known.clear();
      this.#call = call;
      this.#generation = generation;
    }
    const { operation, type, name, context } = question;
    const key = JSON.stringify([operation, name, context]);
    const known = this.#known.get(key);
    if (known) return known;
    const id = type === 'Target' ? this.#target : `${this.#target}/${name}`;
    const decision = call.decide({ type, id }, { operation, ...context });
    if (key.length <= maxRememberedChars) this.#remember(key, decision);
    return decision;
  }

  /** The first that was remembered makes room. */
  #remember(key: string, decision: Decision): void {
    if (this.#known.size >= this.#maxEntries) {
      const [oldest] = this.#known.keys();
      if (oldest !== undefined) this.#known.delete(oldest);
    }
    this.#known.set(key, decision);
  }
}

/** One safe line for whoever is refused. */
export function denialText({ operation, type, name }: Question, { rule, id }: Decision): string {
  const what =
    type === 'AgentType'
      ? ` type=${safeText(name, 128)}`
      : type === 'TopicType'
        ? ` topic=${safeText(name, 128)}`
        : '';
  return `denied: ${operation}${what} (${rule}), decision ${id}`;
}
