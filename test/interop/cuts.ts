// Real AutoGen workers under steady load while the legs under them are cut: through Lockwire, and through the cutter alone.
import { setTimeout as after } from 'node:timers/promises';
import { Cutter, type WireCut } from '../support/cuts-cutter.ts';
import { type Leg, legs, quickLimits, summary, type Way, ways } from '../support/cuts-legs.ts';
import { World } from '../support/e2e-world.ts';
import { Random } from '../support/fuzz.ts';
import type { Result } from './autogen-suite.ts';
import { runCase, startHost } from './case.ts';
import { judgeWhole, Steady } from './steady.ts';

const seed = 20_261_124;

/** Each leg cut so often in each of the six ways, at moments that the seed gives. */
export function cutThroughLockwire(name: string, cuts: number): Promise<Result> {
  return runCase(name, async (tally, undo) => {
    const random = new Random(seed);
    const { address } = await startHost(undo);
    const world = await World.make(undo);
    const gateway = await world.gateway({ limits: quickLimits });
    const cutters: Record<Leg, Cutter> = {
      connect: await Cutter.start(gateway.port, random),
      expose: await Cutter.start(gateway.port, random),
    };
    for (const leg of legs) undo.teardown(() => cutters[leg].close());
    const config = world.file('quick.json', JSON.stringify({ limits: quickLimits }));
    const side = { target: 'rpc', args: ['--config', config] };
    await world.expose(cutters.expose, { ...side, to: address });
    const [a, b] = [await world.connect(cutters.connect, side), await world.connect(cutters.connect, side)];
    const steady = await Steady.start(undo, [a.address, b.address]);
    const cut = async (way: Way, leg: Leg): Promise<number> => {
      await after(random.int(150));
      const kind: WireCut = way === 'both' ? 'rst' : way;
      for (const each of way === 'both' ? legs : [leg]) cutters[each].cut(kind);
      return await steady.flows();
    };
    for (const way of ways) {
      for (const leg of way === 'both' ? (['connect'] as const) : legs) {
        const times: number[] = [];
        for (let i = 0; i < cuts; i += 1) times.push(await cut(way, leg));
        const where = way === 'both' ? 'both legs at once (rst)' : `${way} on the leg of ${leg}`;
        tally.add(`${where}: ${cuts} cuts, from the cut to the next answer ${summary(times)}`, true);
      }
    }
    judgeWhole(tally, await steady.end());
    const fresh = gateway.program.logs.filter(({ msg }) => msg === 'tunnel up').length;
    tally.add('three sessions, from the beginning to the end', fresh === 3, `${fresh}`);
  });
}

/** One cut of the same kind without Lockwire: what it costs. */
export function cutAlone(name: string): Promise<Result> {
  return runCase(name, async (tally, undo) => {
    for (const kind of ['rst', 'fin'] as const) {
      const { port } = await startHost(undo);
      const cutter = await Cutter.start(port, new Random(seed));
      undo.teardown(() => cutter.close());
      const address = `127.0.0.1:${cutter.port}`;
      const steady = await Steady.start(undo, [address, address]);
      cutter.cut(kind);
      const back = await steady.flows(3_000).then(
        () => true,
        () => false,
      );
      const { published, heard } = await steady.end('ended');
      const lost = published - heard;
      tally.add(`${kind}: calls hang, and of ${published} publishes ${lost} are lost`, !back && lost > 0);
    }
  });
}
