import { setTimeout as after } from 'node:timers/promises';
import type { Test } from 'tap';
import { Cutter, type WireCut, wireCuts } from './cuts-cutter.ts';
import { EchoLoad } from './cuts-load.ts';
import type { Program } from './e2e-program.ts';
import type { World } from './e2e-world.ts';
import { Random } from './fuzz.ts';

export const legs = ['connect', 'expose'] as const;
export type Leg = (typeof legs)[number];

/** The six ways: five on either leg, and both legs reset at once. */
export type Way = WireCut | 'both';
export const ways: readonly Way[] = [...wireCuts, 'both'];

/** So that a black hole is found out in seconds: the defaults would take 12 to 17 of them. */
export const quickLimits = { pingInterval: '1s', pingTimeout: '1s' };

export interface CutWorld {
  readonly cutters: Readonly<Record<Leg, Cutter>>;
  readonly gateway: Program;
  readonly connect: Program;
  readonly expose: Program;
  readonly load: EchoLoad;
  readonly random: Random;
  /** Cuts one leg, or both, and gives how long it took until bytes flowed again on every stream. */
  cut(way: Way, leg: Leg, downMs?: number): Promise<number>;
  /** Sessions that the gateway began: two, whatever happens. */
  sessions(): number;
  resumes(): number;
}

/** A gateway, a connect and an expose in processes of their own, each leg over a cutter, under echo traffic. */
export async function startCutWorld(world: World, seed: number, streams: number): Promise<CutWorld> {
  const random = new Random(seed);
  const host = await world.host();
  const gateway = await world.gateway({ limits: quickLimits });
  const cutters = {
    connect: await Cutter.start(gateway.port, random),
    expose: await Cutter.start(gateway.port, random),
  };
  const config = world.file('quick.json', JSON.stringify({ limits: quickLimits }));
  const args = ['--config', config];
  const expose = await world.expose(cutters.expose, { to: host.address, args });
  const connect = await world.connect(cutters.connect, { args });
  const load = new EchoLoad(connect.address, streams, random);
  await load.flows();
  return {
    cutters,
    gateway: gateway.program,
    connect: connect.program,
    expose: expose.program,
    load,
    random,
    cut: async (way, leg, downMs = 0) => {
      await after(random.int(120));
      const kind: WireCut = way === 'both' ? 'rst' : way;
      if (way === 'both') for (const each of legs) cutters[each].cut(kind, downMs);
      else cutters[leg].cut(kind, downMs);
      return await load.flows();
    },
    sessions: () => gateway.program.logs.filter(({ msg }) => msg === 'tunnel up').length,
    resumes: () => gateway.program.logs.filter(({ msg }) => msg === 'tunnel resumed').length,
  };
}

function percentile(sorted: readonly number[], part: number): number {
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * part))] ?? 0;
}

/** "p50 12 ms, p99 48 ms". */
export function summary(times: readonly number[]): string {
  const sorted = times.toSorted((a, b) => a - b);
  return `p50 ${Math.round(percentile(sorted, 0.5))} ms, p99 ${Math.round(percentile(sorted, 0.99))} ms`;
}

/** So many cuts of one kind, and how long it took each time until bytes flowed again. */
export async function cutOften(world: CutWorld, way: Way, leg: Leg, cuts: number): Promise<string> {
  const times: number[] = [];
  for (let i = 0; i < cuts; i += 1) times.push(await world.cut(way, leg));
  return `${way} on ${way === 'both' ? 'both legs' : leg}: ${cuts} cuts, ${summary(times)}`;
}

/** All that was sent has come back, over the sessions that there were from the beginning. */
export async function finish(t: Test, world: CutWorld): Promise<void> {
  await world.load.end();
  t.pass(`${world.load.bytes} B, each once and in its place`);
  t.equal(world.sessions(), 2, 'one session each, from the beginning to the end');
  for (const leg of legs) await world.cutters[leg].close();
}
