import { setTimeout as pause } from 'node:timers/promises';
import { Balancer } from './e2e-balancer.ts';
import type { LogLine } from './e2e-program.ts';
import { type Talk, talk } from './e2e-sockets.ts';
import type { Gateway, Side, World } from './e2e-world.ts';

/** What a test registers its cleaning up with; `t` of tap is one. */
interface Teardown {
  teardown(clean: () => unknown): void;
}

export interface Fleet {
  readonly gateways: readonly Gateway[];
  readonly balancer: Balancer;
  readonly expose: Side;
  /** One to each gateway, past the balancer. */
  readonly connects: readonly Side[];
}

/** So many gateway processes behind one address, each with a store of its own. */
export async function startFleet(t: Teardown, world: World, processes: number): Promise<Fleet> {
  const host = await world.host();
  const gateways = await Promise.all(
    Array.from({ length: processes }, () =>
      world.gateway({ instances: processes, admin: { bind: '127.0.0.1:0' } }),
    ),
  );
  const balancer = await Balancer.start(
    t,
    gateways.map(({ port }) => port),
  );
  const expose = await world.expose(balancer, { to: host.address });
  const connects = await Promise.all(gateways.map(gateway => world.connect(gateway)));
  await has(expose, processes, processes);
  return { gateways, balancer, expose, connects };
}

/** The last that expose said of its tunnels is this. */
export async function has({ program }: Side, tunnels: number, instances: number): Promise<void> {
  const said = (): unknown[] => program.logs.filter(({ msg }) => msg === 'tunnels to gateway processes');
  await program.until(() => {
    const last = said().at(-1) as { tunnels?: number; instances?: number } | undefined;
    return last?.tunnels === tunnels && last.instances === instances;
  }, `tunnels to ${tunnels} of ${instances}`);
}

/** What the gateway logged of the tunnels of exposes. */
export const exposeTunnels = ({ program }: Gateway, msg = 'tunnel up'): readonly LogLine[] =>
  program.logs.filter(line => line.msg === msg && line.role === 'expose');

/** A stream that echoes all along: every byte of it is looked at. */
export class Flow {
  readonly #talk: Talk;
  #sent = '';

  constructor(address: string) {
    this.#talk = talk(address);
  }

  async step(): Promise<void> {
    const next = `${this.#sent.length},`;
    this.#sent += next;
    this.#talk.write(next);
    await this.#talk.received(this.#sent.length);
  }

  async until(done: Promise<unknown>): Promise<number> {
    let over = false;
    const settled = done.finally(() => {
      over = true;
    });
    let steps = 0;
    for (; !over; steps += 1) {
      await this.step();
      // Steady traffic, not a load.
      await pause(5);
    }
    await settled;
    return steps;
  }

  get intact(): boolean {
    return this.#talk.text === this.#sent;
  }
}
