import type { Clock } from '../core/clock.ts';
import type { Log } from '../core/ports.ts';
import type { CloseReason } from '../core/session.ts';
import type { TunnelClient } from './client.ts';
import type { InstanceClaims } from './client-ports.ts';
import type { Fresh } from './handshake-dial.ts';
import { LookBudget } from './look-budget.ts';

export interface InstanceLimits {
  /** Tunnels at once, whatever number a gateway says. */
  readonly maxInstances: number;
  /** Dials that look for another gateway process in any minute; where more than half as many processes stand there, twice those. */
  readonly looksPerMinute: number;
}

export const defaultInstanceLimits: InstanceLimits = { maxInstances: 64, looksPerMinute: 12 };

/** What a client that the keeper made tells it. */
export interface KeptClient {
  readonly claims: InstanceClaims;
  /** Whether another client has a tunnel, so that this one only looks. */
  readonly looking: () => boolean;
  onUp(dialled: Fresh): void;
  onInstances(instances: number): void;
}

export interface InstanceKeeperPorts {
  readonly clock: Clock;
  readonly log: Log;
  /** A client that dials the gateway's one address. */
  makeClient(kept: KeptClient): TunnelClient;
}

/** How many tunnels there are, and to how many gateway processes there should be one. */
export interface InstanceCount {
  readonly tunnels: number;
  readonly instances: number;
}

/** One client: it has a session with a gateway process, or it looks for one. */
interface Member {
  readonly client: TunnelClient;
  /** The process that its session is with, also while that waits for a connection. */
  instance: string | undefined;
  /** How many processes there are, says that one. */
  says: number;
}

const surplus: CloseReason = { code: 'shutdown', text: 'another tunnel is kept in its place' };

/**
 * Keeps a tunnel to each gateway process behind one address, which only dialling tells apart: a look that lands on a
 * process that has one already is given back before anything is shown. At most one client looks at a time; the first is
 * on its own until it is up, and so is the last when all are lost.
 */
export class InstanceKeeper {
  readonly #ports: InstanceKeeperPorts;
  readonly #limits: InstanceLimits;
  /** Those that lost their session last are at the end. */
  #members: Member[] = [];
  /** Which client has which process, or is about to. */
  readonly #claims = new Map<string, Member>();
  /** No more needed, but for the streams of a gateway that drains. */
  readonly #leaving = new Set<TunnelClient>();
  readonly #looks = new LookBudget();
  /** Looks in a row that landed on a process that has a tunnel. */
  #inVain = 0;
  #said: InstanceCount = { tunnels: 1, instances: 1 };
  #stopped = false;

  constructor(ports: InstanceKeeperPorts, limits: InstanceLimits = defaultInstanceLimits) {
    this.#ports = ports;
    this.#limits = limits;
  }

  startPatiently(): void {
    this.#add();
  }

  get count(): InstanceCount {
    const up = this.#members.filter(isUp);
    // While processes are told of a new number one by one, the larger counts: a look costs little.
    const most = Math.max(1, ...up.map(({ says }) => says));
    return { tunnels: up.length, instances: Math.min(most, this.#limits.maxInstances) };
  }

  /** Shows the token of now to each gateway process; `another` where the client certificate is another one. */
  async renewNow(another = false): Promise<void> {
    const clients = [...this.#members.map(({ client }) => client), ...this.#leaving];
    await Promise.all(clients.map(client => client.renewNow(another)));
  }

  /** Ends all tunnels: at once, or after their streams where `drain`. */
  stop(reason: CloseReason, drain: boolean): void {
    this.#stopped = true;
    for (const { client } of this.#members) client.stop(reason, drain);
    for (const client of this.#leaving) client.stop(reason, drain);
  }

  #add(): void {
    const member: Member = {
      client: this.#ports.makeClient(this.#kept(() => member)),
      instance: undefined,
      says: 1,
    };
    this.#members.push(member);
    member.client.startPatiently();
  }

  #kept(member: () => Member): KeptClient {
    return {
      claims: {
        claim: instance => this.#claim(instance, member()),
        release: instance => this.#release(instance, member()),
        pace: delayMs => this.#pace(delayMs, member()),
      },
      looking: () => this.#isLooking(member()),
      onUp: ({ welcome }) => {
        member().instance = welcome.instance;
        member().says = welcome.instances;
        this.#inVain = 0;
        this.#review();
      },
      onInstances: instances => {
        member().says = instances;
        this.#review();
      },
    };
  }

  #claim(instance: string, member: Member): boolean {
    const holder = this.#claims.get(instance);
    if (holder === undefined) {
      this.#claims.set(instance, member);
      return true;
    }
    if (holder === member) return true;
    this.#inVain += 1;
    if (this.#inVain === this.#limits.looksPerMinute) this.#warnOfVain();
    return false;
  }

  /** Somebody should know: as long as it lasts, clients that land on the others find no host there. */
  #warnOfVain(): void {
    this.#ports.log.warn(
      { ...this.count, looks: this.#inVain },
      'every dial reaches a gateway process that has a tunnel already; is another down, or does the balancer send this address to one alone?',
    );
  }

  #release(instance: string, member: Member): void {
    if (this.#claims.get(instance) === member) this.#claims.delete(instance);
    if (member.instance === instance) {
      member.instance = undefined;
      this.#members = [...this.#members.filter(other => other !== member), member];
    }
    this.#review();
  }

  #isLooking(member: Member): boolean {
    return !isUp(member) && this.#members.some(isUp);
  }

  /** A look waits for its turn; the only client there is does not. */
  #pace(delayMs: number, member: Member): number {
    if (!this.#isLooking(member)) return delayMs;
    const perMinute = Math.max(this.#limits.looksPerMinute, 2 * this.count.instances);
    return this.#looks.plan(this.#ports.clock.monotonic(), delayMs, perMinute);
  }

  /** After each change: one client looks while a tunnel is missing, none while none is. */
  #review(): void {
    if (this.#stopped) return;
    this.#forgetDrained();
    const { tunnels, instances } = this.count;
    const missing = tunnels < instances;
    const looking = this.#members.filter(member => !isUp(member));
    // The one that lost its session last dials soonest.
    for (const member of missing ? looking.slice(0, -1) : looking) this.#retire(member);
    if (missing && looking.length === 0) this.#add();
    this.#tell();
  }

  #retire(member: Member): void {
    // In the midst of a handshake with a process that nobody has: it may finish, a live tunnel more does no harm.
    for (const holder of this.#claims.values()) if (holder === member) return;
    this.#members = this.#members.filter(other => other !== member);
    member.client.stop(surplus, true);
    if (member.client.streamCount > 0) this.#leaving.add(member.client);
  }

  #forgetDrained(): void {
    for (const client of this.#leaving) if (client.streamCount === 0) this.#leaving.delete(client);
  }

  #tell(): void {
    const { tunnels, instances } = this.count;
    if (tunnels === 0 || (tunnels === this.#said.tunnels && instances === this.#said.instances)) return;
    this.#said = { tunnels, instances };
    this.#ports.log.info({ tunnels, instances }, 'tunnels to gateway processes');
  }
}

function isUp({ instance }: Member): boolean {
  return instance !== undefined;
}
