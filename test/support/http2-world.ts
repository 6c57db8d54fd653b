/** The relay in a process of its own, a server behind it, attackers before it, and a good client beside them. */
import { fork } from 'node:child_process';
import { once } from 'node:events';
import {
  type ClientHttp2Session,
  connect as connectHttp2,
  createServer,
  type IncomingHttpHeaders,
  type ServerHttp2Stream,
} from 'node:http2';
import { fileURLToPath } from 'node:url';
import { call, grpcHeaders } from './http2-calls.ts';
import type { ChildReport, ChildSettings } from './http2-child.ts';
import { RawClient, type RawOptions } from './http2-raw.ts';
import { startBackend } from './http2-rig.ts';

interface Test {
  teardown(callback: () => unknown): void;
}

export const mebibyte = 1_048_576;

/** What the good client saw. */
export interface Beside {
  readonly served: number;
  readonly failed: number;
  readonly worstMs: number;
  readonly medianMs: number;
}

export interface World {
  readonly backendPort: number;
  readonly ports: readonly number[];
  report(): Promise<ChildReport>;
  raw(options?: RawOptions & { port?: number }): Promise<RawClient>;
  client(port?: number): Promise<ClientHttp2Session>;
  /** Honest calls one after another, on a connection of its own, until the attack is over. */
  beside<T>(attack: () => Promise<T>, port?: number): Promise<{ result: T; good: Beside }>;
  /** Honest traffic until memory has settled; what is used then. */
  warmUp(): Promise<ChildReport>;
}

export type Serve = (stream: ServerHttp2Stream, headers: IncomingHttpHeaders) => void;

/** One of each size: a thousand of 8 MiB would be the test's own memory. */
const bodies = new Map<number, Buffer>();

function bodyOf(bytes: number): Buffer {
  const body = bodies.get(bytes) ?? Buffer.alloc(bytes, 120);
  bodies.set(bytes, body);
  return body;
}

/** `/bytes/N` answers with so many; `/never` never; anything else gives its body back. */
export const serve: Serve = (stream, headers) => {
  const path = headers[':path'] ?? '';
  if (path.startsWith('/never')) return;
  stream.respond({ ':status': 200, 'content-type': 'application/grpc' });
  if (path.startsWith('/bytes/')) stream.end(bodyOf(Number(path.slice(7))));
  else stream.pipe(stream);
};

export async function startWorld(
  test: Test,
  settings: Omit<ChildSettings, 'backendPort' | 'principals'> & { principals?: readonly string[] } = {},
  answer: Serve = serve,
  serverSettings: Parameters<typeof createServer>[0] = {},
): Promise<World> {
  // The server behind is not the one that is attacked here: it takes any number of resets.
  const server = createServer({
    maxSessionMemory: 1_000,
    streamResetBurst: 1_000_000,
    streamResetRate: 1_000_000,
    ...serverSettings,
  });
  server.on('stream', (stream, headers) => {
    stream.on('error', () => {});
    answer(stream as ServerHttp2Stream, headers);
  });
  server.on('sessionError', () => {});
  const backend = await startBackend(server);
  const child = fork(fileURLToPath(new URL('./http2-child.ts', import.meta.url)), {
    execArgv: ['--expose-gc'],
  });
  const open: { close(): void }[] = [];
  const ask = async <T>(message: object | string): Promise<T> => {
    child.send(message);
    return (await once(child, 'message'))[0] as T;
  };
  const { ports } = await ask<{ ports: readonly number[] }>({
    principals: ['A'],
    ...settings,
    backendPort: backend.port,
  } satisfies ChildSettings);
  test.teardown(async () => {
    for (const one of open) one.close();
    child.kill();
    await backend.close();
  });
  const front = ports[0] as number;
  const world: World = {
    backendPort: backend.port,
    ports,
    report: () => ask<ChildReport>('report'),
    async raw({ port = front, ...options } = {}) {
      const client = await RawClient.connect(port, options);
      open.push(client);
      // What is sent by hand stands between whole frames then.
      if (options.acknowledges !== false) await client.hears(({ kind }) => kind === 'settings');
      return client;
    },
    async client(port = front) {
      const session = connectHttp2(`http://127.0.0.1:${port}`);
      session.on('error', () => {});
      open.push({ close: () => session.destroy() });
      await once(session, 'connect');
      return session;
    },
    async beside(attack, port = front) {
      const session = await world.client(port);
      await honest(session);
      let over = false;
      const watching = watch(session, () => over);
      const result = await attack().finally(() => {
        over = true;
      });
      return { result, good: await watching };
    },
    async warmUp() {
      const session = await world.client();
      let before = await world.report();
      for (let round = 0; round < 6; round += 1) {
        for (let i = 0; i < 10; i += 1)
          await Promise.all(Array.from({ length: 50 }, () => honest(session, 200)));
        const now = await world.report();
        if (now.rss - before.rss < mebibyte) break;
        before = now;
      }
      return world.report();
    },
  };
  return world;
}

/** Whether a call came back whole. */
async function honest(session: ClientHttp2Session, bytes = 64): Promise<boolean> {
  const body = Buffer.alloc(bytes, 'honest');
  const answer = await call(session, { ...grpcHeaders, ':path': '/echo' }, body);
  return answer.status === 200 && answer.body.equals(body);
}

async function watch(session: ClientHttp2Session, over: () => boolean): Promise<Beside> {
  const times: number[] = [];
  let failed = 0;
  do {
    const since = performance.now();
    if (!(await honest(session))) failed += 1;
    times.push(performance.now() - since);
    if (session.destroyed) break;
  } while (!over());
  times.sort((a, b) => a - b);
  return {
    served: times.length - failed,
    failed,
    worstMs: times.at(-1) ?? 0,
    medianMs: times[times.length >> 1] ?? 0,
  };
}

/** For the table of figures: growth since the warm-up, in MiB. */
export function growth(before: ChildReport, after: ChildReport): { rss: number; held: number; text: string } {
  const rss = (after.rss - before.rss) / mebibyte;
  const held = (after.bytes - before.bytes) / mebibyte;
  return { rss, held, text: `resident +${rss.toFixed(1)} MiB, heap and buffers +${held.toFixed(1)} MiB` };
}
