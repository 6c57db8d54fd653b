import type { Timer } from '../../core/clock.ts';
import { LockwireError, messageOf } from '../../core/errors.ts';
import type { ByteStream } from '../../core/ports.ts';
import type { CloseReason } from '../../core/session.ts';
import { type ConnectionPorts, Http2Connection } from './connection.ts';
import { noShare } from './held-budget.ts';
import { type Refusal, refusalOf } from './refusal.ts';

export interface UpstreamOptions {
  /** Connections to one target at a time. */
  readonly maxConnections: number;
  /** Requests that wait for a stream. */
  readonly maxWaiting: number;
  /** How long each may. */
  readonly waitTimeoutMs: number;
  /** A connection without streams is ended after so long; undefined where it lives as long as its client's. */
  readonly idleTimeoutMs: number | undefined;
  /** Streams that one principal may have open, so that it can't take all. */
  readonly maxStreamsPerPrincipal: number;
}

/** One connection that only one client's connection uses: the target keeps state by connection. */
export const ownUpstream: UpstreamOptions = {
  maxConnections: 1,
  maxWaiting: 256,
  waitTimeoutMs: 10_000,
  idleTimeoutMs: undefined,
  maxStreamsPerPrincipal: Number.POSITIVE_INFINITY,
};

/** Connections that all clients share. */
export const sharedUpstream: UpstreamOptions = {
  maxConnections: 8,
  maxWaiting: 1_024,
  waitTimeoutMs: 10_000,
  idleTimeoutMs: 300_000,
  maxStreamsPerPrincipal: 400,
};

/** A request that wants a stream. */
export interface Waiter {
  readonly principal: string;
  /** It opens a stream on it now. */
  opened(connection: Http2Connection): void;
  refuse(refusal: Refusal): void;
}

export interface UpstreamPorts extends Omit<ConnectionPorts, 'held'> {
  /** The target's name, for what people read. */
  readonly name: string;
  /** A new connection's bytes, TLS and all. */
  open(): Promise<ByteStream>;
  /** A connection is over. `begun`: the server had said its first word. */
  onLost?(reason: CloseReason, begun: boolean): void;
}

/**
 * The connections to one target. A request gets a stream on the first connection with room (the server's
 * MAX_CONCURRENT_STREAMS), else a new connection is made, else it waits its turn.
 */
export class Upstreams {
  readonly #options: UpstreamOptions;
  readonly #ports: UpstreamPorts;
  readonly #connections = new Set<Http2Connection>();
  /** In the order of their turn, with the deadline of each. */
  readonly #waiting = new Map<Waiter, Timer>();
  readonly #held = new Map<string, number>();
  readonly #idle = new Map<Http2Connection, Timer>();
  #opening = 0;
  #closed = false;
  #serving = false;

  constructor(options: UpstreamOptions, ports: UpstreamPorts) {
    this.#options = options;
    this.#ports = ports;
  }

  get connectionCount(): number {
    return this.#connections.size;
  }

  /** A connection that was made already. */
  adopt(stream: ByteStream): void {
    this.#begin(stream);
  }

