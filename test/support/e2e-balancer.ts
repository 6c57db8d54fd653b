import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net';

/** What a test registers its cleaning up with; `t` of tap is one. */
interface Teardown {
  teardown(clean: () => unknown): void;
}

/** Layer 4, on loopback: each new connection goes to the next of its gateways, in turn. */
export class Balancer {
  /** Ports, in turn; changed as processes come and go. */
  backends: readonly number[];
  readonly #counts = new Map<number, number>();
  readonly #waiting: (() => void)[] = [];
  readonly #server: Server;
  readonly #pairs = new Set<{ readonly port: number; readonly sockets: readonly [Socket, Socket] }>();
  #turn = 0;

  private constructor(backends: readonly number[]) {
    this.backends = backends;
    this.#server = createServer({ allowHalfOpen: true }, socket => this.#carry(socket));
  }

  static async start(t: Teardown, backends: readonly number[]): Promise<Balancer> {
    const balancer = new Balancer(backends);
    balancer.#server.listen(0, '127.0.0.1');
    await once(balancer.#server, 'listening');
    t.teardown(() => balancer.close());
    return balancer;
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  /** Connections in all that went to this port. */
  count(port: number): number {
    return this.#counts.get(port) ?? 0;
  }

  /** Resolves when so many went there. */
  async counted(port: number, connections: number): Promise<void> {
    while (this.count(port) < connections) await new Promise<void>(resolve => this.#waiting.push(resolve));
  }

  /** Resets, at both ends, whatever goes to this port now. */
  cut(port: number): void {
    for (const { sockets, port: of } of this.#pairs)
      if (of === port) for (const socket of sockets) socket.resetAndDestroy();
  }

  async close(): Promise<void> {
    const closed = this.#server.listening ? once(this.#server, 'close') : undefined;
    this.#server.close();
    for (const { sockets } of this.#pairs) for (const socket of sockets) socket.destroy();
    await closed;
  }

  #carry(near: Socket): void {
    const port = this.backends[this.#turn % Math.max(1, this.backends.length)];
    this.#turn += 1;
    near.on('error', () => near.destroy());
    if (port === undefined) return void near.destroy();
    this.#counts.set(port, this.count(port) + 1);
    for (const resolve of this.#waiting.splice(0)) resolve();
    const far = connect({ port, host: '127.0.0.1', allowHalfOpen: true });
    const pair = { port, sockets: [near, far] as const };
    this.#pairs.add(pair);
    near.pipe(far).pipe(near);
    // What ends one side badly ends the other so.
    far.on('error', () => near.resetAndDestroy());
    for (const [socket, other] of [
      [near, far],
      [far, near],
    ] as const)
      socket.on('close', failed => {
        this.#pairs.delete(pair);
        if (failed) other.resetAndDestroy();
        else other.destroySoon();
      });
  }
}
