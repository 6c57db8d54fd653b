import { generateKeyPairSync, type KeyObject, randomBytes, sign } from 'node:crypto';
import type { Clock, Timer } from '../../lib/core/clock.ts';
import type { Carrier, CarrierEvents, InstanceKey } from '../../lib/core/ports.ts';
import type { CloseReason, Identity } from '../../lib/core/session.ts';
import { acceptTunnel } from '../../lib/tunnel/handshake-accept.ts';
import { dialTunnel } from '../../lib/tunnel/handshake-dial.ts';
import { defaultTunnelLimits, type TunnelLimits } from '../../lib/tunnel/options.ts';
import type { TunnelSession } from '../../lib/tunnel/session.ts';
import type { SessionPorts } from '../../lib/tunnel/session-ports.ts';
import type { TunnelStream } from '../../lib/tunnel/stream.ts';
import { WindowPool } from '../../lib/tunnel/window-pool.ts';
import type { Open, Role } from '../../lib/wire/tunnel/frames.ts';

/** A clock that stands still until a test turns it. */
export class ManualClock implements Clock {
  #nowMs = 0;
  #timers = new Set<{ atMs: number; callback: () => void }>();

  now(): number {
    return 1_800_000_000_000 + this.#nowMs;
  }

  monotonic(): number {
    return this.#nowMs;
  }