  /** `opened` or `refuse` follows, it may be at once. `release` gives its place back. */
  acquire(waiter: Waiter): void {
    const { maxStreamsPerPrincipal, maxWaiting, waitTimeoutMs } = this.#options;
    const { principal } = waiter;
    const held = this.#held.get(principal) ?? 0;
    if (held >= maxStreamsPerPrincipal) {
      const text = `${held} streams to ${this.#ports.name} are open for this principal, the limit`;
      return waiter.refuse(refusalOf({ code: 'limit', text }));
    }
    this.#held.set(principal, held + 1);
    const connection = this.#waiting.size === 0 ? this.#withRoom() : undefined;
    if (connection) return this.#serve(waiter, connection);
    if (this.#waiting.size >= maxWaiting) {
      const text = `${maxWaiting} requests wait for ${this.#ports.name}, the limit`;
      return waiter.refuse(refusalOf({ code: 'unavailable', text }));
    }
    const text = `no stream to ${this.#ports.name} came free within ${waitTimeoutMs} ms`;
    const timer = this.#ports.clock.after(waitTimeoutMs, () =>
      this.#refuse(waiter, { code: 'unavailable', text }),
    );
    this.#waiting.set(waiter, timer);
    this.#connect();
  }

  /** It wants none any more, or its stream is over. */
  release(waiter: Waiter): void {
    const held = (this.#held.get(waiter.principal) ?? 0) - 1;
    if (held > 0) this.#held.set(waiter.principal, held);
    else this.#held.delete(waiter.principal);
    this.#forget(waiter);
  }

  /** Ends all connections. */
  close(reason: CloseReason): void {
    this.#closed = true;
    for (const waiter of [...this.#waiting.keys()]) this.#refuse(waiter, reason);
    for (const connection of [...this.#connections]) connection.close(reason);
  }

  /** No new streams on what there is; requests to come are for another set. */
  retire(): void {
    this.#closed = true;
    for (const connection of [...this.#connections]) connection.goAway('replaced');
  }

  #withRoom(): Http2Connection | undefined {
    for (const connection of this.#connections) if (connection.hasRoom) return connection;
    return undefined;
  }

  #serve(waiter: Waiter, connection: Http2Connection): void {
    this.#idle.get(connection)?.cancel();
    this.#idle.delete(connection);
    waiter.opened(connection);
  }

  /** As many as have room; more connections for the others. */
  #serveWaiting(): void {
    // A stream that is opened tells of it at once.
    if (this.#serving) return;
    this.#serving = true;
    for (const [waiter] of this.#waiting) {
      const connection = this.#withRoom();
      if (connection === undefined) break;
      this.#forget(waiter);
      this.#serve(waiter, connection);
    }
    this.#serving = false;
    if (this.#waiting.size > 0) this.#connect();
  }

  #forget(waiter: Waiter): void {
    this.#waiting.get(waiter)?.cancel();
    this.#waiting.delete(waiter);
  }

  #refuse(waiter: Waiter, reason: CloseReason): void {
    this.#forget(waiter);
    waiter.refuse(refusalOf(reason));
  }

  #connect(): void {
    if (this.#closed || this.#opening > 0) return;
    let usable = 0;
    for (const connection of this.#connections) if (connection.usable) usable += 1;
    if (usable >= this.#options.maxConnections) return;
    this.#opening += 1;
    this.#ports.open().then(
      stream => {
        this.#opening -= 1;
        if (this.#closed) return stream.reset({ code: 'cancelled', text: 'no longer wanted' });
        this.#begin(stream);
        this.#serveWaiting();
      },
      (error: unknown) => {
        this.#opening -= 1;
        this.#unreachable(error);
      },
    );
  }

  /** Those that waited are told why; the next request tries again. */
  #unreachable(error: unknown): void {
    const known = error instanceof LockwireError;
    const why = known ? messageOf(error) : 'internal error';
    const code = known && (error.code === 'timeout' || error.code === 'limit') ? error.code : 'unavailable';
    const reason: CloseReason = {
      code: known ? code : 'internal',
      text: `target "${this.#ports.name}": ${why}`,
    };
    if (this.#connections.size > 0) return;
    for (const waiter of [...this.#waiting.keys()]) this.#refuse(waiter, reason);
  }

  #begin(stream: ByteStream): void {
    const connection: Http2Connection = new Http2Connection(
      'client',
      stream,
      {
        request() {},
        changed: () => this.#changed(connection),
        closed: reason => this.#gone(connection, reason),
      },
      // What waits for an upstream is held by the client it came from.
      { ...this.#ports, held: noShare },
    );
    this.#connections.add(connection);
    connection.start();
  }

  #changed(connection: Http2Connection): void {
    if (this.#waiting.size > 0) this.#serveWaiting();
    if (connection.streamCount === 0) this.#watchIdle(connection);
  }

  #watchIdle(connection: Http2Connection): void {
    const { idleTimeoutMs } = this.#options;
    if (idleTimeoutMs === undefined || this.#idle.has(connection) || !connection.usable) return;
    const timer = this.#ports.clock.after(idleTimeoutMs, () => {
      this.#idle.delete(connection);
      if (connection.streamCount === 0) connection.goAway('idle');
    });
    this.#idle.set(connection, timer);
  }

  #gone(connection: Http2Connection, reason: CloseReason): void {
    this.#connections.delete(connection);
    this.#idle.get(connection)?.cancel();
    this.#idle.delete(connection);
    const begun = connection.peer.known;
    // One that never said a word would only be lost again: whoever waits is told at once.
    if (!begun && this.#connections.size === 0) {
      const text = `target "${this.#ports.name}": ${reason.text || 'it closed the connection'}`;
      for (const waiter of [...this.#waiting.keys()])
        this.#refuse(waiter, { ...reason, code: 'unavailable', text });
    }
    this.#ports.onLost?.(reason, begun);
    if (this.#waiting.size > 0) this.#serveWaiting();
  }
}
