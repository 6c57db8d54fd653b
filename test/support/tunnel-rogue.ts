import type { Carrier, CarrierEvents } from '../../lib/core/ports.ts';
import type { CloseReason } from '../../lib/core/session.ts';
import { Link, type LinkHandler } from '../../lib/tunnel/link.ts';
import { defaultTunnelLimits, type TunnelLimits, type WindowPoolLimits } from '../../lib/tunnel/options.ts';
import { TunnelSession } from '../../lib/tunnel/session.ts';
import type { SessionFacts, SessionPorts } from '../../lib/tunnel/session-ports.ts';
import type { TunnelStream } from '../../lib/tunnel/stream.ts';
import { WindowPool } from '../../lib/tunnel/window-pool.ts';
import type { ControlFrame, FrameType, Ingress, Open } from '../../lib/wire/tunnel/frames.ts';
import { encodeData, encodeItem, FrameCollector, type Item } from './tunnel-frames.ts';
import { ManualClock } from './tunnel-pair.ts';

/** A peer that sends whatever a test likes, and the carrier by which the session under test reaches it. */
export class Rogue implements Carrier {
  /** What the session wrote. */
  readonly got: FrameCollector = new FrameCollector();
  readonly wrote: Uint8Array[] = [];
  /** Acknowledges what it reads, and answers pings, as an honest peer would. */
  acks = true;
  pongs = true;
  /** While set, the session's writes are not completed: a peer that reads nothing. */
  stuck = false;
  ended = false;
  destroyed = false;
  #events: CarrierEvents | undefined;
  #answered = 0;
  #done: (() => void) | undefined;

  start(events: CarrierEvents): void {
    this.#events = events;
  }

  write(chunks: readonly Uint8Array[], done: () => void): void {
    this.wrote.push(Buffer.concat(chunks));
    this.#done = done;
    if (!this.stuck) queueMicrotask(() => this.read());
  }

  /** Takes what was written; the session's write is done then. */
  read(): void {
    const done = this.#done;
    if (done === undefined || this.destroyed) return;
    this.#done = undefined;
    const acked = this.got.decoder.received;
    this.got.push(this.wrote[this.wrote.length - 1]!);
    done();
    this.#answer(acked);
  }

  end(): void {
    this.ended = true;
  }

  destroy(): void {
    if (this.destroyed) return;
    this.destroyed = true;
    queueMicrotask(() => this.#events?.closed(undefined));
  }

  pause(): void {
    throw new Error('a tunnel never pauses its carrier');
  }

  resume(): void {}

  /** Sends, as the hostile peer. What the session makes of it happens before this returns. */
  send(stream: number, frame: ControlFrame): void {
    this.raw(encodeItem({ stream, frame }));
  }

  data(stream: number, payload: Uint8Array | string): void {
    this.raw(encodeData(stream, Buffer.from(payload)));
  }

  open(stream: number, target = 'autogen', ingress: Ingress = 'loopback'): void {
    this.send(stream, { type: 'open', target, ingress });
  }

  raw(bytes: Uint8Array): void {
    if (!this.destroyed) this.#events?.data(bytes);
  }

  hangUp(): void {
    this.#events?.end();
  }

  /** Frames of one kind that the session sent, in order. */
  frames<Type extends FrameType>(type: Type): (Extract<ControlFrame, { type: Type }> & { stream: number })[] {
    return this.got.items
      .filter(
        (item): item is Extract<Item, { frame: ControlFrame }> => 'frame' in item && item.frame.type === type,
      )
      .map(({ stream, frame }) => ({ stream, ...(frame as Extract<ControlFrame, { type: Type }>) }));
  }

  /** Payload that the session sent on a stream. */
  payload(stream: number): Buffer {
    const parts = this.got.items.map(item =>
      'data' in item && item.stream === stream ? item.data : Buffer.alloc(0),
    );
    return Buffer.concat(parts);
  }

  #answer(acked: number): void {
    const { received } = this.got.decoder;
    if (this.acks && received > acked) this.send(0, { type: 'ack', received });
    const pings = this.frames('ping');
    for (const { value } of pings.slice(this.#answered)) {
      if (this.pongs) this.send(0, { type: 'pong', value });
    }
    this.#answered = pings.length;
  }
}

export interface RogueOptions extends Partial<Pick<SessionFacts, 'side' | 'role' | 'peerEarlyWindow'>> {
  readonly limits?: Partial<TunnelLimits>;
  readonly pool?: Partial<WindowPoolLimits>;
  readonly roundTripMs?: number;
  readonly onOpen?: (stream: TunnelStream, request: Open) => void;
  readonly onRenew?: SessionPorts['onRenew'];
}

export interface AgainstRogue {
  readonly rogue: Rogue;
  readonly clock: ManualClock;
  readonly session: TunnelSession;
  readonly pool: WindowPool;
  readonly opened: TunnelStream[];
  readonly notices: CloseReason[];
  readonly goAways: CloseReason[];
  readonly renewed: number[];
  /** Why the session ended; undefined while it lives. */
  closed(): CloseReason | undefined;
}

const noHandler: LinkHandler = { frame() {}, data() {}, read() {}, malformed() {}, closed() {} };

/** A real session, past its handshake, whose peer is a Rogue. The gateway's end of a connect unless told otherwise. */
export function againstRogue(options: RogueOptions = {}): AgainstRogue {
  const { side = 'gateway', role = 'connect', peerEarlyWindow = 16_384, roundTripMs = 10 } = options;
  const limits = { ...defaultTunnelLimits, ...options.limits };
  const rogue = new Rogue();
  const clock = new ManualClock();
  const pool = new WindowPool({ baseBytes: 1 << 24, growthBytes: 1 << 24, ...options.pool });
  const opened: TunnelStream[] = [];
  const notices: CloseReason[] = [];
  const goAways: CloseReason[] = [];
  const renewed: number[] = [];
  let closed: CloseReason | undefined;
  const link = new Link(rogue, noHandler, clock, limits);
  link.start();
  const session = new TunnelSession(
    { id: 's', side, role, peerEarlyWindow, roundTripMs, patienceMs: 0 },
    link,
    {
      onDetached() {},
      clock,
      limits,
      pool,
      onOpen: (stream, request) => {
        opened.push(stream);
        options.onOpen?.(stream, request);
      },
      onNotice: notice => notices.push(notice),
      onGoAway: reason => goAways.push(reason),
      onRenew: options.onRenew ?? (async () => ({ expiresAt: 7 })),
      onRenewed: expiresAt => renewed.push(expiresAt),
      onClosed: reason => {
        if (closed) throw new Error('onClosed twice');
        closed = reason;
      },
    },
  );
  return { rogue, clock, session, pool, opened, notices, goAways, renewed, closed: () => closed };
}

/** Turns the clock, a second at a time, so that what falls due is written and answered meanwhile. */
export async function pass({ clock }: AgainstRogue, byMs: number): Promise<void> {
  for (let left = byMs; left > 0; left -= 1_000) {
    clock.advance(Math.min(left, 1_000));
    await settle(2);
  }
}

/** Lets writes and their answers happen, without turning the clock. */
export async function settle(rounds = 6): Promise<void> {
  for (let i = 0; i < rounds; i += 1) await new Promise<void>(resolve => setImmediate(resolve));
}
