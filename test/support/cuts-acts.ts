import type { CutKind } from './cuts-network.ts';
import type { Simulation } from './cuts-sim.ts';

/** What happens in a simulation, one after the other. */
export type Act =
  | { readonly do: 'open' }
  | { readonly do: 'write'; readonly stream: number; readonly far: boolean; readonly bytes: number }
  | { readonly do: 'end' | 'reset'; readonly stream: number; readonly far: boolean }
  | { readonly do: 'stall'; readonly stream: number; readonly far: boolean; readonly on: boolean }
  | { readonly do: 'cut'; readonly kind: CutKind }
  | { readonly do: 'outage'; readonly ms: number; readonly how: 'refused' | 'swallowed' }
  | { readonly do: 'pass'; readonly ms: number };

async function act(simulation: Simulation, step: Act): Promise<void> {
  if (step.do === 'open') return simulation.open();
  if (step.do === 'cut') return simulation.network.cut(step.kind);
  if (step.do === 'outage') return simulation.network.outage(step.ms, step.how);
  if (step.do === 'pass') return await simulation.pass(step.ms);
  const opened = simulation.streams[step.stream % Math.max(1, simulation.streams.length)];
  const end = step.far ? opened?.acceptor : opened?.opener;
  if (!opened || !end) return;
  switch (step.do) {
    case 'write':
      return end.write(step.bytes);
    case 'end':
      return end.end();
    case 'stall':
      return end.stall(step.on);
    case 'reset':
      if (!end.closed) opened.reset = true;
      return end.stream.reset({ code: 'cancelled', text: '' });
  }
}

/** All of them, and then to the end. Throws where a byte is lost, doubled or swapped, a bound is passed, or it hangs. */
export async function play(simulation: Simulation, acts: readonly Act[]): Promise<void> {
  // Jitter of the redials by the simulation's own seed too.
  const { random } = Math;
  Math.random = () => simulation.chance();
  try {
    await simulation.pass(500);
    simulation.open();
    for (const step of acts) {
      await act(simulation, step);
      await simulation.pass(1);
    }
    await simulation.finish();
  } finally {
    Math.random = random;
  }
}
