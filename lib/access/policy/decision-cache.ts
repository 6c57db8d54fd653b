import type { Principal } from '../../core/session.ts';
import { digest } from './question-keys.ts';

export interface CacheLimits {
  readonly maxEntries: number;
  /** Of one principal; at least half as many of those used last are kept. */
  readonly maxEntriesPerPrincipal: number;
}

/** What is remembered for one principal, in two halves: when the young one is full it becomes the old one. */
interface Shelf<V extends object> {
  readonly who: string;
  young: Map<string, V>;
  old: Map<string, V>;
  /** Something was found here since it was last passed over: it makes room only once nothing was. */
  used: boolean;
  dropped: boolean;
}

/**
 * Answers by principal and question. It is asked for each request, so a hit moves nothing: neither the entries of a
 * principal nor the principals are kept in exact order of use. Whoever asks for ever new paths pushes out his own
 * answers, and the principals that are quiet make room before those that are not.
 */
export class DecisionCache<V extends object> {
  readonly #limits: CacheLimits;
  /** By all of a principal that a policy can see; those longest here first. */
  readonly #shelves = new Map<string, Shelf<V>>();
  /** By the object: a session asks with the same principal again and again. */
  readonly #homes = new WeakMap<Principal, Shelf<V>>();
  #size = 0;

  constructor(limits: CacheLimits) {
    this.#limits = limits;
  }

  get size(): number {
    return this.#size;
  }

  get(principal: Principal, key: string): V | undefined {
    const shelf = this.#shelf(principal);
    const found = shelf.young.get(key) ?? this.#renew(shelf, key);
    if (found !== undefined) shelf.used = true;
    return found;
  }

  /** Of a key that `get` did not find. */
  set(principal: Principal, key: string, value: V): void {
    const shelf = this.#shelf(principal);
    if (this.#size >= this.#limits.maxEntries) this.#makeRoom(shelf);
    this.#put(shelf, key, value);
  }

  clear(): void {
    for (const shelf of this.#shelves.values()) shelf.dropped = true;
    this.#shelves.clear();
    this.#size = 0;
  }

  /** What was used goes to the young half. */
  #renew(shelf: Shelf<V>, key: string): V | undefined {
    const older = shelf.old.get(key);
    if (older === undefined) return undefined;
    shelf.old.delete(key);
    this.#size -= 1;
    this.#put(shelf, key, older);
    return older;
  }

  #put(shelf: Shelf<V>, key: string, value: V): void {
    if (shelf.young.size >= this.#limits.maxEntriesPerPrincipal / 2) {
      this.#size -= shelf.old.size;
      shelf.old = shelf.young;
      shelf.young = new Map();
    }
    shelf.young.set(key, value);
    this.#size += 1;
  }

  #shelf(principal: Principal): Shelf<V> {
    const home = this.#homes.get(principal);
    if (home !== undefined && !home.dropped) return home;
    const who = home?.who ?? digest(principalFacts(principal));
    const shelf = this.#shelves.get(who) ?? this.#addShelf(who);
    this.#homes.set(principal, shelf);
    return shelf;
  }

  #addShelf(who: string): Shelf<V> {
    // An empty one takes room too: what was asked of it is put there at once, so there are no more than entries.
    if (this.#shelves.size >= this.#limits.maxEntries) this.#makeRoom(undefined);
    const shelf: Shelf<V> = { who, young: new Map(), old: new Map(), used: false, dropped: false };
    this.#shelves.set(who, shelf);
    return shelf;
  }

  /** Drops the first principal that was quiet since the last look; `asking` has a bound of its own. */
  #makeRoom(asking: Shelf<V> | undefined): void {
    if (asking !== undefined && this.#shelves.size === 1) return;
    // Those passed over stand at the end, and come again: each is quiet the second time.
    for (const shelf of this.#shelves.values()) {
      if (shelf !== asking && !shelf.used) return this.#drop(shelf);
      shelf.used = false;
      this.#shelves.delete(shelf.who);
      this.#shelves.set(shelf.who, shelf);
    }
  }

  #drop(shelf: Shelf<V>): void {
    shelf.dropped = true;
    this.#shelves.delete(shelf.who);
    this.#size -= shelf.young.size + shelf.old.size;
  }
}

/** All of a principal that a policy can see, unambiguously. */
function principalFacts(principal: Principal): string {
  return principal.kind === 'user'
    ? JSON.stringify(['user', principal.issuer, principal.subject, principal.groups, principal.email ?? null])
    : JSON.stringify(['workload', principal.source, principal.name, principal.groups]);
}
