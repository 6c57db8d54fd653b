// What Node's own HTTP/2 costs when somebody writes the proxy that it suggests: a reference, not a peer.
import { join } from 'node:path';
import { Program } from '../program.ts';
import type { Surroundings, System } from './system.ts';

export async function nodeHttp2({ material, backend }: Surroundings): Promise<System> {
  const { server, ca } = material;
  const program = new Program(
    'node:http2',
    process.execPath,
    [join(import.meta.dirname, '..', 'naive-proxy.ts'), ca, server.cert, server.key, String(backend.http2)],
    material.folder,
  );
  const [, port] = await program.ready(/ready on (\d+)/);
  return { port: Number(port), programs: [program] };
}