  /** When the next timer falls due; undefined where none waits. */
  get nextMs(): number | undefined {
    let next: number | undefined;
    for (const { atMs } of this.#timers) if (next === undefined || atMs < next) next = atMs;
    return next;
  }

  after(delayMs: number, callback: () => void): Timer {
    const timer = { atMs: this.#nowMs + delayMs, callback };
    this.#timers.add(timer);
    return { cancel: () => this.#timers.delete(timer) };
  }

  /** Turns the clock, firing what falls due in order. */
  advance(byMs: number): void {
    const end = this.#nowMs + byMs;
    for (;;) {
      const due = [...this.#timers].filter(t => t.atMs <= end).sort((a, b) => a.atMs - b.atMs)[0];
      if (due === undefined) break;
      this.#timers.delete(due);
      this.#nowMs = Math.max(this.#nowMs, due.atMs);
      due.callback();
    }
    this.#nowMs = end;
  }
}

/** How a pipe cuts what it carries. */
export type Cut = 'plain' | 'one-byte';

export class PipeEnd implements Carrier {
  peer: PipeEnd | undefined;
  events: CarrierEvents | undefined;
  #queue: (() => void)[] = [];
  #paused = false;
  #closed = false;
  #ended = false;
  readonly #cut: Cut;
  /** Everything this end wrote, for captures. */
  readonly wrote: Buffer[] = [];
  /** While set, writes are not completed: a peer that reads nothing. */
  stuck = false;

  constructor(cut: Cut) {
    this.#cut = cut;
  }

  start(events: CarrierEvents): void {
    this.events = events;
    this.#drain();
  }

  write(chunks: readonly Uint8Array[], done: () => void): void {
    const bytes = Buffer.concat(chunks);
    this.wrote.push(bytes);
    if (this.stuck) return;
    setImmediate(() => {
      if (this.#closed) return;
      const step = this.#cut === 'one-byte' ? 1 : bytes.byteLength;
      for (let at = 0; at < bytes.byteLength; at += step) {
        this.peer?.deliver(e => e.data(bytes.subarray(at, at + step)));
      }
      done();
    });
  }

  end(): void {
    if (this.#ended || this.#closed) return;
    this.#ended = true;
    setImmediate(() => this.peer?.deliver(e => e.end()));
  }

  destroy(): void {
    this.#close(undefined);
    setImmediate(() => this.peer?.breakOff());
  }

  pause(): void {
    this.#paused = true;
  }

  resume(): void {
    this.#paused = false;
    this.#drain();
  }

  /** The connection is cut: this end sees an error. */
  breakOff(error: Error = new Error('connection reset')): void {
    this.#close(error);
  }

  deliver(event: (events: CarrierEvents) => void): void {
    this.#queue.push(() => {
      if (this.events && !this.#closed) event(this.events);
    });
    this.#drain();
  }

  #drain(): void {
    while (this.events && !this.#paused) {
      const next = this.#queue.shift();
      if (next === undefined) return;
      next();
    }
  }

  #close(error: Error | undefined): void {
    if (this.#closed) return;
    this.#closed = true;
    setImmediate(() => this.events?.closed(error));
  }
}

export function pipe(cut: Cut = 'plain'): [PipeEnd, PipeEnd] {
  const a = new PipeEnd(cut);
  const b = new PipeEnd(cut);
  a.peer = b;
  b.peer = a;
  return [a, b];
}

export function makeInstanceKey(): InstanceKey & { readonly privateKey: KeyObject } {
  const { publicKey, privateKey } = generateKeyPairSync('ed25519');
  const raw = publicKey.export({ format: 'der', type: 'spki' }).subarray(-32);
  return { publicKey: raw, privateKey, sign: message => sign(null, message, privateKey) };
}

export const identity: Identity & { name: string } = {
  principal: { kind: 'user', issuer: 'corp', subject: 'alice', groups: [] },
  credential: { kind: 'token', id: 't1', issuedAtMs: 0, expiresAtMs: 1_900_000_000_000 },
  name: 'User::corp|alice',
};

export interface SessionEnd {
  readonly session: TunnelSession;
  readonly pool: WindowPool;
  readonly opened: { stream: TunnelStream; request: Open }[];
  readonly notices: CloseReason[];
  readonly goAways: CloseReason[];
  /** What the gateway answered to renewals. */
  readonly renewals: number[];
  readonly detached: CloseReason[];
  readonly closed: Promise<CloseReason>;
}

export interface TunnelPair {
  readonly clock: Clock;
  readonly client: SessionEnd;
  readonly gateway: SessionEnd;
  readonly carriers: readonly [PipeEnd, PipeEnd];
}

export interface PairOptions {
  readonly role?: Role;
  readonly cut?: Cut;
  readonly clock?: Clock;
  readonly limits?: Partial<TunnelLimits>;
  /** What takes up the streams that a peer opens; by default nothing does. */
  readonly onOpen?: (stream: TunnelStream, request: Open) => void;
}

/** A real session at each end of an in-memory connection, after a real handshake. */
export async function tunnelPair(options: PairOptions = {}): Promise<TunnelPair> {
  const role = options.role ?? 'connect';
  const clock = options.clock ?? new ManualClock();
  // Without patience a session ends with its connection; tests of resume ask for it.
  const limits = { ...defaultTunnelLimits, patienceMs: 0, ...options.limits };
  const carriers = pipe(options.cut);
  const exporter = randomBytes(32);
  const client = end(clock, limits, options.onOpen);
  const gateway = end(clock, limits, options.onOpen);
  const [dialled, admitted] = await Promise.all([
    dialTunnel(
      carriers[0],
      {
        role,
        target: role === 'expose' ? 'autogen' : '',
        token: 'a.b.c',
        instanceKey: makeInstanceKey(),
        exporter,
        certificateIssuer: 'CN=Test',
        software: 'test',
      },
      client.ports,
    ),
    acceptTunnel(
      carriers[1],
      { session: 's1', gatewayKey: makeInstanceKey(), instance: 'g1', instances: 1, exporter },
      async () => identity,
      { clock, limits },
      () => gateway.ports,
    ),
  ]);
  return {
    clock,
    carriers,
    client: { ...client.facts, session: dialled.session },
    gateway: { ...gateway.facts, session: admitted.session },
  };
}

function end(clock: Clock, limits: TunnelLimits, onOpen?: PairOptions['onOpen']) {
  const pool = new WindowPool();
  const opened: SessionEnd['opened'] = [];
  const notices: CloseReason[] = [];
  const goAways: CloseReason[] = [];
  const renewals: number[] = [];
  const detached: CloseReason[] = [];
  const { promise: closed, resolve } = Promise.withResolvers<CloseReason>();
  const ports: SessionPorts = {
    clock,
    limits,
    pool,
    onOpen: (stream, request) => {
      opened.push({ stream, request });
      onOpen?.(stream, request);
    },
    onNotice: notice => notices.push(notice),
    onGoAway: reason => goAways.push(reason),
    onDetached: reason => detached.push(reason),
    onRenew: async () => ({ expiresAt: identity.credential.expiresAtMs + 1000 }),
    onRenewed: expiresAt => renewals.push(expiresAt),
    onClosed: resolve,
  };
  return { ports, facts: { pool, opened, notices, goAways, renewals, detached, closed } };
}

/** What one stream received, as it came. */
export interface Received {
  readonly chunks: Uint8Array[];
  bytes(): Buffer;
  ended: Promise<void>;
  closed: Promise<CloseReason>;
  flushed: number;
}

/** Reads a stream, giving credit back at once unless told not to. */
export function readAll(stream: TunnelStream, consume = true): Received {
  const ended = Promise.withResolvers<void>();
  const closed = Promise.withResolvers<CloseReason>();
  const received: Received = {
    chunks: [],
    bytes: () => Buffer.concat(received.chunks),
    ended: ended.promise,
    closed: closed.promise,
    flushed: 0,
  };
  stream.start({
    data: chunk => {
      received.chunks.push(chunk);
      if (consume) stream.consume(chunk.byteLength);
    },
    end: ended.resolve,
    flushed: bytes => {
      received.flushed += bytes;
    },
    closed: closed.resolve,
  });
  return received;
}

/** Lets everything that is under way happen. */
export async function quiet(rounds = 20): Promise<void> {
  for (let i = 0; i < rounds; i += 1) await new Promise<void>(resolve => setImmediate(resolve));
}
