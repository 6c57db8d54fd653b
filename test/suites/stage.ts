// What the groups share: the built programs, the servers, and Lockwire before them. Each is made when first asked for.
import { World } from '../support/e2e-world.ts';
import { startInteropServer } from './grpc.ts';
import { startH2specBackend } from './h2spec.ts';
import type { Server } from './program.ts';
import { makeTools, type Tools } from './tools.ts';
import { type ServerName, startWire, type Wire } from './wire.ts';

export class Stage {
  readonly tools: Tools;
  readonly world: World;
  readonly #cleanups: (() => unknown)[] = [];
  readonly #servers = new Map<ServerName, Promise<Server>>();
  #wire: Promise<Wire> | undefined;

  private constructor(tools: Tools, world: World, cleanups: (() => unknown)[]) {
    this.tools = tools;
    this.world = world;
    this.#cleanups = cleanups;
  }

  static async make(): Promise<Stage> {
    const cleanups: (() => unknown)[] = [];
    const tools = makeTools();
    const world = await World.make({ teardown: clean => cleanups.push(clean) });
    return new Stage(tools, world, cleanups);
  }

  server(name: ServerName): Promise<Server> {
    const running = this.#servers.get(name) ?? this.#start(name);
    this.#servers.set(name, running);
    return running;
  }

  wire(): Promise<Wire> {
    this.#wire ??= startWire(this.world, name => this.server(name));
    return this.#wire;
  }

  async close(): Promise<void> {
    for (const clean of this.#cleanups.toReversed()) await clean();
  }

  async #start(name: ServerName): Promise<Server> {
    const { certPem, keyPem } = await this.world.authority.issue({ dns: ['backend.example'] });
    const cert = this.world.file(`${name}.pem`, certPem);
    const key = this.world.file(`${name}.key`, keyPem);
    const server =
      name === 'h2spec'
        ? await startH2specBackend(certPem, keyPem)
        : await startInteropServer(this.tools, name, { cert, key });
    this.#cleanups.push(() => server.close());
    return server;
  }
}
