import type { Timer } from '../../core/clock.ts';
import { LockwireError, messageOf } from '../../core/errors.ts';
import type { ByteStream } from '../../core/ports.ts';
import type { CloseReason } from '../../core/session.ts';
import { type ConnectionPorts, Http2Connection } from './connection.ts';
import { noShare } from './held-budget.ts';
import type { Allowance } from './options.ts';
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
  /**
   * Streams that may be reset for one principal before the server has ended them. A server counts resets by connection
   * (CVE-2023-44487) and would close it under everybody; those of the common libraries take 1,000, and 33 a second.
   */
  readonly cutsPerPrincipal: Allowance;
}

/** One connection that only one client's connection uses: the target keeps state by connection. */
export const ownUpstream: UpstreamOptions = {
  maxConnections: 1,
  maxWaiting: 256,
  waitTimeoutMs: 10_000,
  idleTimeoutMs: undefined,
  maxStreamsPerPrincipal: Number.POSITIVE_INFINITY,
  cutsPerPrincipal: { burst: Number.POSITIVE_INFINITY, perSecond: 0 },
};

/** Connections that all clients share. */
export const sharedUpstream: UpstreamOptions = {
  maxConnections: 8,
  maxWaiting: 1_024,
  waitTimeoutMs: 10_000,
  idleTimeoutMs: 300_000,
  maxStreamsPerPrincipal: 400,
  cutsPerPrincipal: { burst: 500, perSecond: 30 },
};

/** What a principal has of the connections. */
interface Part {
  readonly principal: string;
  open: number;
  readonly waiting: Set<Waiter>;
  /** Resets that are left to it; below 0 where streams that lived had to be reset all the same. */
  cutsLeft: number;
  cutsAtMs: number;
}

/** Parts that are kept for their resets alone, before those that have made up for them are looked for. */
const maxIdleParts = 1_024;

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
 * MAX_CONCURRENT_STREAMS), else a new connection is made, else it waits its turn: that of the principal with the
 * fewest streams. Where principals share, one has no more than half of the room there is, so that whatever it does
 * with its streams another one finds some.
 */
