import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net';
import type { Random } from './fuzz.ts';

/** How a connection is cut. `mid-handshake` also cuts the next one, within its handshake. */
export const wireCuts = ['rst', 'fin', 'black-hole', 'mid-frame', 'mid-handshake'] as const;
export type WireCut = (typeof wireCuts)[number];

/** TCP, TLS and the tunnel's own handshake are within so many bytes. */
const handshakeBytes = 5_000;

interface Pair {
  readonly client: Socket;
  readonly server: Socket;
  /** Forwards no more, in either direction; both connections stay open. */
  hole: boolean;
  /** Bytes that still pass, of both directions together; then it is reset. */
  allowance: number;
}

/** A TCP relay on a leg that forwards bytes until it is told to cut them off. */
export class Cutter {
  readonly #server: Server;
  readonly #random: Random;
  readonly #pairs = new Set<Pair>();
  #toPort: number;
  /** How many of the connections to come are cut within their handshake. */
  #doomed = 0;
  #downUntilMs = 0;
  accepted = 0;

  private constructor(toPort: number, random: Random) {
    this.#toPort = toPort;
    this.#random = random;
    this.#server = createServer({ allowHalfOpen: true, noDelay: true }, client => this.#accept(client));
  }

  static async start(toPort: number, random: Random): Promise<Cutter> {
    const cutter = new Cutter(toPort, random);
    cutter.#server.listen(0, '127.0.0.1');
    await once(cutter.#server, 'listening');
    return cutter;
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  /** Where new connections go from now on. */
  leadTo(port: number): void {
    this.#toPort = port;
  }

  /** Cuts all that it carries. */
  cut(kind: WireCut, downMs = 0): void {
    this.#downUntilMs = performance.now() + downMs;
    if (kind === 'mid-handshake') this.#doomed = 1;
    for (const pair of this.#pairs) {
      if (pair.hole) continue;
      if (kind === 'fin') finish(pair);
      else if (kind === 'black-hole') pair.hole = true;
      // Within what is on its way next: a record, and the frame in it, that never comes to its end.
      else if (kind === 'mid-frame') pair.allowance = this.#random.int(300);
      else reset(pair);
    }
  }

  async close(): Promise<void> {
    const closed = once(this.#server, 'close');
    this.#server.close();
    for (const pair of this.#pairs) reset(pair);
    await closed;
  }

  #accept(client: Socket): void {
    client.on('error', () => undefined);
    if (performance.now() < this.#downUntilMs) return void client.resetAndDestroy();
    this.accepted += 1;
    const server = connect({ port: this.#toPort, host: '127.0.0.1', allowHalfOpen: true, noDelay: true });
    server.on('error', () => undefined);
    const doomed = this.#doomed > 0;
    if (doomed) this.#doomed -= 1;
    const allowance = doomed ? this.#random.int(handshakeBytes) : Number.POSITIVE_INFINITY;
    const pair: Pair = { client, server, hole: false, allowance };
    this.#pairs.add(pair);
    this.#forward(pair, client, server);
    this.#forward(pair, server, client);
  }

  #forward(pair: Pair, from: Socket, to: Socket): void {
    from.on('data', (chunk: Buffer) => {
      if (pair.hole) return;
      const part = chunk.subarray(0, pair.allowance);
      pair.allowance -= part.byteLength;
      if (part.byteLength > 0 && !to.write(part)) {
        from.pause();
        to.once('drain', () => from.resume());
      }
      if (pair.allowance > 0) return;
      // What was written is on its way first.
      pair.hole = true;
      to.write('', () => reset(pair));
    });
    from.on('end', () => {
      if (!pair.hole) to.end();
    });
    from.on('close', () => {
      this.#pairs.delete(pair);
      // Behind a hole nobody hears of it.
      if (!pair.hole && !to.destroyed) to.resetAndDestroy();
      else if (pair.hole) to.resume();
    });
  }
}

function reset({ client, server }: Pair): void {
  client.resetAndDestroy();
  server.resetAndDestroy();
}

/** An orderly end at both sides, with what was on its way thrown away. */
function finish(pair: Pair): void {
  pair.hole = true;
  pair.client.end();
  pair.server.end();
}
