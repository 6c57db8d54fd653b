import type { TLSSocket } from 'node:tls';
import type { RelayChild } from './relay-child.ts';
import { Keystream } from './relay-keystream.ts';
import type { RelayReport } from './relay-process.ts';

type Connection = { readonly client: TLSSocket; readonly server: TLSSocket };

/** Opens so many connections through a relay, and lets all carry 256 KiB both ways at once: a relay at work. */
export async function warmConnections(relay: RelayChild, count: number): Promise<Connection[]> {
  const connections: Connection[] = [];
  const bytes = new Keystream(1).next(262_144);
  while (connections.length < count) {
    const opening = Array.from({ length: Math.min(25, count - connections.length) }, () => relay.open());
    connections.push(...(await Promise.all(opening)));
  }
  await Promise.all(
    connections.map(({ client, server }) =>
      Promise.all([carry(client, server, bytes), carry(server, client, bytes)]),
    ),
  );
  return connections;
}

function carry(from: TLSSocket, to: TLSSocket, bytes: Buffer): Promise<void> {
  from.write(bytes);
  let received = 0;
  return new Promise(resolve => {
    const count = (chunk: Buffer): void => {
      received += chunk.byteLength;
      if (received < bytes.byteLength) return;
      to.off('data', count);
      to.pause();
      resolve();
    };
    to.on('data', count);
  });
}

/** Each client writes all it can, at most `most`, to a server that reads nothing. Comes back when nothing moves any more. */
export async function stall(
  relay: RelayChild,
  connections: readonly Connection[],
  most: number = Number.POSITIVE_INFINITY,
): Promise<{ sentBytes: number; report: RelayReport }> {
  const chunk = Buffer.alloc(65_536);
  let sentBytes = 0;
  for (const { client } of connections) {
    let sent = 0;
    const pump = (): void => {
      let room = true;
      while (room && sent < most) {
        room = client.write(chunk);
        sent += chunk.byteLength;
        sentBytes += chunk.byteLength;
      }
      if (!room) client.once('drain', pump);
    };
    pump();
  }
  // Each report is a collection in the relay's process and a round trip: in 25 of them what can move does.
  let report = await relay.report();
  const all = most * connections.length;
  for (
    let still = 0, before = -1;
    still < 25 && sentBytes < all;
    still = sentBytes === before ? still + 1 : 0
  ) {
    before = sentBytes;
    report = await relay.report();
  }
  return { sentBytes, report };
}

/** Memory that came, in MiB: what the process has, and what of it is alive. */
export function growth(before: RelayReport, after: RelayReport): { rss: number; alive: number } {
  const alive = (report: RelayReport): number => report.heapUsed + report.external;
  return {
    rss: (after.rss - before.rss) / 1_048_576,
    alive: (alive(after) - alive(before)) / 1_048_576,
  };
}