export class Upstreams {
  readonly #options: UpstreamOptions;
  readonly #ports: UpstreamPorts;
  readonly #connections = new Set<Http2Connection>();
  /** With the deadline of each. */
  readonly #waiting = new Map<Waiter, Timer>();
  readonly #open = new Set<Waiter>();
  readonly #parts = new Map<string, Part>();
  /** Those with somebody that waits. */
  readonly #queued = new Set<Part>();
  readonly #idle = new Map<Http2Connection, Timer>();
  #opening = 0;
  #closed = false;
  #serving = false;
  /** The last connection could not be made. */
  #failed = false;

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
    const { maxStreamsPerPrincipal, maxWaiting, waitTimeoutMs, cutsPerPrincipal } = this.#options;
    const { name, clock } = this.#ports;
    if (this.#closed)
      return waiter.refuse(refusalOf({ code: 'unavailable', text: `target "${name}": replaced` }));
    const part = this.#partOf(waiter.principal);
    const held = part.open + part.waiting.size;
    if (held >= maxStreamsPerPrincipal) {
      const text = `${held} streams to ${name} are open for this principal, the limit`;
      return waiter.refuse(refusalOf({ code: 'limit', text }));
    }
    if (this.#cutsLeft(part) < 1) {
      const { burst, perSecond } = cutsPerPrincipal;
      const text = `too many streams to ${name} were reset for this principal: over ${burst} and ${perSecond} a second`;
      return waiter.refuse(refusalOf({ code: 'limit', text }));
    }
    const connection = part.open < this.#share() ? this.#withRoom() : undefined;
    if (connection) return this.#serve(waiter, part, connection);
    if (this.#waiting.size >= maxWaiting) {
      const text = `${maxWaiting} requests wait for ${name}, the limit`;
      return waiter.refuse(refusalOf({ code: 'unavailable', text }));
    }
    const text = `no stream to ${name} came free within ${waitTimeoutMs} ms`;
    const timer = clock.after(waitTimeoutMs, () => this.#refuse(waiter, { code: 'unavailable', text }));
    this.#waiting.set(waiter, timer);
    part.waiting.add(waiter);
    this.#queued.add(part);
    this.#connect();
  }

  /** It wants none any more, or its stream is over; `cut` where it was reset before its end. Idempotent. */
  release(waiter: Waiter, cut = false): void {
    const part = this.#parts.get(waiter.principal);
    if (part === undefined) return;
    if (this.#open.delete(waiter)) part.open -= 1;
    else this.#forget(waiter, part);
    if (cut) part.cutsLeft = this.#cutsLeft(part) - 1;
    this.#dropIdle(part);
    if (this.#waiting.size > 0) this.#serveWaiting();
  }

  /** Ends all connections. */
  close(reason: CloseReason): void {
    this.#closed = true;
    for (const waiter of [...this.#waiting.keys()]) this.#refuse(waiter, reason);
    for (const connection of [...this.#connections]) connection.close(reason);
  }

  /** No new streams on what there is; requests to come, and those that wait, are for another set. */
  retire(): void {
    this.#closed = true;
    for (const waiter of [...this.#waiting.keys()])
      this.#refuse(waiter, { code: 'unavailable', text: `target "${this.#ports.name}": replaced` });
    for (const connection of [...this.#connections]) connection.goAway('replaced');
  }

  #partOf(principal: string): Part {
    const known = this.#parts.get(principal);
    if (known !== undefined) return known;
    if (this.#parts.size >= maxIdleParts) for (const part of this.#parts.values()) this.#dropIdle(part);
    const part: Part = {
      principal,
      open: 0,
      waiting: new Set(),
      cutsLeft: this.#options.cutsPerPrincipal.burst,
      cutsAtMs: this.#ports.clock.monotonic(),
    };
    this.#parts.set(principal, part);
    return part;
  }

  /** What is owed for resets is remembered until it is paid. */
  #dropIdle(part: Part): void {
    if (part.open > 0 || part.waiting.size > 0) return;
    if (this.#cutsLeft(part) >= this.#options.cutsPerPrincipal.burst) this.#parts.delete(part.principal);
  }

  #cutsLeft(part: Part): number {
    const { burst, perSecond } = this.#options.cutsPerPrincipal;
    if (part.cutsLeft >= burst) return burst;
    const nowMs = this.#ports.clock.monotonic();
    part.cutsLeft = Math.min(burst, part.cutsLeft + ((nowMs - part.cutsAtMs) / 1_000) * perSecond);
    part.cutsAtMs = nowMs;
    return part.cutsLeft;
  }

  /** Streams that one principal may have open: where they share, half of what all connections together have room for. */
  #share(): number {
    const { maxConnections, maxStreamsPerPrincipal } = this.#options;
    if (maxStreamsPerPrincipal === Number.POSITIVE_INFINITY) return maxStreamsPerPrincipal;
    let least = Number.POSITIVE_INFINITY;
    for (const { peer } of this.#connections) least = Math.min(least, peer.maxConcurrentStreams);
    return Math.max(1, Math.floor((maxConnections * least) / 2));
  }

  /**
   * One whose window is used up is avoided while another can be had: a request would wait behind a body that the
   * server does not read.
   */
  #withRoom(): Http2Connection | undefined {
    let starved: Http2Connection | undefined;
    for (const connection of this.#connections) {
      if (!connection.hasRoom) continue;
      if (!connection.writer.starved) return connection;
      starved ??= connection;
    }
    return starved !== undefined && (this.#failed || this.#full) ? starved : undefined;
  }

  /** No more connections may be made. */
  get #full(): boolean {
    let usable = 0;
    for (const connection of this.#connections) if (connection.usable) usable += 1;
    return usable >= this.#options.maxConnections;
  }

  #serve(waiter: Waiter, part: Part, connection: Http2Connection): void {
    this.#idle.get(connection)?.cancel();
    this.#idle.delete(connection);
    this.#open.add(waiter);
    part.open += 1;
    waiter.opened(connection);
  }

  /** As many as have room; more connections for the others. */
  #serveWaiting(): void {
    this.#serveEach();
    this.#connect();
  }

  #serveEach(): void {
    // A stream that is opened tells of it at once.
    if (this.#serving || this.#closed) return;
    this.#serving = true;
    for (let part = this.#next(); part !== undefined; part = this.#next()) {
      const connection = this.#withRoom();
      const [waiter] = part.waiting;
      if (connection === undefined || waiter === undefined) break;
      this.#forget(waiter, part);
      this.#serve(waiter, part, connection);
    }
    this.#serving = false;
  }

  /** Whose turn it is of those that wait and may have more. */
  #next(): Part | undefined {
    const share = this.#share();
    let next: Part | undefined;
    for (const part of this.#queued)
      if (part.open < share && (next === undefined || part.open < next.open)) next = part;
    return next;
  }

  #forget(waiter: Waiter, part: Part): void {
    this.#waiting.get(waiter)?.cancel();
    this.#waiting.delete(waiter);
    part.waiting.delete(waiter);
    if (part.waiting.size === 0) this.#queued.delete(part);
  }

  #refuse(waiter: Waiter, reason: CloseReason): void {
    this.release(waiter);
    waiter.refuse(refusalOf(reason));
  }

  #connect(): void {
    if (this.#closed || this.#opening > 0 || this.#full || this.#next() === undefined) return;
    this.#opening += 1;
    this.#ports.open().then(
      stream => {
        this.#opening -= 1;
        this.#failed = false;
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
    if (this.#connections.size > 0) return this.#makeDo();
    for (const waiter of [...this.#waiting.keys()]) this.#refuse(waiter, reason);
  }

  /** With what there is; the next one that waits tries for more again. */
  #makeDo(): void {
    this.#failed = true;
    this.#serveEach();
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
