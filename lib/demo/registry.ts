import { safeText } from '../core/bytes.ts';
import { LockwireError } from '../core/errors.ts';
import type { Subscription } from './agent-rpc.ts';
import type { HostLimits } from './options.ts';

interface Entry<Owner> {
  readonly owner: Owner;
  readonly subscription: Subscription;
  readonly agentType: string;
  /** The topic type, or its beginning. */
  readonly topic: string;
  readonly prefix: boolean;
}

/**
 * Which worker has which agent types, and which topics wake them. Types and subscriptions are unique among all
 * workers, as in AutoGen; unlike there, they are seen and removed by their owner only.
 */
export class Registry<Owner extends object> {
  readonly #limits: HostLimits;
  readonly #owners = new Map<string, Owner>();
  readonly #entries = new Map<string, Entry<Owner>>();
  /** `(kind, topic, agent type)` of each subscription: a second one alike is refused. */
  readonly #meanings = new Set<string>();
  readonly #byTopic = new Map<string, Set<Entry<Owner>>>();
  readonly #prefixes = new Set<Entry<Owner>>();

  constructor(limits: HostLimits) {
    this.#limits = limits;
  }

  get agentTypes(): number {
    return this.#owners.size;
  }

  get subscriptions(): number {
    return this.#entries.size;
  }

  /** The worker that runs agents of this type. */
  ownerOf(agentType: string): Owner | undefined {
    return this.#owners.get(agentType);
  }

  register(owner: Owner, agentType: string): void {
    const { maxAgentTypes } = this.#limits;
    this.#checkName('agent type', agentType);
    if (this.#owners.has(agentType))
      throw new LockwireError('usage', `agent type ${safeText(agentType)} is already registered`);
    if (this.#owners.size >= maxAgentTypes)
      throw new LockwireError('limit', `${maxAgentTypes} agent types are registered, the most there can be`);
    this.#owners.set(agentType, owner);
  }

  subscribe(owner: Owner, subscription: Subscription): void {
    const { maxSubscriptions } = this.#limits;
    const entry = this.#entry(owner, subscription);
    const meaning = meaningOf(entry);
    if (this.#entries.has(subscription.id) || this.#meanings.has(meaning))
      throw new LockwireError('usage', `subscription ${safeText(subscription.id)} already exists`);
    if (this.#entries.size >= maxSubscriptions)
      throw new LockwireError('limit', `there are ${maxSubscriptions} subscriptions, the most there can be`);
    this.#entries.set(subscription.id, entry);
    this.#meanings.add(meaning);
    if (entry.prefix) this.#prefixes.add(entry);
    else this.#atTopic(entry.topic).add(entry);
  }

  /** False where the owner has no such subscription; whether another has it is not told. */
  unsubscribe(owner: Owner, id: string): boolean {
    const entry = this.#entries.get(id);
    if (entry?.owner !== owner) return false;
    this.#remove(entry);
    return true;
  }

  subscriptionsOf(owner: Owner): Subscription[] {
    return [...this.#entries.values()].filter(e => e.owner === owner).map(e => e.subscription);
  }

  /** The workers whose agents a topic wakes, each once: a worker finds its own agents itself. */
  recipients(topicType: string): Set<Owner> {
    const found = new Set<Owner>();
    for (const entry of this.#byTopic.get(topicType) ?? []) this.#addOwner(found, entry);
    for (const entry of this.#prefixes) if (topicType.startsWith(entry.topic)) this.#addOwner(found, entry);
    return found;
  }

  /** The worker is gone: so are its agent types and its subscriptions. */
  drop(owner: Owner): void {
    for (const [type, held] of this.#owners) if (held === owner) this.#owners.delete(type);
    for (const entry of this.#entries.values()) if (entry.owner === owner) this.#remove(entry);
  }

  #entry(owner: Owner, subscription: Subscription): Entry<Owner> {
    const { id, typeSubscription, typePrefixSubscription } = subscription;
    this.#checkName('subscription id', id);
    if (typeSubscription) {
      const { topicType: topic, agentType } = typeSubscription;
      this.#checkName('topic type', topic);
      this.#checkName('agent type', agentType);
      return { owner, subscription, agentType, topic, prefix: false };
    }
    if (typePrefixSubscription) {
      const { topicTypePrefix: topic, agentType } = typePrefixSubscription;
      this.#checkLength('topic type prefix', topic);
      this.#checkName('agent type', agentType);
      return { owner, subscription, agentType, topic, prefix: true };
    }
    throw new LockwireError('usage', 'a subscription must be by topic type or by topic type prefix');
  }

  /** The agent type's worker is woken, which need not be the one that subscribed. */
  #addOwner(found: Set<Owner>, entry: Entry<Owner>): void {
    const owner = this.#owners.get(entry.agentType);
    if (owner) found.add(owner);
  }

  #atTopic(topic: string): Set<Entry<Owner>> {
    let set = this.#byTopic.get(topic);
    if (!set) {
      set = new Set();
      this.#byTopic.set(topic, set);
    }
    return set;
  }

  #remove(entry: Entry<Owner>): void {
    this.#entries.delete(entry.subscription.id);
    this.#meanings.delete(meaningOf(entry));
    this.#prefixes.delete(entry);
    const set = this.#byTopic.get(entry.topic);
    set?.delete(entry);
    if (set?.size === 0) this.#byTopic.delete(entry.topic);
  }

  #checkName(what: string, name: string): void {
    if (name === '') throw new LockwireError('usage', `${what} is empty`);
    this.#checkLength(what, name);
  }

  #checkLength(what: string, name: string): void {
    const bytes = Buffer.byteLength(name);
    const { maxNameBytes } = this.#limits;
    if (bytes > maxNameBytes)
      throw new LockwireError('limit', `${what} is ${bytes} bytes long, the most is ${maxNameBytes}`);
  }
}

function meaningOf(entry: Entry<unknown>): string {
  return JSON.stringify([entry.prefix, entry.topic, entry.agentType]);
}
