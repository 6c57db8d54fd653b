// Peers can't be asked which port they got, and don't say when they are ready.
import { connect, createServer } from 'node:net';
import type { Program } from './program.ts';

const patienceMs = 30_000;
const lookEveryMs = 20;

/** One that was free a moment ago. */
export async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve));
  const address = server.address();
  const port = typeof address === 'object' && address !== null ? address.port : 0;
  await new Promise(resolve => server.close(resolve));
  return port;
}

export async function untilListening(port: number, program: Program): Promise<void> {
  const deadline = performance.now() + patienceMs;
  for (;;) {
    const socket = connect(port, '127.0.0.1');
    const connected = await new Promise(resolve => {
      socket.once('connect', () => resolve(true));
      socket.once('error', () => resolve(false));
    });
    socket.destroy();
    if (connected) return;
    if (!program.alive || performance.now() > deadline) {
      throw new Error(`${program.name} does not listen on ${port}:\n${program.output}`);
    }
    await new Promise(resolve => setTimeout(resolve, lookEveryMs));
  }
}
