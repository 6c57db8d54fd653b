import { AdaptiveWriter } from '../core/adaptive-writer.ts';
import type { Clock, Timer } from '../core/clock.ts';
import { codeOf, LockwireError, messageOf } from '../core/errors.ts';
import type { Carrier } from '../core/ports.ts';
import type { CloseReason } from '../core/session.ts';
import { FrameDecoder, type ReadPosition } from '../wire/tunnel/decode.ts';
import type { ControlFrame } from '../wire/tunnel/frames.ts';
import type { TunnelLimits } from './options.ts';
import { Outbox } from './outbox.ts';

/** Who takes the frames of a link: first the handshake, then the session. */
export interface LinkHandler {
  frame(stream: number, frame: ControlFrame): void;
  data(stream: number, chunk: Uint8Array): void;
  /** A chunk of the carrier's was read to its end. */
  read(): void;
  /** The peer sent what is no frame (`protocol`), or the handler itself failed (`internal`); it says good-bye. */
  malformed(reason: CloseReason): void;
  /** The last event: the carrier is gone. */
  closed(reason: CloseReason): void;
}

/** What the system says of a peer that it hears nothing of; all other errors are the peer's, or a box's, own doing. */
const silence: ReadonlySet<string> = new Set(['ETIMEDOUT', 'EHOSTUNREACH', 'ENETUNREACH', 'ENETDOWN']);

/** `timeout` where the peer went silent, `io` where the connection was closed or reset. */
function lossOf(error: Error | undefined): CloseReason {
  const code = silence.has(codeOf(error)) ? 'timeout' : 'io';
  return { code, text: error?.message ?? 'the connection closed' };
}

const silent: LinkHandler = { frame() {}, data() {}, read() {}, malformed() {}, closed() {} };

/** Frames over one carrier: decoder, outbox and adaptive writer joined. Knows nothing of what the frames mean. */
export class Link {
  /** Its own until a session that goes on brings another. */
  outbox: Outbox;
  readonly #carrier: Carrier;
  readonly #writer: AdaptiveWriter;
  readonly #clock: Clock;
  readonly #lingerMs: number;
  readonly #decoder: FrameDecoder;
  #handler: LinkHandler;
  #farewell: CloseReason | undefined;
  #lingering: Timer | undefined;
  #closed = false;

  constructor(carrier: Carrier, handler: LinkHandler, clock: Clock, limits: TunnelLimits) {
    this.#carrier = carrier;
    this.#handler = handler;
    this.#clock = clock;
    this.#lingerMs = limits.lingerMs;
    this.outbox = new Outbox(limits);
    this.#decoder = new FrameDecoder({
      data: (stream, chunk) => this.#handler.data(stream, chunk),
      frame: (stream, frame) => this.#handler.frame(stream, frame),
    });
    this.#writer = new AdaptiveWriter(carrier, {
      pendingBytes: () => this.outbox.pendingBytes(),
      take: maxBytes => this.outbox.take(maxBytes),
      written: () => this.#written(),
    });
  }

  /** Encoded bytes of sequenced frames that were read whole. */
  get received(): number {
    return this.#decoder.received;
  }

  start(): void {
    this.#carrier.start({
      data: chunk => this.#read(chunk),
      end: () => this.destroy({ code: 'io', text: 'the peer closed the connection' }),
      closed: error => this.#close(lossOf(error)),
    });
  }

  /** Whose frames they are from here on. */
  attach(handler: LinkHandler): void {
    this.#handler = handler;
  }

  /** Takes over a session from an earlier connection: its outbox, and where its reading stopped. */
  adopt(outbox: Outbox, position: ReadPosition): void {
    this.outbox = outbox;
    this.#decoder.resumeFrom(position);
    this.#writer.wake();
  }

  /** Where reading stopped, for the next connection. */
  get position(): ReadPosition {
    return this.#decoder.position;
  }

  /** Ends without telling its handler: another connection has taken its place. */
  abandon(): void {
    this.#handler = silent;
    this.destroy({ code: 'replaced', text: 'the session goes on over another connection' });
  }

  send(stream: number, frame: ControlFrame): void {
    if (this.#farewell) return;
    this.outbox.control(stream, frame);
    this.#writer.wake();
  }

  wake(): void {
    if (!this.#farewell) this.#writer.wake();
  }

  /** Sends a last frame, reads no more, and closes once it is written, or after the linger time. */
  farewell(frame: ControlFrame, reason: CloseReason): void {
    if (this.#farewell) return;
    this.outbox.dropData();
    this.outbox.control(0, frame);
    this.#farewell = reason;
    this.#decoder.stop();
    this.#lingering = this.#clock.after(this.#lingerMs, () => this.#carrier.destroy());
    this.#writer.wake();
  }

  /** Ends at once, without a word. */
  destroy(reason: CloseReason): void {
    if (this.#closed) return;
    this.#farewell ??= reason;
    this.#decoder.stop();
    this.#writer.stop();
    this.#carrier.destroy();
  }

  #read(chunk: Uint8Array): void {
    if (this.#farewell) return;
    this.#guard(() => this.#decoder.push(chunk));
    if (!this.#farewell) this.#handler.read();
  }

  /** Neither a peer's bytes nor what a stream's owner does with them may throw into the carrier. */
  #guard(work: () => void): void {
    try {
      work();
    } catch (error) {
      const text = messageOf(error);
      this.#handler.malformed(
        error instanceof LockwireError ? { code: 'protocol', text } : { code: 'internal', text },
      );
    }
  }

  #written(): void {
    this.#guard(() => this.outbox.written());
    if (this.#farewell && this.outbox.pendingBytes() === 0) this.#carrier.end();
  }

  #close(reason: CloseReason): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#lingering?.cancel();
    this.#writer.stop();
    this.#handler.closed(this.#farewell ?? reason);
  }
}
