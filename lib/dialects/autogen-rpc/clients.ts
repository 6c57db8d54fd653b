import type { Clock, Timer } from '../../core/clock.ts';
import { LockwireError } from '../../core/errors.ts';
import type { AcceptedCall } from '../../core/ports.ts';
import { principalName } from '../../core/session.ts';
import { Client } from './client.ts';
import type { AutogenOptions } from './options.ts';

/**
 * The clients of a target, by principal, session and their own client-id: none of the three alone is enough, so that the
 * same client-id from elsewhere takes nothing over.
 */
export class Clients {
  readonly #options: AutogenOptions;
  readonly #clock: Clock;
  readonly #onForgotten: (client: Client) => void;
  readonly #byKey = new Map<string, Client>();
  readonly #keys = new Map<Client, string>();
  readonly #perPrincipal = new Map<string, number>();
  readonly #leaving = new Map<Client, Timer>();

  constructor(options: AutogenOptions, clock: Clock, onForgotten: (client: Client) => void) {
    this.#options = options;
    this.#clock = clock;
    this.#onForgotten = onForgotten;
  }

  get size(): number {
    return this.#byKey.size;
  }

  all(): IterableIterator<Client> {
    return this.#byKey.values();
  }

  /** The client that makes this call; throws LockwireError `limit` where there is no room for another. */
  of(call: AcceptedCall, clientId: string): Client {
    const principal = principalName(call.principal());
    const key = JSON.stringify([principal, call.session, clientId]);
    const known = this.#byKey.get(key);
    if (known) {
      this.#leaving.get(known)?.cancel();
      this.#leaving.delete(known);
      // A channel's call lives as long as it: who asks later asks of that one.
      if (known.channel === undefined) known.call = call;
      return known;
    }
    this.#checkRoom(principal);
    const client = new Client(call, this.#options, this.#clock.monotonic());
    this.#byKey.set(key, client);
    this.#keys.set(client, key);
    this.#perPrincipal.set(principal, (this.#perPrincipal.get(principal) ?? 0) + 1);
    return client;
  }

  /** After its channel or a call of its has ended: it may come back while it has something registered. */
  left(client: Client): void {
    if (!client.idle || !this.#keys.has(client)) return;
    if (client.empty) return this.forget(client);
    this.#leaving.get(client)?.cancel();
    this.#leaving.set(
      client,
      this.#clock.after(this.#options.reopenWithinMs, () => this.forget(client)),
    );
  }

  forget(client: Client): void {
    const key = this.#keys.get(client);
    if (key === undefined) return;
    this.#leaving.get(client)?.cancel();
    this.#leaving.delete(client);
    this.#keys.delete(client);
    this.#byKey.delete(key);
    const left = (this.#perPrincipal.get(client.principal) ?? 1) - 1;
    if (left > 0) this.#perPrincipal.set(client.principal, left);
    else this.#perPrincipal.delete(client.principal);
    this.#onForgotten(client);
  }

  #checkRoom(principal: string): void {
    const { maxClients, maxClientsPerPrincipal } = this.#options;
    const own = this.#perPrincipal.get(principal) ?? 0;
    if (own >= maxClientsPerPrincipal)
      throw new LockwireError(
        'limit',
        `${own} workers of one principal, the most is ${maxClientsPerPrincipal}`,
      );
    if (this.#byKey.size >= maxClients)
      throw new LockwireError('limit', `${maxClients} workers, the most there can be`);
  }
}
