import type { Clock, Timer } from '../core/clock.ts';
import type { ByteStream, StreamEvents } from '../core/ports.ts';
import { type CloseReason, type Connected, done, type Ended, type LocalLeg } from '../core/session.ts';
import { checkRelayOptions, type RelayOptions, relayDefaults } from './options.ts';

export interface RelayHooks<Session> {
  readonly clock: Clock;
  /** Both streams have closed. The last call, exactly once. */
  onClosed(closed: Session & Ended): void;
}

export interface RelayHandle {
  /** Ends both streams at once: a kill, a revocation, a drain that took too long. Idempotent: the first reason stays. */
  close(reason: CloseReason): void;
  /** The rules have changed: what it decides by itself, request by request, is decided anew. */
  judgeAnew?(): void;
}

/**
 * Moves a connected session's bytes until both streams have closed. Holds none itself: what one stream delivered is
 * queued in the other, and its credit is given back when the other flushed it. So a reader that is slow stops the
 * writer, and memory is bounded by the two windows.
 */
export function relay<Session extends Connected | LocalLeg>(
  client: ByteStream,
  upstream: ByteStream,
  session: Session,
  hooks: RelayHooks<Session>,
  options: RelayOptions = relayDefaults,
): RelayHandle {
  checkRelayOptions(options);
  const tcp = new TcpRelay(client, upstream, session, hooks, options);
  tcp.start();
  return tcp;
}

type Side = 'client' | 'upstream';

/**
 * Half-closes need no state here: each is passed on behind the bytes before it.
 *
 * ```
 *            first closed: done                  second closed: done
 *   moving ──────────────────────▶ finishing ────────────────────────▶ closed (done)
 *     │                                │
 *     │ first closed otherwise,        │ second closed otherwise ─────▶ closed (its reason)
 *     │ close(reason), idle            │
 *     │                                │ close(reason), idle
 *     ▼                                ▼
 *   cutting (reason, reset sent) ──────┴─ last closed ───────────────▶ closed (reason)
 * ```
 */
type RelayState =
  | { readonly kind: 'moving' }
  /** One stream ended orderly in both directions; the other still writes out what it was given. */
  | { readonly kind: 'finishing'; readonly closed: Side }
  | { readonly kind: 'cutting'; readonly reason: CloseReason; readonly closed: Side | undefined }
  | { readonly kind: 'closed' };

class TcpRelay<Session extends Connected | LocalLeg> implements RelayHandle {
  readonly #streams: Readonly<Record<Side, ByteStream>>;
  readonly #session: Session;
  readonly #hooks: RelayHooks<Session>;
  readonly #options: RelayOptions;
  #state: RelayState = { kind: 'moving' };
  /** Whose half-close was seen, and passed on to the other. */
  readonly #ended: Record<Side, boolean> = { client: false, upstream: false };
  #bytesUp = 0;
  #bytesDown = 0;
  #movedAtMs = 0;
  #idleTimer: Timer | undefined;

  constructor(
    client: ByteStream,
    upstream: ByteStream,
    session: Session,
    hooks: RelayHooks<Session>,
    options: RelayOptions,
  ) {
    this.#streams = { client, upstream };
    this.#session = session;
    this.#hooks = hooks;
    this.#options = options;
  }

  start(): void {
    const { idleTimeoutMs } = this.#options;
    if (idleTimeoutMs !== undefined) this.#watchIdle(idleTimeoutMs);
    // A stream may deliver, or close, from inside `start`: the other one takes writes and resets before its own.
    this.#streams.upstream.start(this.#eventsOf('upstream'));
    this.#streams.client.start(this.#eventsOf('client'));
  }

  close(reason: CloseReason): void {
    const state = this.#state;
    if (state.kind === 'closed' || state.kind === 'cutting') return;
    const closed = state.kind === 'finishing' ? state.closed : undefined;
    this.#state = { kind: 'cutting', reason, closed };
    if (closed !== 'client') this.#streams.client.reset(reason);
    if (closed !== 'upstream') this.#streams.upstream.reset(reason);
  }

  #eventsOf(side: Side): StreamEvents {
    const other = this.#streams[otherSide(side)];
    return {
      data: chunk => {
        if (side === 'client') this.#bytesUp += chunk.byteLength;
        this.#moved();
        other.write(chunk);
      },
      end: () => {
        this.#ended[side] = true;
        this.#moved();
        other.end();
      },
      flushed: bytes => {
        if (side === 'client') this.#bytesDown += bytes;
        this.#moved();
        other.consume(bytes);
      },
      closed: reason => this.#streamClosed(side, reason),
    };
  }

  #streamClosed(side: Side, reason: CloseReason): void {
    const state = this.#state;
    switch (state.kind) {
      case 'moving':
        this.#firstClosed(side, reason);
        return;
      case 'finishing':
        this.#finish(reason);
        return;
      case 'cutting':
        if (state.closed !== undefined) this.#finish(state.reason);
        else this.#state = { ...state, closed: side };
        return;
      case 'closed':
        throw new Error(`internal error: the ${side} stream closed twice`);
    }
  }

  #firstClosed(side: Side, reason: CloseReason): void {
    // Orderly: its end was passed on behind its bytes, and all that the other side sent has left. The other one goes
    // on by itself until the last of its bytes is written.
    if (reason.code === done.code && this.#ended.client && this.#ended.upstream) {
      this.#state = { kind: 'finishing', closed: side };
      return;
    }
    const cause = reason.code === done.code ? cutShort(side) : reason;
    this.#state = { kind: 'cutting', reason: cause, closed: side };
    this.#streams[otherSide(side)].reset(cause);
  }

  #finish(reason: CloseReason): void {
    this.#state = { kind: 'closed' };
    this.#idleTimer?.cancel();
    this.#hooks.onClosed({
      ...this.#session,
      closedAtMs: this.#hooks.clock.now(),
      reason,
      bytesUp: this.#bytesUp,
      bytesDown: this.#bytesDown,
    });
  }

  #moved(): void {
    if (this.#idleTimer) this.#movedAtMs = this.#hooks.clock.monotonic();
  }

  /** One timer that looks again, not one set anew for each chunk. */
  #watchIdle(idleTimeoutMs: number): void {
    const { clock } = this.#hooks;
    this.#movedAtMs = clock.monotonic();
    const look = (): void => {
      const leftMs = this.#movedAtMs + idleTimeoutMs - clock.monotonic();
      if (leftMs > 0) this.#idleTimer = clock.after(leftMs, look);
      else this.close({ code: 'timeout', text: `nothing moved for ${idleTimeoutMs} ms (idleTimeoutMs)` });
    };
    this.#idleTimer = clock.after(idleTimeoutMs, look);
  }
}

/** A peer that says `done` in the middle must not make what it cut off look whole. */
function cutShort(side: Side): CloseReason {
  return { code: 'cancelled', text: `the ${side} closed before both directions had ended` };
}

function otherSide(side: Side): Side {
  return side === 'client' ? 'upstream' : 'client';
}
