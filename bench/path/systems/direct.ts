// Real AutoGen with nothing in between: both workers straight at its host.
import { startHost, startWorkers } from '../autogen.ts';
import type { Surroundings, System } from './system.ts';

export async function direct({ material }: Surroundings): Promise<System> {
  const port = await startHost(material);
  return { port, programs: [], caller: await startWorkers(material, port) };
}
