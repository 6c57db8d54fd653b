/** A relay between real sockets: node:http2 (or raw bytes) on the client's side, node:http2 as the upstream. */
import { type ClientHttp2Session, connect as connectHttp2, createServer, type Http2Server } from 'node:http2';
import { type AddressInfo, connect, createServer as createTcp, type Server, type Socket } from 'node:net';
import { BufferedStream } from '../../lib/core/buffered-stream.ts';
import { type Clock, systemClock } from '../../lib/core/clock.ts';
import type { ByteStream } from '../../lib/core/ports.ts';
import { Bearer } from '../../lib/relay/http2/bearer.ts';
import { ClientRelay, type ClientRelayEnd, type Verdict } from '../../lib/relay/http2/client-relay.ts';
import { HeldBudget } from '../../lib/relay/http2/held-budget.ts';
import { type Http2Limits, http2Defaults } from '../../lib/relay/http2/options.ts';
import { noGrowth } from '../../lib/relay/http2/receive-window.ts';
import type { Refusal } from '../../lib/relay/http2/refusal.ts';
import type { RequestHead } from '../../lib/relay/http2/request.ts';
import { ownUpstream, type UpstreamOptions, Upstreams } from '../../lib/relay/http2/upstreams.ts';
import { SocketCarrier } from '../../lib/transport/socket-carrier.ts';

export interface RigOptions {
  readonly limits?: Partial<Http2Limits>;
  readonly clock?: Clock;
  /** Made once, and shared by all clients; else each client has its own. */
  readonly shared?: UpstreamOptions;
  /** In place of permitting all. */
  readonly judge?: (head: RequestHead, forward: Verdict) => Verdict | Promise<Verdict>;
  readonly generation?: () => number;
  readonly held?: HeldBudget;
  /** Whose clients they are, and whose share it is that they hold. */
  readonly principal?: string;
  /** Notes of a refusal only what was answered. */
  readonly forgetsHeads?: boolean;
  /** Another rig's, which has `shared`. */
  readonly upstreams?: Upstreams;
  /** The upstream's bytes, in place of a socket to `backend`. */
  readonly open?: () => Promise<ByteStream>;
  /** As a target that is dialled, and not reached through a tunnel. */
  readonly probed?: boolean;
}

export interface Rig {
  readonly port: number;
  readonly relays: ClientRelay[];
  readonly refusals: { head: RequestHead | undefined; refusal: Refusal }[];
  readonly ended: ClientRelayEnd[];
  readonly held: HeldBudget;
  readonly bearer: Bearer;
  /** Those that its clients share, if they do. */
  readonly shared: Upstreams | undefined;
  client(): Promise<ClientHttp2Session>;
  raw(): Promise<Socket>;
  close(): Promise<void>;
}

export async function startBackend(
  server: Http2Server = createServer(),
): Promise<{ server: Http2Server; port: number; close(): Promise<void> }> {
  const sessions = new Set<{ destroy(): void }>();
  server.on('session', session => {
    sessions.add(session);
    session.once('close', () => sessions.delete(session));
  });
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve));
  return {
    server,
    port: (server.address() as AddressInfo).port,
    close: () =>
      new Promise(resolve => {
        server.close(() => resolve());
        for (const session of sessions) session.destroy();
      }),
  };
}

export async function startRig(backendPort: number, options: RigOptions = {}): Promise<Rig> {
  const clock = options.clock ?? systemClock;
  const limits = { ...http2Defaults, ...options.limits };
  const held = options.held ?? new HeldBudget();
  const principal = options.principal ?? 'User::test|somebody';
  const bearer = new Bearer(principal);
  const rig = { relays: [] as ClientRelay[], refusals: [] as Rig['refusals'], ended: [] as ClientRelayEnd[] };
  const sockets = new Set<Socket>();
  const clients = new Set<ClientHttp2Session>();
  const keep = (socket: Socket): Socket => {
    sockets.add(socket);
    socket.once('close', () => sockets.delete(socket));
    return socket;
  };
  const open =
    options.open ??
    (async (): Promise<ByteStream> => {
      const socket = keep(connect({ port: backendPort, host: '127.0.0.1', allowHalfOpen: true }));
      await new Promise<void>((resolve, reject) => {
        socket.once('connect', resolve);
        socket.once('error', reject);
      });
      return new BufferedStream(new SocketCarrier(socket));
    });
  const upstreamsOf = (kind: UpstreamOptions): Upstreams =>
    new Upstreams(kind, {
      clock,
      limits,
      pool: noGrowth,
      name: 'backend',
      open,
      probed: options.probed ?? false,
    });
  const shared = options.upstreams ?? (options.shared && upstreamsOf(options.shared));
  const server: Server = createTcp({ allowHalfOpen: true }, socket => {
    keep(socket);
    const upstreams = shared ?? upstreamsOf(ownUpstream);
    const forward: Verdict = {
      kind: 'forward',
      upstreams,
      scheme: 'http',
      authority: undefined,
      bearer,
      counter: { add() {} },
      expiresAtMs: Number.POSITIVE_INFINITY,
    };
    const relay = new ClientRelay(new BufferedStream(new SocketCarrier(socket)), {
      clock,
      limits,
      pool: noGrowth,
      held: held.share(principal),
      judge: head => options.judge?.(head, forward) ?? forward,
      generation: options.generation ?? (() => 0),
      onRefused: (head, refusal) => {
        // A flood is measured: its notes must not be.
        if (rig.refusals.length < 1_000)
          rig.refusals.push({ head: options.forgetsHeads ? undefined : head, refusal });
      },
      onClosed: end => {
        rig.ended.push(end);
        if (shared === undefined) upstreams.close({ code: 'cancelled', text: 'its client has gone' });
      },
    });
    rig.relays.push(relay);
    relay.start();
  });
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  return {
    ...rig,
    port,
    held,
    bearer,
    shared,
    async client() {
      const session = connectHttp2(`http://127.0.0.1:${port}`, { maxSessionMemory: 1_000 });
      clients.add(session);
      session.on('error', () => {});
      await new Promise<void>(resolve => session.once('connect', () => resolve()));
      return session;
    },
    async raw() {
      const socket = keep(connect({ port, host: '127.0.0.1', allowHalfOpen: true }));
      await new Promise<void>(resolve => socket.once('connect', resolve));
      return socket;
    },
    async close() {
      for (const client of clients) client.destroy();
      shared?.close({ code: 'cancelled', text: 'over' });
      for (const socket of sockets) socket.destroy();
      await new Promise<void>(resolve => server.close(() => resolve()));
    },
  };
}
