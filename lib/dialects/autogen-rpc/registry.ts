import type { Subscription } from './messages.ts';

/** What of a client's the registry must know. */
export interface Owner {
  readonly principal: string;
  /** Whether its channel is open, be it that the host's side is being opened anew. */
  readonly connected: boolean;
  readonly types: ReadonlySet<string>;
  readonly subscriptions: ReadonlyMap<string, Subscription>;
}

/** Whose agent types and subscriptions those are that came through here. Bounded by its owners' own limits. */
export class Registry<Client extends Owner> {
  readonly #owners = new Map<string, Client>();
  /** Who is just asking the host for a type: one at a time, as not every host refuses the second. */
  readonly #asking = new Map<string, Client>();
  readonly #byTopic = new Map<string, Map<string, string>>();
  readonly #prefixes = new Map<string, Subscription>();
  /** Whose subscription an id is: unique among all, as in AutoGen. */
  readonly #subscribers = new Map<string, Client>();

  get agentTypes(): number {
    return this.#owners.size;
  }

  ownerOf(agentType: string): Client | undefined {
    return this.#owners.get(agentType);
  }

  subscriberOf(id: string): Client | undefined {
    return this.#subscribers.get(id);
  }

  /** Whether `client` may not have it: a live worker has it or asks for it, or for a while a gone one of another principal. */
  takenFrom(client: Client, agentType: string): boolean {
    return isAnother(client, this.#owners.get(agentType)) || isAnother(client, this.#asking.get(agentType));
  }

  beginAsking(client: Client, agentType: string): void {
    this.#asking.set(agentType, client);
  }

  endAsking(client: Client, agentType: string): void {
    if (this.#asking.get(agentType) === client) this.#asking.delete(agentType);
  }

  /** Gives the client that had it, which is gone: it is to forget it. */
  own(client: Client, agentType: string): Client | undefined {
    const before = this.#owners.get(agentType);
    this.#owners.set(agentType, client);
    return before === client ? undefined : before;
  }

  disown(client: Client, agentType: string): void {
    if (this.#owners.get(agentType) === client) this.#owners.delete(agentType);
  }

  subscribe(client: Client, subscription: Subscription): void {
    const { id, topic, prefix, agentType } = subscription;
    this.#subscribers.set(id, client);
    if (prefix) {
      this.#prefixes.set(id, subscription);
      return;
    }
    const atTopic = this.#byTopic.get(topic) ?? new Map<string, string>();
    this.#byTopic.set(topic, atTopic);
    atTopic.set(id, agentType);
  }

  unsubscribe(client: Client, { id, topic }: Subscription): void {
    if (this.#subscribers.get(id) !== client) return;
    this.#subscribers.delete(id);
    this.#prefixes.delete(id);
    const atTopic = this.#byTopic.get(topic);
    atTopic?.delete(id);
    if (atTopic?.size === 0) this.#byTopic.delete(topic);
  }

  /** The clients whose agents a topic wakes, each once. */
  recipients(topicType: string): Set<Client> {
    const found = new Set<Client>();
    const add = (agentType: string): void => {
      const owner = this.#owners.get(agentType);
      if (owner) found.add(owner);
    };
    for (const agentType of this.#byTopic.get(topicType)?.values() ?? []) add(agentType);
    for (const { topic, agentType } of this.#prefixes.values())
      if (topicType.startsWith(topic)) add(agentType);
    return found;
  }

  /** All of a client's. */
  drop(client: Client): void {
    for (const type of client.types) this.disown(client, type);
    for (const subscription of client.subscriptions.values()) this.unsubscribe(client, subscription);
  }
}

function isAnother<Client extends Owner>(client: Client, owner: Client | undefined): boolean {
  if (owner === undefined || owner === client) return false;
  return owner.connected || owner.principal !== client.principal;
}
