// A real client and gateway over a simulated network that breaks in every way: nothing lost, doubled, swapped or hung.
import { type Act, play } from '../support/cuts-acts.ts';
import { cutKinds } from '../support/cuts-network.ts';
import { Simulation } from '../support/cuts-sim.ts';
import type { FuzzTarget, Random } from '../support/fuzz.ts';

export const target: FuzzTarget = {
  async once(random) {
    const limits = random.chance(0.3)
      ? {
          windowBytes: 100 + random.int(5_000),
          maxUnackedBytes: 300 + random.int(5_000),
          earlyWindowBytes: 64,
        }
      : {};
    const simulation = new Simulation({
      random,
      role: random.pick(['connect', 'expose']),
      delivery: random.pick(['whole', 'parts', 'one-byte']),
      limits,
      patient: random.chance(0.7),
    });
    const acts = Array.from({ length: 5 + random.int(80) }, () => anyAct(random));
    await play(simulation, acts);
  },
};

function anyAct(random: Random): Act {
  const where = { stream: random.int(6), far: random.chance(0.5) };
  switch (random.int(12)) {
    case 0:
      return { do: 'open' };
    case 1:
    case 2:
    case 3:
      return { do: 'write', ...where, bytes: 1 + random.size(200_000) };
    case 4:
      return { do: random.pick(['end', 'reset', 'open']), ...where };
    case 5:
      return { do: 'stall', ...where, on: random.chance(0.5) };
    case 6:
    case 7:
      return { do: 'cut', kind: random.pick(cutKinds) };
    case 8:
      return { do: 'outage', ms: 1 + random.int(2_000), how: random.pick(['refused', 'swallowed']) };
    default:
      return { do: 'pass', ms: random.chance(0.8) ? 1 + random.int(200) : 1 + random.size(30_000) };
  }
}
